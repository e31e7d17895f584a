/// Signals by number, without `SIG` (signal(7), on the architectures that systemd runs on but for
/// MIPS and SPARC).
const SIGNALS: [(i32, &str); 20] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (5, "TRAP"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (10, "USR1"),
    (11, "SEGV"),
    (12, "USR2"),
    (13, "PIPE"),
    (14, "ALRM"),
    (15, "TERM"),
    (18, "CONT"),
    (19, "STOP"),
    (24, "XCPU"),
    (25, "XFSZ"),
    (31, "SYS"),
];

/// Name of a signal, without `SIG`; its number when it has no name here.
pub(super) fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(n, _)| *n == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// Number of a signal (`TERM`, `SIGTERM`, `15`).
///
/// # Errors
/// No such signal.
pub fn signal_number(text: &str) -> Result<i32, String> {
    if let Ok(number @ 1..=64) = text.parse::<i32>() {
        return Ok(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = SIGNALS.iter().find(|(_, n)| *n == name);
    known.map(|(number, _)| *number).ok_or_else(|| {
        format!("{text:?} is no signal: use a name such as TERM or HUP, or a number from 1 to 64")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(signal_number(text), Ok(15));
        }
        assert_eq!(signal_number("40"), Ok(40));
        for text in ["0", "65", "-9", "SIGWHAT", ""] {
            assert!(signal_number(text).is_err(), "{text}");
        }
        assert_eq!(signal_name(9), "KILL");
        assert_eq!(signal_name(40), "40");
    }
}
