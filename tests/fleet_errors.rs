//! What is wrong in a fleet file is reported with line, key and what to do, all at once.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use recon::fleet::{Sources, load};

fn errors_of(text: &str) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("etc/recon");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("recon.toml"), text).unwrap();
    let sources = Sources {
        root: root.path().to_owned(),
        file: None,
        env: Default::default(),
    };
    match load(&sources) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .0
            .iter()
            .map(|e| {
                assert!(e.file.ends_with("etc/recon/recon.toml"), "{e}");
                format!("{}: {}: {}", e.line, e.key, e.message)
            })
            .collect(),
    }
}

/// A fleet file, and how its only error begins: `LINE: KEY: MESSAGE`.
const CASES: &[(&str, &str)] = &[
    ("[fleet]\nhub = \n", "2: : not valid TOML"),
    (
        "[flet]\n",
        "1: flet: unknown key \"flet\"; did you mean \"fleet\"?",
    ),
    (
        "\n[fleet]\nprofil = \"x\"\n",
        "3: fleet.profil: unknown key \"profil\"; did you mean \"profile\"?",
    ),
    (
        "[fleet]\nprofile = \"ful\"\n",
        "2: fleet.profile: unknown profile \"ful\"; did you mean \"full\"?",
    ),
    (
        "[fleet]\nprofile = 3\n",
        "2: fleet.profile: expected a string, found an integer",
    ),
    (
        "[fleet]\nhub = \"localhost:9000\"\n",
        "2: fleet.hub: \"localhost:9000\" is not a URL: it must begin with http",
    ),
    (
        "[scope]\nallow = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/99\",\n]\n",
        "4: scope.allow: \"10.0.0.0/99\" is neither",
    ),
    (
        "[scope]\nallow = \"10.0.0.0/8\"\n",
        "2: scope.allow: expected an array, found a string",
    ),
    (
        "[scope]\ndeny = [\"a b\"]\n",
        "2: scope.deny: \"a b\" is neither",
    ),
    (
        "[scope]\nmax_rate = 0\n",
        "2: scope.max_rate: 0 is out of range: 1 to 10000000",
    ),
    (
        "[[scope.blackout]]\nfrom = \"22:00\"\n",
        "1: scope.blackout.to: is missing: a blackout has from and to",
    ),
    (
        "[[scope.blackout]]\nfrom = \"22:00\"\nto = \"6\"\n",
        "3: scope.blackout.to: \"6\" is not a time of day like \"22:00\"",
    ),
    (
        "[[scope.blackout]]\nfrom = \"24:00\"\nto = \"06:00\"\n",
        "2: scope.blackout.from: \"24:00\" is not a time of day",
    ),
    (
        "[[scope.blackout]]\nfrom = \"06:00\"\nto = \"06:00\"\n",
        "3: scope.blackout.to: must differ from \"from\"",
    ),
    (
        "[[scope.blackout]]\nfrom = \"22:00\"\nto = \"06:00\"\ndays = [\n\"mon\",\n\"tues\"]\n",
        "6: scope.blackout.days: unknown day \"tues\"; did you mean \"tue\"?",
    ),
    (
        "[[scope.blackout]]\nfrom = \"22:00\"\nto = \"06:00\"\ntimezone = \"Mars\"\n",
        "4: scope.blackout.timezone: \"Mars\" is neither \"local\" nor \"UTC\"",
    ),
    (
        "[[scope.blackout]]\nfrom = \"22:00\"\nto = \"06:00\"\ntargets = [\"a b\"]\n",
        "4: scope.blackout.targets: \"a b\" is neither",
    ),
    (
        "[[scope.blackout]]\nfrom = \"22:00\"\nto = \"06:00\"\nday = []\n",
        "4: scope.blackout.day: unknown key \"day\"; did you mean \"days\"?",
    ),
    (
        "[scope.blackout]\nfrom = \"22:00\"\n",
        "1: scope.blackout: expected an array, found a table",
    ),
    (
        "[profiles]\nmine = [\n\"hub\",\n\"kazee\"]\n",
        "4: profiles.mine: unknown agent \"kazee\"; did you mean \"kaze\"?",
    ),
    (
        "[profiles]\nmine = [\"hub\", \"hub\"]\n",
        "2: profiles.mine: hub is listed twice",
    ),
    (
        "[profiles]\nMine = []\n",
        "2: profiles.Mine: \"Mine\" is not a profile name",
    ),
    (
        "[agents.kaze]\nwatchdog = \"1s\"\n",
        "2: agents.kaze.watchdog: must be 0 (off) or at least 2s",
    ),
    (
        "[agents.kaze.config]\nconnect_timeout = \"20s\"\n",
        "2: agents.kaze.config.connect_timeout: must be at most 5s",
    ),
    (
        "[agents.kaze]\nwatchdog = \"soon\"\n",
        "2: agents.kaze.watchdog: \"soon\" is not a length of time",
    ),
    (
        "[agents.kaze]\nwatchdgo = \"1s\"\n",
        "2: agents.kaze.watchdgo: unknown key \"watchdgo\"; did you mean \"watchdog\"?",
    ),
    (
        "[agents.kaze]\nmax_restarts = -1\n",
        "2: agents.kaze.max_restarts: -1 is out of range: 0 to 1000",
    ),
    (
        "[agents.kaze]\nauto_start = \"yes\"\n",
        "2: agents.kaze.auto_start: expected true or false, found a string",
    ),
    (
        "[agents.x]\nexec = [\"/opt/it's\"]\n",
        "2: agents.x.exec: \"/opt/it's\" must not contain quotes or backslashes",
    ),
    (
        "[agents.hub.config]\nlisten = 1979-05-27\n",
        "2: agents.hub.config.listen: expected no date, found a datetime",
    ),
    (
        "[agents.x]\nexec = [\"/opt/\"]\n",
        "2: agents.x.exec: \"/opt/\" is a directory",
    ),
    (
        "[agents.kaze]\nmemory_high = \"12 MB\"\n",
        "2: agents.kaze.memory_high: \"12 MB\" is not an amount of memory",
    ),
    (
        "[agents.kaze]\ncpu_quota = \"0%\"\n",
        "2: agents.kaze.cpu_quota: \"0%\" is not a share of CPU time: write whole percent",
    ),
    (
        "[agents.kaze]\ncpu_quota = 50\n",
        "2: agents.kaze.cpu_quota: expected a string, found an integer",
    ),
    (
        "[agents.kaze]\ntasks_max = 0\n",
        "2: agents.kaze.tasks_max: 0 is out of range: 1 to 4194304",
    ),
    (
        "[agents.kaze]\ncredentials = [\"/etc/x\"]\n",
        "2: agents.kaze.credentials: expected a table, found an array",
    ),
    (
        "[agents.kaze.credentials]\nhub-token = \"token\"\n",
        "2: agents.kaze.credentials.hub-token: \"token\" must be an absolute path",
    ),
    (
        "[agents.kaze.credentials]\n\n\"a:b\" = \"/etc/x\"\n",
        "3: agents.kaze.credentials.a:b: is not a name of a credential",
    ),
    (
        "[agents.kaze.credentials]\nx = \"/etc/x\\nUser=root\"\n",
        "2: agents.kaze.credentials.x: \"/etc/x\\nUser=root\" must be one line",
    ),
    (
        "[agents.kaze]\nmemory_max = \"lots\"\n",
        "2: agents.kaze.memory_max: \"lots\" is not an amount of memory",
    ),
    (
        "[agents.kaze]\ncapabilities = [\"net_raw\"]\n",
        "2: agents.kaze.capabilities: unknown capability \"net_raw\"; did you mean \"CAP_NET_RAW\"?",
    ),
    (
        "[agents.kaze]\ncapabilities = [\"CAP_NET_RAV\"]\n",
        "2: agents.kaze.capabilities: unknown capability \"CAP_NET_RAV\"; did you mean \"CAP_NET_RAW\"?",
    ),
    (
        "[agents.kaze]\nbackoff = { initial = \"2m\", max = \"1m\" }\n",
        "2: agents.kaze.backoff.max: must not be less than initial (2m)",
    ),
    (
        "[agents.kaze.backoff]\nstep = 3\n",
        "2: agents.kaze.backoff.step: unknown key \"step\"; did you mean \"steps\"?",
    ),
    (
        "[agents.kaze]\ndescription = \"a\\nb\"\n",
        "2: agents.kaze.description: must be one line",
    ),
    (
        "[agents.kaze]\nexec = [\"/bin/true\"]\n",
        "1: agents.kaze.exec: is a program of recon",
    ),
    (
        "[agents.kaze]\nnotify = false\n",
        "1: agents.kaze.notify: the agents of recon always speak sd_notify",
    ),
    (
        "[agents.kazee]\n",
        "1: agents.kazee.kind: unknown agent kind \"kazee\": did you mean \"kaze\"?",
    ),
    (
        "[agents.kaze-dmz]\n",
        "1: agents.kaze-dmz.kind: unknown agent kind \"kaze-dmz\": write kind = \"kaze\"",
    ),
    (
        "[agents.x]\nkind = \"kuze\"\n",
        "2: agents.x.kind: unknown agent kind \"kuze\"; did you mean \"kaze\"?",
    ),
    (
        "[agents.x]\nkind = \"custom\"\n",
        "2: agents.x.kind: a custom agent needs exec",
    ),
    (
        "[agents.x]\nexec = []\n",
        "2: agents.x.exec: must name a program",
    ),
    (
        "[agents.x]\nexec = [\n\"daemon\"]\n",
        "3: agents.x.exec: \"daemon\" must be an absolute path",
    ),
    (
        "[agents.x]\nexec = [\"/d\"]\nwatchdog = \"3s\"\n",
        "1: agents.x.watchdog: nobody would ping it",
    ),
    (
        "[agents.x]\nexec = [\"/d\"]\nhealth = { interval = \"1s\" }\n",
        "3: agents.x.health.http: missing",
    ),
    (
        "[agents.x]\nexec = [\"/d\"]\nhealth = { http = \"x\" }\n",
        "3: agents.x.health.http: \"x\" is not a URL",
    ),
    (
        "[agents.x]\nexec = [\"/d\"]\nnotify = true\nhealth = { exec = [\"/c\"] }\n",
        "4: agents.x.health: health and notify = true exclude each other",
    ),
    (
        "[agents.kaze]\nhealth = { exec = [\"/c\"] }\n",
        "2: agents.kaze.health: the agents of recon ping the watchdog from their work",
    ),
    (
        "[agents.x]\nexec = [\"/d\"]\nhealth = { exec = [\"/c\"] }\nwatchdog = \"10s\"\n",
        "4: agents.x.watchdog: must be at least 40s",
    ),
    (
        "[agents.x]\nexec = [\"/d\"]\nhealth = { exec = [\"/c\"], interval = \"2h\" }\n",
        "3: agents.x.health.interval: must be at most 1h",
    ),
    (
        "[agents.X]\nexec = [\"/d\"]\n",
        "1: agents.X: \"X\" is not an agent name",
    ),
    (
        "[agents]\nx = 3\n",
        "2: agents.x: expected a table, found an integer",
    ),
    (
        "[agents.kaze]\ndepends_on = [\n{ agent = \"hubb\" }]\n",
        "3: agents.kaze.depends_on: unknown agent \"hubb\"; did you mean \"hub\"?",
    ),
    (
        "[agents.kaze]\ndepends_on = [\"kaze\"]\n",
        "2: agents.kaze.depends_on: an agent cannot depend on itself",
    ),
    (
        "[agents.kaze]\ndepends_on = [{ agent = \"hub\", on_failure = \"restrat\" }]\n",
        "2: agents.kaze.depends_on.on_failure: unknown reaction \"restrat\"; did you mean \"restart\"?",
    ),
    (
        "[agents.kaze]\ndepends_on = [{ on_failure = \"stop\" }]\n",
        "2: agents.kaze.depends_on.agent: missing",
    ),
    (
        "[agents.hub]\ndepends_on = [\"kaze\"]\n",
        "2: agents.hub.depends_on: dependency cycle: hub → kaze → hub",
    ),
    (
        "[agents.kaze.config]\nscan_intervall = \"1s\"\n",
        "2: agents.kaze.config.scan_intervall: unknown key \"scan_intervall\"; did you mean \"scan_interval\"?",
    ),
    (
        "[agents.kaze.config]\nmax_scans = 0\n",
        "2: agents.kaze.config.max_scans: 0 is out of range: 1 to 1000",
    ),
    (
        "[agents.kaze.config]\nmax_scans = \"many\"\n",
        "2: agents.kaze.config.max_scans: string \"many\", expected a whole number",
    ),
    (
        "[agents.kaze.config]\nscan_interval = 0\n",
        "2: agents.kaze.config.scan_interval: must be longer than 0s",
    ),
    (
        "[agents.kage.config]\nnmap = \"maybe\"\n",
        "2: agents.kage.config.nmap: unknown variant",
    ),
    (
        "[agents.hub.config]\ndatabase = \"postgres://recon:secret@db/recon\"\n",
        "2: agents.hub.config.database: a password does not belong here",
    ),
    (
        "[agents.hub.config]\nlisten = \"9000\"\n",
        "2: agents.hub.config.listen: \"9000\" is not an address to listen on",
    ),
];

