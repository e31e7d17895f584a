//! `--once`: an agent by hand, with neither hub nor systemd nor fleet file.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::ConfigError;
use super::notify::Notifier;
use super::signals::Signals;
use super::text::csv_line;
use super::{Agent, ConfigSource, Context, Control, Options, Phase, WorkError, logging};
use crate::api::ExitCode;

/// Works on all targets and prints what was found; Ctrl-C keeps what there is.
pub async fn once<A: Agent>(source: &ConfigSource, options: &Options) -> ExitCode {
    // Lines on standard error, and only what matters: standard output is the result.
    let _ = logging::init(source.name().as_str(), A::KIND.as_str());
    let config = match source.load(A::check) {
        Ok(config) => config,
        // Whoever types a command line has no use for the place of a setting in a fleet file.
        Err(ConfigError::Settings { reason, .. }) => {
            return complain::<A>(ExitCode::Usage, &reason);
        }
        Err(error) => return complain::<A>(ExitCode::Usage, &error.to_string()),
    };
    let mut agent = match A::new(&config).await {
        Ok(agent) => agent,
        Err(error) => return complain::<A>(ExitCode::Usage, &error),
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
    let done = agent.once(options, &ctx, &screen).await;
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

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// One JSON document with a list, an element a line.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// Comma-separated values (RFC 4180), their names first.
    Csv,
}

/// Where results go as they come.
pub trait Show: Sync {
    /// How they are written.
    fn form(&self) -> Form;

    /// One element of a list, written so.
    fn show(&self, list: &'static str, written: &str);

    /// The names of what CSV has; shown once.
    fn head(&self, written: &str);

    /// What is to be said of all of them, written so.
    fn end_with(&self, name: &'static str, written: &str);

    /// What the user should know of how it went: on standard error, and in the JSON document.
    fn note(&self, note: &str);
}

impl dyn Show + '_ {
    /// One target is done: writes it in the form that is wanted.
    pub fn item<T: serde::Serialize>(
        &self,
        list: &'static str,
        item: &T,
        text: impl FnOnce() -> String,
    ) {
        if let Some(written) = self.written(item, text) {
            self.show(list, &written);
        }
    }

    /// The same of a list that can be written as CSV as well, with these columns.
    pub fn row<T: serde::Serialize>(
        &self,
        list: &'static str,
        item: &T,
        text: impl FnOnce() -> String,
        columns: &[&str],
        cells: impl FnOnce() -> Vec<String>,
    ) {
        if self.form() != Form::Csv {
            return self.item(list, item, text);
        }
        let head = csv_line(columns.iter().copied());
        self.head(&head);
        self.show(list, &csv_line(cells().iter().map(String::as_str)));
    }

    /// All of a target is done: what is to be said of it as a whole.
    pub fn summary<T: serde::Serialize>(
        &self,
        name: &'static str,
        summary: &T,
        text: impl FnOnce() -> String,
    ) {
        if let Some(written) = self.written(summary, text) {
            self.end_with(name, &written);
        }
    }

    fn written<T: serde::Serialize>(
        &self,
        item: &T,
        text: impl FnOnce() -> String,
    ) -> Option<String> {
        let written = match self.form() {
            Form::Text => Ok(text()),
            Form::Json | Form::JsonLines => serde_json::to_string(item),
            // Its rows have all that there is.
            Form::Csv => return None,
        };
        written
            // What is shown has nothing that JSON cannot hold.
            .inspect_err(|error| tracing::error!(%error, "cannot be written as JSON"))
            .ok()
    }
}

/// Standard output. What is done is written and forgotten, in each form, so that a large network takes
/// no more memory than a small one.
struct Screen {
    form: Form,
    state: Mutex<ScreenState>,
}

struct ScreenState {
    out: io::BufWriter<io::Stdout>,
    /// The list of the JSON document is begun.
    begun: bool,
    notes: Vec<String>,
    /// What is said of all, by name; written at the end of a JSON document.
    summaries: Vec<(&'static str, String)>,
    failed: Option<io::Error>,
}

impl Screen {
    fn new(options: &Options) -> Self {
        Self {
            form: match (options.json, options.jsonl) {
                (true, _) => Form::Json,
                (false, true) => Form::JsonLines,
                (false, false) if options.web.csv => Form::Csv,
                (false, false) => Form::Text,
            },
            state: Mutex::new(ScreenState {
                out: io::BufWriter::new(io::stdout()),
                begun: false,
                notes: Vec::new(),
                summaries: Vec::new(),
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
        if self.form == Form::Json {
            match state.begun {
                true => write!(state.out, "\n  ]")?,
                false => write!(state.out, "{{\n  \"results\": []")?,
            }
            let mut names: Vec<&str> = state.summaries.iter().map(|(name, _)| *name).collect();
            names.dedup();
            for name in names {
                let of = state.summaries.iter().filter(|(other, _)| *other == name);
                let list: Vec<&str> = of.map(|(_, written)| written.as_str()).collect();
                write!(
                    state.out,
                    ",\n  \"{name}\": [\n    {}\n  ]",
                    list.join(",\n    ")
                )?;
            }
            if !state.notes.is_empty() {
                let notes = serde_json::to_string(&state.notes)?;
                write!(state.out, ",\n  \"notes\": {notes}")?;
            }
            writeln!(state.out, "\n}}")?;
        }
        state.out.flush()
    }

    fn write(&self, state: &mut ScreenState, list: &str, written: &str) -> io::Result<()> {
        if self.form != Form::Json {
            writeln!(state.out, "{written}")?;
            // Somebody may be watching.
            return state.out.flush();
        }
        match state.begun {
            false => write!(state.out, "{{\n  \"{list}\": [")?,
            true => write!(state.out, ",")?,
        }
        state.begun = true;
        write!(state.out, "\n    {written}")
    }
}

impl Show for Screen {
    fn form(&self) -> Form {
        self.form
    }

    fn show(&self, list: &'static str, written: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.write(&mut state, list, written) {
            state.failed = Some(error);
        }
    }

    fn head(&self, written: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut state.begun, true)
            && let Err(error) = writeln!(state.out, "{written}")
        {
            state.failed = Some(error);
        }
    }

    fn end_with(&self, name: &'static str, written: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = match self.form {
            Form::Json => {
                state.summaries.push((name, written.to_owned()));
                Ok(())
            }
            Form::JsonLines => writeln!(state.out, "{{\"{name}\":{written}}}"),
            Form::Text => writeln!(state.out, "{written}"),
            Form::Csv => Ok(()),
        };
        if let Err(error) = done.and_then(|()| state.out.flush()) {
            state.failed = Some(error);
        }
    }

    fn note(&self, note: &str) {
        eprintln!("{note}");
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.notes.push(note.to_owned());
    }
}
