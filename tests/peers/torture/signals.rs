//! SIGINT, SIGTERM and SIGHUP: the command stops at once, undoes what it has begun, and says by which signal it ended.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use artifact::{fault::Faults, serve::Registry};

use super::{
    Dice, Outcome, conclude,
    content::Listing,
    long,
    scene::{Job, Scene, Trial},
};
use crate::{
    harness::{Test, tests},
    support::server::Background,
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        []
            plain a_command_that_is_told_to_stop_undoes_what_it_has_begun,
            plain a_push_that_stands_still_stops_and_cancels_its_uploads,
            plain an_upload_that_is_opened_too_late_is_cancelled_too,
            plain a_pull_that_stands_still_stops,
            plain a_command_under_nohup_goes_on,
            plain a_reader_that_has_seen_enough_ends_a_command_without_a_word;
    ]
}

const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];
/// Points of each job and signal: in the short form, in the long one.
const POINTS: (usize, usize) = (1, 40);
/// How soon a command ends that is told to. Asserted in the long form, which has the machine for itself.
const SOON: Duration = Duration::from_secs(1);

/// Longer than any test: what goes before it was cancelled.
const SESSION: Duration = Duration::from_secs(3600);

fn a_command_that_is_told_to_stop_undoes_what_it_has_begun() {
    let scene = Scene::new(SESSION);
    let (mut stopped, mut longest, mut failures) = (0, Duration::ZERO, Vec::new());
    for job in Job::ALL {
        let mut dice = Dice::of(&format!("{job:?} told to stop"));
        let (reference, span) = scene.undisturbed(job, true);
        for (signal, number) in SIGNALS {
            for _ in 0..if long().is_some() { POINTS.1 } else { POINTS.0 } {
                let after = Duration::from_micros(dice.below(span.as_micros() as u64));
                let trial = scene.trial(job, true);
                let (ended, took) = stop_after(&trial, signal, number, after);
                stopped += usize::from(ended == Ok(true));
                longest = longest.max(took);
                let judged = ended.and_then(|_| judge(&trial, &reference));
                let how = format!("SIG{signal} after {after:?} of {span:?}");
                failures.extend(judged.err().map(|what| trial.failure(&how, &what, "")));
            }
        }
    }
    eprintln!("the slowest took {longest:?} to stop");
    failures.extend((long().is_some() && longest > SOON).then(|| format!("one took {longest:?} to stop")));
    conclude("signals", stopped, &failures);
}

/// Whether the signal came before the end, and how long the end took.
fn stop_after(trial: &Trial<'_>, signal: &str, number: i32, after: Duration) -> (Result<bool, String>, Duration) {
    let mut child = trial.command().stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    send(&child, signal);
    let start = Instant::now();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let ended = match (status.code(), status.signal()) {
        _ if said.contains("panic") || said.contains("error: ") => Err(said),
        (Some(0), _) => Ok(false),
        (Some(code), _) if code == 128 + number => Ok(true),
        // Before the first line of ours, the system ends a process by itself.
        (None, Some(by)) if by == number => Ok(false),
        other => Err(format!("ended with {other:?}: {said}")),
    };
    (ended, start.elapsed())
}

fn judge(trial: &Trial<'_>, reference: &Listing) -> Outcome {
    trial.valid()?;
    if trial.job == Job::Push && !soon(|| trial.uploads().is_empty()) {
        return Err(format!("uploads that are not cancelled: {:?}", trial.uploads()));
    }
    trial.finishes(reference)
}

/// The registry may still be at work when the command has ended.
fn soon(is: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        is() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }
    })
}

fn send(child: &Child, signal: &str) {
    let id = child.id().to_string();
    Command::new("kill").args([&format!("-{signal}"), &id]).stderr(Stdio::null()).status().unwrap();
}

/// A registry that says nothing to some requests.
struct Silent {
    faults: Arc<Faults>,
    _registry: Background,
}

