use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::api::{AgentStatus, Heartbeat, HeartbeatAnswer};

use super::outbox::Outbox;
use super::{Context, HubError, Phase, process};

/// Between heartbeats.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// Between attempts at a server that knows no heartbeat.
const LEGACY_INTERVAL: Duration = Duration::from_secs(600);

/// What went with a heartbeat.
pub enum Pulse {
    /// The hub took it.
    Taken(HeartbeatAnswer),
    /// The server knows no heartbeat.
    Legacy,
    /// The hub did not answer.
    Failed(HubError),
}

/// Sends one heartbeat.
pub async fn send(ctx: &Context) -> Pulse {
    let config = ctx.config();
    match config
        .hub
        .heartbeat(config.agent.kind.as_str(), &beat(ctx))
        .await
    {
        Ok(Some(answer)) => Pulse::Taken(answer),
        Ok(None) => Pulse::Legacy,
        Err(error) => Pulse::Failed(error),
    }
}

/// Sends heartbeats for ever. One that gets through after failures wakes the work loop, so that
/// results wait no longer than they must.
pub async fn keep(ctx: Arc<Context>, outboxes: Vec<(Arc<Context>, Arc<Mutex<Outbox>>)>) {
    let mut interval = INTERVAL;
    loop {
        tokio::time::sleep(interval).await;
        interval = INTERVAL;
        let degraded = ctx.facts().degraded.is_some();
        match send(&ctx).await {
            Pulse::Taken(answer) => obey(&ctx, &outboxes, answer),
            Pulse::Legacy => interval = LEGACY_INTERVAL,
            Pulse::Failed(error) => {
                tracing::debug!(%error, "heartbeat");
                ctx.vitals.update(|f| {
                    if let HubError::Token(advice) = &error {
                        f.degraded = Some(advice.clone());
                    }
                    f.degraded
                        .get_or_insert_with(|| "hub unreachable".to_owned());
                });
                ctx.refresh();
                continue;
            }
        }
        // While a task is in hand the outbox is the work loop's, which will see for itself.
        for (of, outbox) in outboxes.iter().filter(|_| degraded) {
            if let Ok(mut outbox) = outbox.try_lock() {
                outbox.heard(of);
                of.refresh();
                of.control.nudge();
            }
        }
    }
}

fn obey(ctx: &Context, outboxes: &[(Arc<Context>, Arc<Mutex<Outbox>>)], answer: HeartbeatAnswer) {
    let gone: Vec<_> = answer
        .leases
        .iter()
        .filter(|l| l.expires_at.is_none())
        .map(|l| l.id)
        .collect();
    if !gone.is_empty() {
        tracing::warn!(count = gone.len(), "leases are gone");
        ctx.lost(&gone);
        for (of, outbox) in outboxes {
            if let Ok(mut outbox) = outbox.try_lock() {
                outbox.forget(of, &gone);
            }
        }
    }
    for command in answer.commands {
        match command.command.as_str() {
            "pause" => ctx.control.pause(true),
            "resume" => ctx.control.pause(false),
            other => tracing::warn!(command = other, "unknown command from the hub"),
        }
    }
}

fn beat(ctx: &Context) -> Heartbeat {
    let facts = ctx.facts();
    let status = match (ctx.control.phase(), &facts.degraded) {
        (Phase::Stop, _) => AgentStatus::Stopped,
        (Phase::Paused, _) => AgentStatus::Paused,
        (Phase::Run, Some(_)) => AgentStatus::Degraded,
        (Phase::Run, None) => AgentStatus::Healthy,
    };
    Heartbeat {
        agent: ctx.config().agent.name.to_string(),
        host: process::host_name(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status,
        status_text: facts.status_text,
        started_at: facts.started_at,
        last_activity: ctx.heart.last_beat(),
        interval_s: INTERVAL.as_secs_f64(),
        queue_depth: facts.spooled,
        error_count: facts.errors,
        cycle: facts.cycle,
        completed: facts.completed,
        current_target: facts.target,
        progress_percent: facts.progress_percent,
        memory_bytes: process::rss_bytes(),
        cpu_s: Some(process::cpu_seconds()),
        leases: facts.leases,
    }
}
