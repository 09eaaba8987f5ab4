//! What is told while something takes time, and what the account says at the end.

use std::sync::{Arc, Mutex};

use artifact::{
    check, copy,
    pack::{self, pack},
    plan::{self, Plan, Reads},
    progress::{Event, Observer, Outcome, Progress},
    source::Source,
    store::{ReadStore, Store},
    stores::registry::Options,
    types::{ArtifactType, Catalog, Inputs, Origin},
};

use crate::{
    stores::memory,
    support::{
        faulty::Faulty,
        samples::{Sample, deliver, named, noise},
    },
};

/// All that was told.
#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Progress for Heard {
    fn event(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Heard {
    fn observer(self: &Arc<Self>) -> Observer {
        Observer::new(Arc::clone(self) as Arc<dyn Progress>)
    }

    fn all<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.0.lock().unwrap().iter().filter_map(pick).collect()
    }
}

#[tokio::test]
async fn what_packing_reads_is_known_before_and_told_while_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    for (name, size) in [("a", 700_000), ("b", 1), ("sub/c", 300_000)] {
        let path = dir.path().join("source").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, noise(size, 1)).unwrap();
    }
    let source = Source::open(dir.path().join("source")).unwrap();
    for layout in ["tree", "files"] {
        let set = [("layout".to_owned(), layout.to_owned())].into();
        let kind = Catalog::builtin().unwrap().get("file-bundle").unwrap().clone();
        let plan = kind.plan(&source, &Inputs { set, ..Inputs::default() }).unwrap();
        let heard = Arc::new(Heard::default());
        let options = pack::Options { progress: heard.observer(), ..pack::Options::new(dir.path()) };
        pack(&plan, &options).await.unwrap();
        assert!(matches!(heard.0.lock().unwrap()[0], Event::Packing { files: 3, bytes: 1_000_001 }), "{layout}");
        let read = heard.all(|event| if let Event::Read(bytes) = event { Some(*bytes) } else { None });
        assert_eq!((read.iter().sum::<u64>(), read.len() > 3), (1_000_001, true), "{layout}");
    }
}

/// What is announced when this is packed: files, and their bytes.
async fn announced(plan: &Plan) -> (usize, u64) {
    let (heard, scratch) = (Arc::new(Heard::default()), tempfile::tempdir().unwrap());
    let options = pack::Options { progress: heard.observer(), ..pack::Options::new(scratch.path()) };
    pack(plan, &options).await.unwrap();
    let packing = heard.all(|event| match event {
        Event::Packing { files, bytes } => Some((*files, *bytes)),
        _ => None,
    });
    let [one] = packing[..] else { panic!("{packing:?}") };
    one
}

#[tokio::test]
async fn what_is_announced_was_counted_while_it_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("a.txt", "four"), ("b.txt", "sixsix"), ("config.json", "{}")] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    // The files in one tar, each by itself, and one of them a second time under its title, which is left out.
    let text = "apiVersion: artifact-type/v1\nkind: ArtifactType\nmetadata: {name: counted}\ndetect: [{form: all, dir: {}}]\n\
                source:\n  sets:\n    config: {path: config.json}\n    files: {globs: ['*.txt']}\n    a: {path: a.txt}\n\
                config: {mediaType: a/b, raw: config}\n\
                layers:\n  items:\n  - {id: text, text: hello, title: hello}\n  - {id: tar, tar: {set: files}}\n  \
                - {id: file, each: [files, a], mediaType: text/plain, title: '{{ file.name }}'}\n\
                manifest: {artifactType: a/b}\n";
    let kind = Arc::new(ArtifactType::parse(text, Origin::File("counted.yaml".into())).unwrap());
    let plan = kind.plan(&Source::open(dir.path()).unwrap(), &Inputs::default()).unwrap();
    assert_eq!(plan.manifest().unwrap().reads, Some(Reads { files: 5, bytes: 2 * (4 + 6) + 2 }));
    // A file that grew meanwhile is not looked at for a figure.
    std::fs::write(dir.path().join("a.txt"), "longer than four").unwrap();
    assert_eq!(announced(&plan).await, (5, 22));
    // A plan that comes as JSON says nothing of it.
    let read: Plan = plan::parse(&serde_json::to_vec(&plan).unwrap()).unwrap();
    assert_eq!(announced(&read).await, (5, 2 * (16 + 6) + 2));
}

#[tokio::test(start_paused = true)]
async fn a_copy_with_a_bad_day_accounts_for_what_was_tried_again_and_what_need_not_come_again() {
    let sample = Sample::of(&[&noise(3 << 20, 1)]);
    let lose = |nth, after| format!("{{on: GET blob, nth: {nth}, lose: {{what: answer, after: {after}, by: reset}}}}");
    let world = Faulty::new(&format!("{}, {}", lose(1, 2 << 20), lose(2, 1 << 19)));
    deliver(&(Arc::new(world.healthy()) as Arc<dyn Store>), &sample, &["v1"]).await.unwrap();
    let heard = Arc::new(Heard::default());
    let options = Options { progress: heard.observer(), ..Options::default() };
    let from: Arc<dyn ReadStore> = Arc::new(world.repository(&options));
    let copying = copy::Options { progress: options.progress.clone(), ..copy::Options::default() };
    let report = copy::between(&from, &named("v1"), &memory().store, &copying).await.unwrap();
    let resumed = heard.all(|event| if let Event::Resumed(_, bytes) = event { Some(*bytes) } else { None });
    assert_eq!((report.retried, report.resumed), (2, resumed.iter().sum()));
    assert!(resumed.len() == 2 && report.resumed == (2 << 20) + (1 << 19), "{resumed:?}");
    let waits = heard.all(|event| match event {
        Event::Waiting { why, .. } | Event::Retried { why } => Some(why.contains("/blobs/sha256:")),
        _ => None,
    });
    assert_eq!(waits, [true; 4]);
    let moved = heard.all(|event| if let Event::Moved(_, bytes) = event { Some(*bytes) } else { None });
    assert!(moved.iter().sum::<u64>() >= 3 << 20);
}

#[tokio::test]
async fn checking_tells_what_it_reads() {
    let sample = Sample::of(&[&noise(700_000, 1), b"small"]);
    let heard = Arc::new(Heard::default());
    let options = check::Options { progress: heard.observer(), ..check::Options::default() };
    check::check_with(&sample.in_memory(&["v1"]).await, &options).await.unwrap();
    let planned =
        heard.all(|event| if let Event::Planned { items, bytes } = event { Some((*items, *bytes)) } else { None });
    let read = heard.all(|event| if let Event::Moved(_, bytes) = event { Some(*bytes) } else { None });
    let done = heard.all(|event| matches!(event, Event::Done(_, Outcome::Present)).then_some(()));
    assert_eq!(planned, [(done.len(), read.iter().sum())]);
    assert!(done.len() >= 3);
}