#[test]
fn each_error_has_its_line_and_key() {
    let mut wrong = Vec::new();
    for (text, expected) in CASES {
        let errors = errors_of(text);
        if errors.len() != 1 || !errors[0].starts_with(expected) {
            wrong.push(format!(
                "{text}\n  expected {expected}\n  found {errors:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn all_errors_come_at_once_in_order_of_lines() {
    let errors = errors_of(
        "[fleet]\nhub = \"ftp://x\"\nfoo = 1\n[agents.kaze]\nwatchdog = -1\n[agents.kaze.config]\nmax_scans = 9999\nbar = 1\n",
    );
    let lines: Vec<_> = errors
        .iter()
        .map(|e| e.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["2", "3", "5", "7", "8"], "{errors:#?}");
}

#[test]
fn a_long_cycle_is_printed_with_its_path_once() {
    let errors = errors_of(
        "[agents.c]\nexec = [\"/c\"]\ndepends_on = [\"a\"]\n\
         [agents.b]\nexec = [\"/b\"]\ndepends_on = [\"c\"]\n\
         [agents.a]\nexec = [\"/a\"]\ndepends_on = [\"hub\", \"b\"]\n",
    );
    assert_eq!(
        errors,
        ["9: agents.a.depends_on: dependency cycle: a → b → c → a"]
    );
}
