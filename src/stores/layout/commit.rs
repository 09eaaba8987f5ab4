//! Making changes of the list durable: concurrent commits are written together.
//!
//! A session enqueues its change and waits. Once it has the lock, one writer takes all queued changes, reads
//! `index.json` again, merges them, replaces the file, and answers each session. It runs on a thread that owns its
//! data: a cancelled caller leaves nothing half done. A change that cannot be merged fails alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::Shared;
use crate::{
    error::{Error, Result},
    oci::{Descriptor, Digest},
    store::{Committed, NameChange, NameOutcome},
    stores::{
        index::{IndexFile, Parts},
        listing::{Manifests as _, replaces},
    },
};

/// Changes of the list by one session.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) names: Vec<NameChange>,
    /// Manifests without a name.
    pub(super) listed: BTreeMap<Digest, Descriptor>,
    /// Content to remove.
    pub(super) removals: Vec<Digest>,
    /// Indexes that are stored, whole or in part.
    pub(super) parts: Parts,
    /// Content was stored whose names are not durable yet.
    pub(super) wrote: bool,
}

impl Change {
    /// True if there is nothing to do, unless the list says something else about the indexes.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.listed.is_empty() && self.removals.is_empty() && !self.wrote
    }
}

/// Changes that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    changes: Vec<(Change, oneshot::Sender<Result<Committed>>)>,
    /// A writer is waiting for the lock and will take all changes.
    writer: bool,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A writer waiting for the lock.
struct Writer(Option<Arc<Shared>>);

impl Writer {
    fn run(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.write_waiting();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The runtime ended before the writer could run: nobody must wait for it, now or later.
        if let Some(shared) = self.0.take() {
            drop(mem::take(&mut *shared.queue.waiting()));
        }
    }
}

impl Shared {
    /// Enqueues a change for the writer, which writes it together with those of other sessions.
    pub(super) fn hand_over(self: Arc<Self>, change: Change) -> oneshot::Receiver<Result<Committed>> {
        let (answer, outcome) = oneshot::channel();
        let needed = {
            let mut waiting = self.queue.waiting();
            waiting.changes.push((change, answer));
            !mem::replace(&mut waiting.writer, true)
        };
        if needed {
            let mut writer = Writer(Some(self));
            tokio::task::spawn_blocking(move || writer.run());
        }
        outcome
    }

