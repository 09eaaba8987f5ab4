//! Being told to stop: by which signals, and what is still done then.

use std::time::Duration;

use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::environment;

/// How long a command that ends early may take to undo what it has begun: with [`BLOCKING`] less than a second.
const GRACE: Duration = Duration::from_millis(600);
/// How long file operations that cannot be broken off are waited for at the end.
pub(super) const BLOCKING: Duration = Duration::from_millis(250);

/// Listens for SIGINT, SIGTERM and SIGHUP from now on, and gives the number of the first that comes.
///
/// A signal that whoever started us wants ignored stays ignored: `nohup`, and shells without job control, rely on that.
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

/// Ends a command early: what it holds is dropped, so that unfinished files go.
pub(super) async fn abort_command<T>(command: JoinHandle<T>) {
    command.abort();
    let undone = async {
        let _ = command.await;
        undo_finished().await;
    };
    let _ = timeout(GRACE, undone).await;
}

/// Waits for what was begun to be undone: dropped uploads are cancelled at their registry by tasks of their own.
pub(super) async fn undo_finished() {
    let runtime = Handle::current().metrics();
    let undone = async {
        while runtime.num_alive_tasks() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let _ = timeout(GRACE, undone).await;
}
