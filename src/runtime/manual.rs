//! `--once`: an agent by hand, with neither hub nor systemd nor fleet file.

use std::sync::Arc;

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
    let mut code = ExitCode::Ok;
    let mut results = Vec::new();
    for target in &options.target {
        match agent.once(target, &ctx).await {
            Ok(result) => results.push(result),
            Err(WorkError::Interrupted) => {}
            Err(WorkError::Failed(reason) | WorkError::NotNow(reason)) => {
                code = complain::<A>(ExitCode::Failure, &reason);
            }
        }
        if ctx.control.phase() == Phase::Stop {
            code = ExitCode::Interrupted;
            break;
        }
    }
    if let Err(error) = print(&results, options.json) {
        code = complain::<A>(ExitCode::Failure, &error.to_string());
    }
    code
}

fn complain<A: Agent>(code: ExitCode, message: &str) -> ExitCode {
    eprintln!("recon-{}: {message}", A::KIND.as_str());
    code
}

fn print(results: &[Shown], json: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if json {
        let list = results.first().map_or("results", |r| r.list);
        let items: Vec<_> = results.iter().map(|r| &r.item).collect();
        serde_json::to_writer_pretty(&mut out, &serde_json::json!({ list: items }))?;
        return writeln!(out);
    }
    for result in results {
        writeln!(out, "{}", result.text)?;
    }
    Ok(())
}