    /// Takes the lock, writes all waiting changes, and answers each session.
    fn write_waiting(self: Arc<Self>) {
        let locked = self.files.lock();
        let waiting = mem::take(&mut *self.queue.waiting());
        let (changes, answers): (Vec<_>, Vec<_>) = waiting.changes.into_iter().unzip();
        let outcomes = match locked.and_then(|_lock| self.write(&changes)) {
            Ok(outcomes) => outcomes,
            Err(e) => changes.iter().map(|_| Err(Error::new(e.kind(), e.to_string()))).collect(),
        };
        // A session that is answered finds no file of this write still open.
        drop(self);
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // The task of the session may have been cancelled.
            let _ = answer.send(outcome);
        }
    }

    /// Stores a list that is itself an index as content, before the list changes.
    fn keep_whole(&self, index: &IndexFile) -> Result<()> {
        match index.whole() {
            Some((desc, bytes)) if self.files.blob_size(&desc.digest)? != Some(desc.size) => {
                self.files.write(&desc.digest, bytes)
            }
            _ => Ok(()),
        }
    }

    /// Merges changes into the current list, one after the other. Errors: none was written.
    fn write(&self, changes: &[Change]) -> Result<Vec<Result<Committed>>> {
        let _share = self.memory.take(self.files.index_weight()?);
        let (mut index, mut gone) = (self.files.index()?, BTreeSet::new());
        if let Some(settled) = index.settled()? {
            self.keep_whole(&index)?;
            index = settled;
        }
        let mut outcomes = Vec::new();
        for change in changes {
            let mut merged = index.clone();
            let outcome = self.merge(&mut merged, change, &gone);
            if outcome.is_ok() {
                index = merged;
                gone.extend(&change.removals);
            }
            outcomes.push(outcome);
        }
        if index.changed() || changes.iter().any(|change| change.wrote) {
            self.files.sync_blobs()?;
        }
        if index.changed() {
            self.files.write_index(&index)?;
        }
        // Nothing refers to this content any more; its session reports a failure to remove it.
        for (change, outcome) in changes.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            if let Err(e) = change.removals.iter().try_for_each(|digest| self.files.remove(digest).map(drop)) {
                *outcome = Err(e);
            }
        }
        Ok(outcomes)
    }

    /// Applies the changes of one session; `gone` is the content removed by earlier ones.
    fn merge(&self, index: &mut IndexFile, change: &Change, gone: &BTreeSet<&Digest>) -> Result<Committed> {
        let here = |digest: &Digest| if gone.contains(digest) { Ok(None) } else { self.files.blob_size(digest) };
        let present = |desc: &Descriptor| match here(&desc.digest)? {
            Some(size) if size == desc.size => Ok(()),
            _ => Err(self.files.missing(&desc.digest)),
        };
        let (mut tags, mut committed) = (BTreeMap::new(), Committed::default());
        for NameChange { name, to, expect, .. } in &change.names {
            // A name with two manifests is repaired by this change.
            let found = index.named(name).ok().flatten().map(|desc| desc.digest);
            expect.check(name, found.as_ref())?;
            match to {
                Some(desc) => {
                    present(desc)?;
                    tags.insert(name.clone(), desc.bare());
                }
                None if index.untag(name)? => {}
                None => return Err(self.files.missing(format_args!("tag `{name}`"))),
            }
            let outcome = NameOutcome::of(found.as_ref(), to.as_ref().map(|desc| &desc.digest));
            committed.names.push((name.clone(), outcome));
        }
        change.listed.values().try_for_each(present)?;
        let known = index.parts(&change.parts);
        self.list(index, &tags, &replaces(&change.names), &change.listed)?;
        index.note(&change.parts, &known)?;
        for digest in &change.removals {
            if here(digest)?.is_none() {
                return Err(self.files.missing(digest));
            }
            index.forget(digest);
        }
        Ok(committed)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{mem::MaybeUninit, time::Duration};

    use bytes::Bytes;
    use rustix::fs::inotify;

    use super::*;
    use crate::{
        oci::{Index, media_type},
        store::{self, Intent, ReadStore as _},
        stores::Layout,
    };

    /// How often something was put in the place of `index.json` in this directory.
    struct Rewrites(rustix::fd::OwnedFd);

    impl Rewrites {
        fn of(layout: &Layout) -> Self {
            let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
            inotify::add_watch(&watch, layout.path(), inotify::WatchFlags::MOVED_TO).unwrap();
            Self(watch)
        }

        fn count(&self) -> usize {
            let (mut room, mut count) = ([MaybeUninit::uninit(); 4096], 0);
            let mut events = inotify::Reader::new(&self.0, &mut room);
            while let Ok(event) = events.next() {
                count += usize::from(event.file_name().is_some_and(|name| name.to_bytes() == b"index.json"));
            }
            count
        }
    }

    fn manifest(about: &str) -> (Descriptor, Bytes) {
        let mut index = Index::of(Vec::new());
        index.annotations.insert("about".into(), about.into());
        let bytes = Bytes::from(serde_json::to_vec(&index).unwrap());
        (Descriptor::of(media_type::INDEX, &bytes), bytes)
    }

    /// Waits until so many changes wait for the writer.
    async fn waiting(layout: &Layout, count: usize) {
        while layout.0.queue.waiting().changes.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn set(layout: &Layout, about: &str, names: Vec<NameChange>) -> Result<Committed> {
        let (desc, bytes) = manifest(about);
        let write = store::begin(layout, Intent::default()).await?;
        write.puts().manifest(&desc, &bytes).await?;
        names.into_iter().try_for_each(|change| write.name(change))?;
        write.commit().await
    }

    #[tokio::test]
    async fn sixteen_sessions_of_ten_tags_that_commit_while_the_list_is_locked_are_one_rewrite() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let (rewrites, lock) = (Rewrites::of(&layout), layout.0.files.lock().unwrap());
        let mut sessions = tokio::task::JoinSet::new();
        for n in 0..16 {
            let layout = layout.clone();
            let (desc, _) = manifest(&n.to_string());
            let names =
                (0..10).map(|tag| NameChange::set(format!("s{n:02}t{tag}").parse().unwrap(), desc.bare())).collect();
            sessions.spawn(async move { set(&layout, &n.to_string(), names).await });
        }
        waiting(&layout, 16).await;
        assert!(Layout::open(temp.path()).unwrap().list_names().await.unwrap().names.is_empty());
        drop(lock);
        while let Some(done) = sessions.join_next().await {
            assert!(done.unwrap().unwrap().names.iter().all(|(_, outcome)| *outcome == NameOutcome::New));
        }
        assert_eq!(rewrites.count(), 1);
        let expected: Vec<crate::oci::RefName> =
            (0..160).map(|n| format!("s{:02}t{}", n / 10, n % 10).parse().unwrap()).collect();
        assert_eq!(Layout::open(temp.path()).unwrap().list_names().await.unwrap().names, expected);
    }

    #[tokio::test]
    async fn a_session_that_changes_nothing_does_not_wait_for_the_list() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let lock = layout.0.files.lock().unwrap();
        let write = store::begin(&layout, Intent::default()).await.unwrap();
        let commit = tokio::spawn(write.commit());
        while !commit.is_finished() {
            assert!(!layout.0.queue.waiting().writer, "it waits for the writer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(commit.await.unwrap().unwrap().names.is_empty());
        drop(lock);
    }

    #[tokio::test]
    async fn a_change_that_cannot_be_merged_fails_alone() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let (rewrites, lock) = (Rewrites::of(&layout), layout.0.files.lock().unwrap());
        let absent = |n: usize, to: &str| NameChange {
            expect: store::Expect::Absent,
            ..NameChange::set(format!("v{n}").parse().unwrap(), manifest(to).0)
        };
        let mut sessions = Vec::new();
        for (n, about, names) in [
            (1, "first", vec![absent(1, "first")]),
            (2, "second", vec![absent(2, "second"), absent(1, "second")]),
            (3, "third", vec![NameChange::set("v3".parse().unwrap(), manifest("never stored").0)]),
            (4, "fourth", vec![absent(2, "fourth")]),
        ] {
            let layout_of = layout.clone();
            sessions.push(tokio::spawn(async move { set(&layout_of, about, names).await }));
            waiting(&layout, n).await;
        }
        drop(lock);
        let mut outcomes = Vec::new();
        for session in sessions {
            outcomes.push(session.await.unwrap().err().map(|e| e.kind()));
        }
        use crate::error::Kind;
        assert_eq!(outcomes, [None, Some(Kind::Exists), Some(Kind::NotFound), None]);
        assert_eq!(rewrites.count(), 1);
        let reader = Layout::open(temp.path()).unwrap();
        assert_eq!(reader.list_names().await.unwrap().names, ["v1", "v2"]);
        assert_eq!(reader.resolve(&"v2".parse().unwrap()).await.unwrap(), manifest("fourth").0);
    }

    #[tokio::test]
    async fn a_name_for_content_of_another_size_is_not_set() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let (desc, _) = manifest("once");
        set(&layout, "once", vec![NameChange::set("v1".parse().unwrap(), desc.bare())]).await.unwrap();
        let longer = crate::oci::Descriptor { size: desc.size + 1, ..desc };
        let refused = store::set_name(&layout, "v2".parse().unwrap(), &longer).await.unwrap_err();
        assert_eq!(refused.kind(), crate::error::Kind::NotFound, "{refused}");
        assert_eq!(Layout::open(temp.path()).unwrap().list_names().await.unwrap().names, ["v1"]);
    }

    #[tokio::test]
    async fn what_one_session_removes_is_not_there_for_those_behind_it() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let (desc, _) = manifest("once");
        set(&layout, "once", vec![NameChange::set("v1".parse().unwrap(), desc.bare())]).await.unwrap();
        let lock = layout.0.files.lock().unwrap();
        let mut sessions = Vec::new();
        for (n, names) in
            [(1, Vec::new()), (2, vec![NameChange::set("v2".parse().unwrap(), desc.bare())]), (3, Vec::new())]
        {
            let (layout_of, gone) = (layout.clone(), store::Item::manifest(desc.clone()));
            let removals = if names.is_empty() { vec![gone] } else { Vec::new() };
            sessions.push(tokio::spawn(async move {
                let write = store::begin(&layout_of, Intent { removals, ..Intent::default() }).await?;
                names.into_iter().try_for_each(|change| write.name(change))?;
                write.commit().await
            }));
            waiting(&layout, n).await;
        }
        drop(lock);
        let mut outcomes = Vec::new();
        for session in sessions {
            outcomes.push(session.await.unwrap().err().map(|e| e.kind()));
        }
        let missing = Some(crate::error::Kind::NotFound);
        assert_eq!(outcomes, [None, missing, missing]);
        assert!(Layout::open(temp.path()).unwrap().list_names().await.unwrap().names.is_empty());
    }

    #[tokio::test]
    async fn a_writer_that_is_dropped_before_it_runs_answers_those_who_wait_and_lets_others_write() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let (answer, outcome) = oneshot::channel();
        {
            let mut waiting = layout.0.queue.waiting();
            waiting.changes.push((Change::default(), answer));
            waiting.writer = true;
        }
        drop(Writer(Some(Arc::clone(&layout.0))));
        assert!(outcome.await.is_err());
        assert!(Arc::clone(&layout.0).hand_over(Change::default()).await.unwrap().is_ok());
    }

    #[test]
    fn a_runtime_that_ends_before_its_writer_runs_holds_up_nobody() {
        let temp = tempfile::tempdir().unwrap();
        let layout = Layout::create(temp.path()).unwrap();
        let change = || Change { wrote: true, ..Change::default() };
        let runtime = || tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let first = runtime();
        let (started, begun) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let inside = first.enter();
        // Occupies the only thread, so that the writer is still to come when the runtime ends.
        tokio::task::spawn_blocking(move || {
            started.send(()).unwrap();
            let _ = released.recv();
        });
        begun.recv().unwrap();
        let mut waits = Arc::clone(&layout.0).hand_over(change());
        drop(inside);
        first.shutdown_background();
        drop(release);
        let second = runtime();
        // Whether the first writer ran or was dropped, nobody waits for it for ever.
        let _ = second.block_on(&mut waits);
        let outcome = second.block_on(async { Arc::clone(&layout.0).hand_over(change()).await });
        assert!(outcome.unwrap().is_ok());
    }
}
