//! Stopping on signals, and the cleanup before the end.

use std::time::Duration;

use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::environment;

/// Time limit for the cleanup of a stopped command; with [`BLOCKING`], less than a second.
const GRACE: Duration = Duration::from_millis(600);
/// Time limit at the end for file operations that cannot be cancelled.
pub(super) const BLOCKING: Duration = Duration::from_millis(250);

/// Listens for SIGINT, SIGTERM and SIGHUP from the call on; resolves to the number of the first.
///
/// A signal that the parent process set to be ignored stays ignored, as `nohup` and shells without job control expect.
pub(super) fn signalled() -> impl Future<Output = u8> {
    let wanted = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] =
        wanted.map(|kind| (!environment::ignores(kind.as_raw_value())).then(|| signal(kind).ok()).flatten());
    async move {
        tokio::select! {
            () = comes(&mut interrupt) => 2,
            () = comes(&mut terminate) => 15,
            () = comes(&mut hangup) => 1,
        }
    }
}

async fn comes(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending().await
    }
}

/// Stops a command: dropping it removes unfinished files.
pub(super) async fn abort_command<T>(command: JoinHandle<T>) {
    command.abort();
    let undone = async {
        let _ = command.await;
        undo_finished().await;
    };
    let _ = timeout(GRACE, undone).await;
}

/// Waits for the cleanup: tasks of their own cancel dropped uploads at the registry.
pub(super) async fn undo_finished() {
    let runtime = Handle::current().metrics();
    let undone = async {
        while runtime.num_alive_tasks() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let _ = timeout(GRACE, undone).await;
}
