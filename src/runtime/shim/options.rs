use std::ffi::OsString;

use clap::{ArgGroup, Parser, ValueEnum};

use crate::fleet::{Health, HealthProbe, Span};

/// Runs a program in its own place, asks it now and then whether it is well, and tells systemd.
#[derive(Debug, Clone, Parser)]
#[command(name = "recon-shim", version)]
#[command(group = ArgGroup::new("probe").required(true).args(["http", "exec"]))]
#[command(after_help = "\
reconctl writes this into the unit of a program with health = { … } in the fleet file; the unit needs
Type=notify and NotifyAccess=all. Exit status: the program's own; 203 when it cannot be run.")]
pub struct Options {
    /// Ask by GET; an answer 2xx is well.
    #[arg(long, value_name = "URL")]
    pub http: Option<String>,
    /// Ask by a command, one word an option; exit status 0 is well.
    #[arg(long, value_name = "WORD", require_equals = true)]
    pub exec: Vec<String>,
    /// How often to ask.
    #[arg(long, value_name = "TIME")]
    pub interval: Span,
    /// So many bad answers in a row are one too many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub failures: u32,
    /// What this process is for: the shim starts itself.
    #[arg(long, hide = true, value_enum, default_value_t)]
    pub role: Role,
    /// The program and its arguments.
    #[arg(last = true, value_name = "PROGRAM", required = true)]
    pub program: Vec<OsString>,
}

/// What a process of the shim is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Starts the prober and becomes the program.
    #[default]
    Start,
    /// Starts the prober and ends, so that it is nobody's child.
    Detach,
    /// Asks.
    Probe,
}

impl Options {
    /// What to ask and how often.
    pub fn health(&self) -> Health {
        let probe = match &self.http {
            Some(url) => HealthProbe::Http(url.clone()),
            None => HealthProbe::Exec(self.exec.clone()),
        };
        Health {
            probe,
            interval: self.interval,
            failures: self.failures,
        }
    }

    /// The command line of the same shim in another role.
    pub fn arguments(&self, role: Role) -> Vec<OsString> {
        let role = match role {
            Role::Start => "start",
            Role::Detach => "detach",
            Role::Probe => "probe",
        };
        let mut words = vec![
            format!("--role={role}"),
            format!("--interval={}", self.interval),
            format!("--failures={}", self.failures),
        ];
        words.extend(self.http.iter().map(|url| format!("--http={url}")));
        words.extend(self.exec.iter().map(|word| format!("--exec={word}")));
        words.push("--".to_owned());
        let program = self.program.iter().cloned();
        words
            .into_iter()
            .map(OsString::from)
            .chain(program)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from(["recon-shim"].iter().chain(words))
    }

    #[test]
    fn a_role_gets_the_same_options() {
        let words = [
            "--exec=/opt/check",
            "--exec=-v",
            "--exec=a b",
            "--exec=",
            "--interval=1m 30s",
            "--failures=2",
            "--",
            "/opt/d",
            "--http=x",
            "--",
        ];
        let options = parse(&words).unwrap();
        assert_eq!(options.role, Role::Start);
        let mut again = vec![OsString::from("recon-shim")];
        again.extend(options.arguments(Role::Probe));
        let again = Options::try_parse_from(again).unwrap();
        assert_eq!(again.role, Role::Probe);
        assert_eq!(again.health(), options.health());
        assert_eq!(again.program, options.program);
        assert_eq!(again.program, ["/opt/d", "--http=x", "--"]);
    }

    #[test]
    fn one_probe_and_a_program_are_needed() {
        for bad in [
            &["--interval=1s", "--failures=1", "--", "/opt/d"][..],
            &[
                "--http=u",
                "--exec=/c",
                "--interval=1s",
                "--failures=1",
                "--",
                "/opt/d",
            ],
            &["--http=u", "--interval=1s", "--failures=1"],
            &["--http=u", "--interval=1s", "--failures=0", "--", "/opt/d"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
