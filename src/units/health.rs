use super::file::{UnitFile, quote_arg};
use super::render::{PROGRAMS, seconds};
use crate::fleet::{Agent, Health, HealthProbe, Span};

/// Runs a program that does not speak sd_notify under recon-shim, which asks it whether it is well,
/// and tells systemd.
pub(super) fn probed_program(file: &mut UnitFile, agent: &Agent, exec: &[String], health: &Health) {
    let mut words = vec![format!("{PROGRAMS}/recon-shim")];
    match &health.probe {
        HealthProbe::Http(url) => words.push(format!("--http={url}")),
        HealthProbe::Exec(command) => {
            words.extend(command.iter().map(|word| format!("--exec={word}")));
        }
    }
    words.push(format!("--interval={}", health.interval));
    words.push(format!("--failures={}", health.failures));
    words.push("--".to_owned());
    words.extend(exec.iter().cloned());
    let words: Vec<_> = words
        .iter()
        .enumerate()
        .map(|(i, word)| quote_arg(word, i == 0))
        .collect();
    file.set("Type", "notify");
    file.comment("recon-shim becomes the program; what asks it is another process of the unit.");
    file.set("NotifyAccess", "all");
    file.replace("ExecStart", words.join(" "));
    file.set("ExecReload", "");
    let watchdog = match agent.watchdog {
        watchdog if watchdog > Span::default() => watchdog,
        _ => health.watchdog(),
    };
    file.set("WatchdogSec", seconds(watchdog));
}