/// A command that waits for it: it has asked this, and would wait for a minute.
fn waiting(scene: &Scene, starter: &[&str], asked: &str, line: &str) -> (Silent, Child) {
    let silence = format!("faults: [{{on: {asked}, nth: all, lose: {{what: request, by: silence}}}}]");
    let faults = Arc::new(Faults::parse(&silence).unwrap());
    let registry = Background::serve(faults.around(Registry::new(scene.registry_options())));
    let starter: Vec<String> = starter.iter().map(|word| (*word).to_owned()).collect();
    let line = line.replace("HOST", &registry.host());
    let mut command = match starter[..] {
        [] => scene.command(scene.path(), &line),
        _ => scene.command_by(&starter, scene.path(), &line),
    };
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    assert!(soon(|| faults.count(asked).unwrap() > 0), "it never asked");
    (Silent { faults, _registry: registry }, child)
}

fn a_push_that_stands_still_stops_and_cancels_its_uploads() {
    let scene = Scene::new(SESSION);
    for (signal, number) in SIGNALS {
        let line = format!("push src HOST/still-{number}:v1 --set layout=files");
        let (silent, mut child) = waiting(&scene, &[], "PUT upload", &line);
        assert!(!scene.uploads().is_empty());
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + number));
        assert!(silent.faults.count("DELETE upload").unwrap() > 0);
        assert!(soon(|| scene.uploads().is_empty()), "{:?}", scene.uploads());
    }
}

fn an_upload_that_is_opened_too_late_is_cancelled_too() {
    let scene = Scene::new(SESSION);
    let held = Arc::new(AtomicBool::new(true));
    let host = slow_to_answer_posts(scene.host(), Arc::clone(&held));
    let mut child = scene.command(scene.path(), &format!("push earlier.txt {host}/late:v1")).spawn().unwrap();
    assert!(soon(|| !scene.uploads().is_empty()), "no upload was opened");
    send(&child, "TERM");
    std::thread::sleep(Duration::from_millis(100));
    held.store(false, Ordering::Relaxed);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(soon(|| scene.uploads().is_empty()), "{:?}", scene.uploads());
}

/// A way to a registry on which answers to POST requests are held back as long as this says.
fn slow_to_answer_posts(upstream: String, held: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&upstream).unwrap();
            let (posts, held) = (Arc::new(AtomicBool::new(false)), Arc::clone(&held));
            let (up, seen) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), Arc::clone(&posts));
            std::thread::spawn(move || pass(up, |bytes| seen.store(bytes.starts_with(b"POST"), Ordering::Relaxed)));
            let waits = move || posts.load(Ordering::Relaxed) && held.load(Ordering::Relaxed);
            std::thread::spawn(move || pass((server, client), |_| assert!(soon(|| !waits()))));
        }
    });
    host
}

fn pass((mut from, mut to): (TcpStream, TcpStream), before: impl Fn(&[u8])) {
    let mut buffer = [0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        before(&buffer[..read]);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn a_pull_that_stands_still_stops() {
    let scene = Scene::new(SESSION);
    for to in ["oci:pulled", "pulled-files --unpack", "oci-archive:pulled.tar"] {
        let (_silent, mut child) = waiting(&scene, &[], "GET blob", &format!("pull HOST/big:v1 {to}"));
        send(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(143), "{to}");
    }
    let left: Vec<_> = std::fs::read_dir(scene.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".artifact-")), "{left:?}");
}

fn a_command_under_nohup_goes_on() {
    let scene = Scene::new(SESSION);
    let starter = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
    let (_silent, mut child) = waiting(&scene, &starter, "GET blob", "pull HOST/big:v1 oci:pulled");
    send(&child, "HUP");
    send(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143), "it was not SIGHUP that ended it");
}

fn a_reader_that_has_seen_enough_ends_a_command_without_a_word() {
    let scene = Scene::new(SESSION);
    let starter = ["sh", "-c", "{ \"$0\" \"$@\"; echo \"code $?\" >&2; } | head -c 9"].map(str::to_owned);
    let out = scene.command_by(&starter, scene.path(), "cat oci:origin:v1 large.bin").output().unwrap();
    assert_eq!((out.stdout.len(), String::from_utf8(out.stderr).unwrap().as_str()), (9, "code 0\n"));
}
