//! `--once`: an agent by hand, with neither hub nor systemd nor fleet file.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::notify::Notifier;
use super::signals::Signals;
use super::{Agent, ConfigSource, Context, Control, Options, Phase, WorkError, logging};
use crate::api::ExitCode;

/// What there is to show of one target.
#[derive(Debug)]
pub struct Shown {
    /// Name of the list in the JSON envelope (`scans`).
    pub list: &'static str,
    /// One element of it.
    pub item: serde_json::Value,
    /// The same for people.
    pub text: String,
}

/// Works on each target in turn and prints what was found; Ctrl-C keeps what there is.
pub async fn once<A: Agent>(source: &ConfigSource, options: &Options) -> ExitCode {
    // Lines on standard error, and only what matters: standard output is the result.
    let _ = logging::init(source.name().as_str(), A::KIND.as_str());
    let config = match source.load(A::check) {
        Ok(config) => config,
        Err(error) => return complain::<A>(ExitCode::Config, &error.to_string()),
    };
    let mut agent = match A::new(&config).await {
        Ok(agent) => agent,
        Err(error) => return complain::<A>(ExitCode::Config, &error),
    };
    let ctx = Arc::new(Context::new(
        config,
        Control::new(None),
        Arc::new(Notifier::default()),
    ));
    match Signals::new() {
        Ok(signals) => drop(tokio::spawn(signals.watch_by_hand(Arc::clone(&ctx)))),
        Err(error) => return complain::<A>(ExitCode::Failure, &error.to_string()),
    }
    let screen = Screen::new(options);
    let done = agent.once_all(options, &ctx, &screen).await;
    let mut code = ExitCode::Ok;
    for error in done.err().unwrap_or_default() {
        match error {
            WorkError::Interrupted => {}
            WorkError::Failed(reason) | WorkError::NotNow(reason) => {
                code = complain::<A>(ExitCode::Failure, &reason);
            }
        }
    }
    if let Err(error) = screen.end() {
        code = complain::<A>(ExitCode::Failure, &error.to_string());
    }
    match ctx.control.phase() {
        Phase::Stop => ExitCode::Interrupted,
        _ => code,
    }
}

fn complain<A: Agent>(code: ExitCode, message: &str) -> ExitCode {
    eprintln!("recon-{}: {message}", A::KIND.as_str());
    code
}

/// Where results go as they come.
pub trait Show: Sync {
    /// One target is done.
    fn show(&self, shown: Shown);
}

/// Standard output. What is done is written and forgotten, in each form, so that a large network takes
/// no more memory than a small one.
struct Screen {
    json: bool,
    jsonl: bool,
    state: Mutex<ScreenState>,
}

struct ScreenState {
    out: io::BufWriter<io::Stdout>,
    /// The list of the JSON document is begun.
    begun: bool,
    failed: Option<io::Error>,
}

impl Screen {
    fn new(options: &Options) -> Self {
        Self {
            json: options.json,
            jsonl: options.jsonl,
            state: Mutex::new(ScreenState {
                out: io::BufWriter::new(io::stdout()),
                begun: false,
                failed: None,
            }),
        }
    }

    /// Writes what has waited, and tells what could not be written.
    fn end(self) -> io::Result<()> {
        let state = self.state.into_inner();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.failed {
            return Err(error);
        }
        match (self.json, state.begun) {
            (true, true) => writeln!(state.out, "\n  ]\n}}")?,
            (true, false) => writeln!(state.out, "{{\n  \"results\": []\n}}")?,
            (false, _) => {}
        }
        state.out.flush()
    }

    fn write(&self, state: &mut ScreenState, shown: &Shown) -> io::Result<()> {
        if self.json {
            match state.begun {
                false => write!(state.out, "{{\n  \"{}\": [", shown.list)?,
                true => write!(state.out, ",")?,
            }
            state.begun = true;
            let item = serde_json::to_string_pretty(&shown.item)?;
            for line in item.lines() {
                write!(state.out, "\n    {line}")?;
            }
            return Ok(());
        }
        match self.jsonl {
            true => writeln!(state.out, "{}", shown.item)?,
            false => writeln!(state.out, "{}", shown.text)?,
        }
        // Somebody may be watching.
        state.out.flush()
    }
}

impl Show for Screen {
    fn show(&self, shown: Shown) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut state, &shown) {
            state.failed = Some(error);
        }
    }
}
