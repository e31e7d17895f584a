use std::io;
use std::sync::Arc;
use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::watch::Watch;
use crate::api::ExitCode;

/// Ctrl-C and SIGTERM: the first ends the scan and keeps what was found, the second ends at once. On a
/// thread of its own, so that nothing the scan does can hold it up.
///
/// # Errors
/// The kernel refuses.
pub fn watch(watch: Arc<Watch>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ready, is_ready) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let signals = (
                    signal(SignalKind::interrupt()),
                    signal(SignalKind::terminate()),
                );
                match signals {
                    (Ok(int), Ok(term)) => {
                        let _ = ready.send(Ok(()));
                        wait(&watch, int, term).await;
                    }
                    (Err(error), _) | (_, Err(error)) => drop(ready.send(Err(error))),
                }
            });
        })?;
    // None of them may be missed: the scan begins when both are caught.
    is_ready.recv().map_err(io::Error::other)?
}

async fn wait(watch: &Watch, mut int: Signal, mut term: Signal) {
    loop {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
        if watch.interrupt() {
            std::process::exit(ExitCode::Interrupted as i32);
        }
    }
}
