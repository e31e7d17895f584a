use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::examples;

/// The manual, as `man` shows it at the top.
pub const MANUAL: &str = "recon";

/// What a page belongs to, as `man` shows it at the bottom.
pub const SOURCE: &str = concat!("recon ", env!("CARGO_PKG_VERSION"));

/// Files of reconctl(1).
const FILES: [(&str, &str); 6] = [
    ("/etc/recon/recon.toml", "The fleet file: recon.toml(5)."),
    (
        "/etc/recon/recon.d/*.toml",
        "Drop-ins; also below /run/recon and /usr/lib/recon.",
    ),
    (
        "/usr/lib/recon/agents.d/*.toml",
        "What packages say of their agents.",
    ),
    (
        "/usr/lib/systemd/system/recon@.service",
        "The unit of every agent.",
    ),
    (
        "/etc/systemd/system/recon@NAME.service.d/50-recon.conf",
        "What apply adds to it. Settings of your own go into a 90-local.conf beside it.",
    ),
    (
        "/var/lib/recon/reconctl",
        "What apply has written, and its lock.",
    ),
];

/// Environment of reconctl(1); the variables that override keys are in recon.toml(5).
const ENVIRONMENT: [(&str, &str); 6] = [
    ("RECON_FLEET", "The fleet file, as --fleet."),
    (
        "RECON_PAGER, SYSTEMD_PAGER, PAGER",
        "Pager for long output on a terminal, the first that is set; empty or cat for none. Without any \
         it is less. Not looked at under sudo.",
    ),
    ("LESS", "Options of less (FRSXMK)."),
    (
        "NO_COLOR",
        "When it is not empty, no colours without --color=always.",
    ),
    ("VISUAL, EDITOR", "Editor of config edit (vi)."),
    ("DBUS_SYSTEM_BUS_ADDRESS", "Where systemd is reached."),
];

/// Exit codes of every verb.
const EXIT: [(&str, &str); 10] = [
    ("0", "Done."),
    ("1", "Something failed."),
    ("2", "Bad usage or bad configuration; nothing was changed."),
    ("3", "The unit is not active."),
    ("4", "No such agent."),
    ("5", "Not permitted."),
    ("6", "The hub cannot be reached."),
    (
        "7",
        "An open finding is as bad as --fail-on says (report, findings list).",
    ),
    ("69", "systemd cannot be reached."),
    ("130", "Interrupted."),
];

/// The page of a verb, or of reconctl itself.
pub fn of_verb(command: &clap::Command, verb: &str) -> std::io::Result<String> {
    let man = Man::new(command.clone()).manual(MANUAL).source(SOURCE);
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    let whole = verb.is_empty();
    let mut notes = Roff::new();
    if let Some(text) = command.get_after_help().filter(|_| !whole) {
        notes.control("PP", []);
        for line in text.to_string().lines() {
            indented(&mut notes, line);
        }
    }
    out.extend(notes.to_roff().into_bytes());
    if command.get_subcommands().any(|c| !c.is_hide_set()) {
        man.render_subcommands_section(&mut out)?;
    }
    man.render_options_section(&mut out)?;
    let mut roff = Roff::new();
    list(&mut roff, "EXAMPLES", examples::of(verb));
    if whole {
        list(&mut roff, "FILES", &FILES);
        list(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    }
    list(&mut roff, "EXIT STATUS", &EXIT);
    see_also(&mut roff, command, whole);
    out.extend(roff.to_roff().into_bytes());
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A line of help; one that is indented there stays a line of its own.
fn indented(roff: &mut Roff, line: &str) {
    if line.starts_with(' ') {
        roff.control("br", []);
    }
    if line.trim().is_empty() {
        roff.control("PP", []);
    } else {
        roff.text([roman(line.trim())]);
    }
}

/// A section with a list of words and what they mean.
pub fn list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    if entries.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    for (name, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
}

fn see_also(roff: &mut Roff, command: &clap::Command, whole: bool) {
    let mut pages = Vec::new();
    if !whole {
        pages.push("reconctl(1)".to_owned());
    }
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages.extend(below.get_display_name().map(|name| format!("{name}(1)")));
    }
    pages.push("recon.toml(5)".to_owned());
    if whole {
        let others = [
            "recon-kage(8)",
            "recon-kaze(8)",
            "recon-ryu(8)",
            "systemctl(1)",
            "journalctl(1)",
            "systemd-analyze(1)",
        ];
        pages.extend(others.map(str::to_owned));
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
