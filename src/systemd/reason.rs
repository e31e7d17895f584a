use super::UnitState;
use super::signal::signal_name;

/// `ExecMainCode`: ended by itself (`CLD_EXITED`).
const EXITED: i32 = 1;

/// Why a unit is not up, in words; `None` while there is nothing to complain about.
pub(super) fn last_error(unit: &UnitState) -> Option<String> {
    if matches!(
        unit.active_state.as_str(),
        "active" | "reloading" | "refreshing"
    ) {
        return None;
    }
    match unit.load_state.as_str() {
        "masked" => return Some(format!("masked: reconctl unmask {}", unit.name)),
        "not-found" => return Some("no unit file: see reconctl apply".to_owned()),
        "bad-setting" | "error" => {
            let why = unit
                .load_error
                .as_deref()
                .unwrap_or("systemd refuses the unit file");
            return Some(format!("{why}: see systemctl status {}", unit.unit));
        }
        _ => {}
    }
    let result = unit.result.as_deref().unwrap_or("success");
    if result == "success" {
        return unit.condition_failed.then(|| {
            format!(
                "a condition of the unit is not met: see systemctl status {}",
                unit.unit
            )
        });
    }
    let mut words = result_words(unit, result);
    if unit.restart_limit_reached && result != "start-limit-hit" {
        words.push_str("; ");
        words.push_str(&limit_words(unit));
    }
    Some(words)
}

fn limit_words(unit: &UnitState) -> String {
    format!(
        "restart limit reached; when the cause is gone, reconctl reset --force {}",
        unit.name
    )
}

fn result_words(unit: &UnitState, result: &str) -> String {
    let status = unit.exec_main_status.unwrap_or(0);
    let main_ended = matches!(unit.exec_main_code, Some(code) if code > 0);
    match result {
        // Not the program itself, but a command before or after it (ExecStartPre=, ExecStopPost=).
        "exit-code" | "signal" | "core-dump" if !main_ended || unit.exec_main_fine() => {
            format!(
                "a command of the unit failed ({result}): see systemctl status {}",
                unit.unit
            )
        }
        "exit-code" => exit_words(status),
        "signal" => format!("killed by signal {}", signal_name(status)),
        "core-dump" => format!("killed by signal {} (core dumped)", signal_name(status)),
        "watchdog" => "watchdog timeout: no progress for too long".to_owned(),
        "timeout" if unit.was_up => "did not stop in time and was killed".to_owned(),
        "timeout" => "did not get ready in time".to_owned(),
        "oom-kill" => "killed because memory ran out".to_owned(),
        "start-limit-hit" => limit_words(unit),
        "protocol" if unit.exec_main_code == Some(EXITED) => {
            format!("ended before it was ready ({})", exit_words(status))
        }
        "protocol" => "did not keep to the start-up protocol".to_owned(),
        "resources" => "systemd could not set it up (resources)".to_owned(),
        "exec-condition" => "a condition of the unit is not met (ExecCondition)".to_owned(),
        other => other.to_owned(),
    }
}

fn exit_words(status: i32) -> String {
    match status {
        203 => "binary not found (203/EXEC)".to_owned(),
        78 => "bad configuration (exit 78): see reconctl check".to_owned(),
        _ => match exec_step(status) {
            Some(step) => format!("exit status {status}/{step} (systemd could not prepare it)"),
            None => format!("exit status {status}"),
        },
    }
}

/// The steps before the program runs that systemd reports as its exit status (systemd.exec(5)).
fn exec_step(status: i32) -> Option<&'static str> {
    Some(match status {
        200 => "CHDIR",
        202 => "FDS",
        205 => "LIMITS",
        208 => "STDIN",
        209 => "STDOUT",
        216 => "GROUP",
        217 => "USER",
        218 => "CAPABILITIES",
        219 => "CGROUP",
        222 => "STDERR",
        226 => "NAMESPACE",
        227 => "NO_NEW_PRIVILEGES",
        228 => "SECCOMP",
        233 => "RUNTIME_DIRECTORY",
        238 => "STATE_DIRECTORY",
        239 => "CACHE_DIRECTORY",
        240 => "LOGS_DIRECTORY",
        241 => "CONFIGURATION_DIRECTORY",
        243 => "CREDENTIALS",
        _ => return None,
    })
}

