//! `reconctl spider` and `reconctl enumerate`: what kumo and suzu do, now and from here, without hub and
//! systemd.

use anyhow::anyhow;

use super::{Failure, Global, Outcome};
use crate::agents::{Kumo, Suzu};
use crate::api::ExitCode;
use crate::fleet::{AgentKind, Rule, Span};
use crate::runtime::{
    Agent, ConfigSource, EnumOptions, Options, SpiderOptions, WebOptions, run_by_hand,
};

/// What both take.
#[derive(Debug, clap::Args)]
struct Common {
    /// URLs (`https://example.org/path`), or hosts, whose ports 443 and 80 are tried.
    #[arg(value_name = "URL", required = true)]
    targets: Vec<String>,
    #[command(flatten)]
    web: WebOptions,
    /// Most requests/s to one host (default: scope.max_rate); 0: no limit.
    #[arg(long, value_name = "N")]
    max_rate: Option<u32>,
    /// End after this time (30s, 10m, 2h) with what was found until then.
    #[arg(long, value_name = "TIME")]
    max_time: Option<Span>,
    /// What may be touched besides what the fleet file allows: address, network or name.
    #[arg(long, value_name = "RULE", value_parser = |s: &str| s.parse::<Rule>())]
    scope: Vec<Rule>,
}

/// Spider a site now, from here: its pages, forms, endpoints, secrets and technologies.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing outside the scope of the fleet file is touched (loopback, without a fleet file); links that lead
elsewhere are counted. Ctrl-C keeps what was found.

Exit codes: 0 done; 1 something failed; 2 bad usage; 78 bad configuration; 130 interrupted.")]
pub struct SpiderArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    spider: SpiderOptions,
}

/// Enumerate a site now, from here: paths that nothing links to.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing outside the scope of the fleet file is touched (loopback, without a fleet file). What \"not there\"
looks like is learned for each directory, so that servers that answer 200, or a redirect, for everything
need no options. Ctrl-C keeps what was found.

Exit codes: 0 done; 1 something failed; 2 bad usage; 78 bad configuration; 130 interrupted.")]
pub struct EnumerateArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    enumeration: EnumOptions,
}

pub async fn spider(global: &Global, args: SpiderArgs) -> Outcome {
    let options = Options {
        spider: args.spider,
        ..options(global, args.common)
    };
    run::<Kumo>(AgentKind::Kumo, options).await
}

pub async fn enumerate(global: &Global, args: EnumerateArgs) -> Outcome {
    let options = Options {
        enumeration: args.enumeration,
        ..options(global, args.common)
    };
    run::<Suzu>(AgentKind::Suzu, options).await
}

fn options(global: &Global, args: Common) -> Options {
    Options {
        once: true,
        target: args.targets,
        scope: args.scope,
        max_rate: args.max_rate,
        max_time: args.max_time,
        web: args.web,
        json: global.json,
        jsonl: global.jsonl,
        root: global.root.clone(),
        fleet: global.fleet.clone(),
        ..Options::default()
    }
}

async fn run<A: Agent>(kind: AgentKind, options: Options) -> Outcome {
    let source = ConfigSource::new(kind, options.clone())
        .map_err(|error| Failure::new(ExitCode::Usage, anyhow!(error)))?;
    Ok(run_by_hand::<A>(&source, &options).await)
}