/// Whether `Restart=` would have started the unit again after this result, so that a failed unit
/// means that the limit was reached (systemd keeps the first `Result` and never says so itself).
pub(super) fn restart_covers(policy: &str, result: &str) -> bool {
    match policy {
        "always" => true,
        "on-success" => result == "success",
        "on-failure" => result != "success",
        "on-abnormal" => matches!(
            result,
            "signal" | "core-dump" | "timeout" | "watchdog" | "oom-kill"
        ),
        "on-abort" => matches!(result, "signal" | "core-dump"),
        "on-watchdog" => result == "watchdog",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(result: &str, code: i32, status: i32) -> UnitState {
        UnitState {
            load_state: "loaded".to_owned(),
            active_state: "failed".to_owned(),
            sub_state: "failed".to_owned(),
            result: Some(result.to_owned()),
            exec_main_code: Some(code),
            exec_main_status: Some(status),
            ..UnitState::absent("recon@kaze.service")
        }
    }

    fn words(unit: &UnitState) -> String {
        last_error(unit).unwrap()
    }

    #[test]
    fn results_in_words() {
        assert_eq!(words(&failed("exit-code", 1, 1)), "exit status 1");
        assert_eq!(
            words(&failed("exit-code", 1, 203)),
            "binary not found (203/EXEC)"
        );
        assert_eq!(
            words(&failed("exit-code", 1, 78)),
            "bad configuration (exit 78): see reconctl check"
        );
        assert_eq!(
            words(&failed("exit-code", 1, 217)),
            "exit status 217/USER (systemd could not prepare it)"
        );
        assert_eq!(words(&failed("signal", 2, 11)), "killed by signal SEGV");
        assert_eq!(words(&failed("signal", 2, 40)), "killed by signal 40");
        assert_eq!(
            words(&failed("core-dump", 3, 6)),
            "killed by signal ABRT (core dumped)"
        );
        assert!(words(&failed("watchdog", 3, 6)).starts_with("watchdog timeout"));
        assert_eq!(words(&failed("timeout", 2, 9)), "did not get ready in time");
        assert_eq!(
            words(&failed("start-limit-hit", 1, 1)),
            "restart limit reached; when the cause is gone, reconctl reset --force kaze"
        );
        assert_eq!(words(&failed("something-new", 1, 1)), "something-new");
    }

    #[test]
    fn a_limit_is_told_beside_the_first_reason() {
        let mut unit = failed("exit-code", 1, 3);
        unit.restart_limit_reached = true;
        assert_eq!(
            words(&unit),
            "exit status 3; restart limit reached; when the cause is gone, reconctl reset --force kaze"
        );
    }

    #[test]
    fn a_stop_that_took_too_long_is_no_slow_start() {
        let mut unit = failed("timeout", 2, 9);
        unit.was_up = true;
        assert_eq!(words(&unit), "did not stop in time and was killed");
    }

    #[test]
    fn nothing_is_wrong_with_what_runs_or_was_stopped() {
        let mut unit = failed("exit-code", 1, 1);
        unit.active_state = "active".to_owned();
        assert_eq!(last_error(&unit), None);
        unit.active_state = "inactive".to_owned();
        unit.result = Some("success".to_owned());
        assert_eq!(last_error(&unit), None);
        unit.condition_failed = true;
        assert!(words(&unit).starts_with("a condition"));
    }

    #[test]
    fn load_states_come_first() {
        let mut unit = failed("success", 0, 0);
        for (load, start) in [("masked", "masked"), ("not-found", "no unit file")] {
            unit.load_state = load.to_owned();
            assert!(words(&unit).starts_with(start));
        }
        unit.load_state = "bad-setting".to_owned();
        unit.load_error = Some("Unit has a bad setting".to_owned());
        assert!(words(&unit).starts_with("Unit has a bad setting"));
    }

    #[test]
    fn which_results_a_policy_covers() {
        for (policy, result, covers) in [
            ("always", "success", true),
            ("on-failure", "exit-code", true),
            ("on-failure", "success", false),
            ("on-abnormal", "exit-code", false),
            ("on-abnormal", "watchdog", true),
            ("on-abort", "core-dump", true),
            ("on-watchdog", "timeout", false),
            ("no", "exit-code", false),
        ] {
            assert_eq!(restart_covers(policy, result), covers, "{policy} {result}");
        }
    }
}
