//! The hostile corpus: every input of the table is refused without a trace, or becomes exactly what the table says.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use artifact::{
    Kind,
    tarball::read::{Limits, Reader},
};
use proptest::prelude::*;

use super::{Job, World, tree};
use crate::support::{
    hostile::{CLASHING_TITLES, Expect, PLAIN_TITLES, archives, titles},
    tar::{Entry, archive},
};

#[tokio::test]
async fn every_hostile_archive_is_refused_without_a_trace() {
    for world in [World::new(), World::inhabited()] {
        let outside = world.canary();
        for (i, case) in archives(outside.to_str().unwrap()).into_iter().enumerate() {
            let Expect::Reject = case.expect else { continue };
            let job = Job::default().tar("", &case.archive).await;
            job.refused(&world, &format!("{} (number {i})", case.id)).await;
            let job = Job::default().tar("below/here", &case.archive).await;
            job.refused(&world, &format!("{} (number {i}, below)", case.id)).await;
        }
    }
}

#[tokio::test]
async fn every_odd_archive_becomes_exactly_what_was_agreed() {
    for case in archives("/nowhere") {
        let Expect::Tree(expected) = case.expect else { continue };
        let world = World::new();
        let job = Job::default().tar("", &case.archive).await;
        job.run(&world.dest()).await.unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let expected: BTreeMap<String, String> = expected.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        assert_eq!(tree::content(&world.dest()), expected, "{}", case.id);
    }
}

#[test]
fn the_corpus_has_all_families_of_archives() {
    let all = archives("/nowhere");
    let ids: BTreeSet<&str> =
        all.iter().flat_map(|c| c.id.split([' ', '/'])).filter(|id| id.starts_with('T')).collect();
    // Elsewhere: T12 (a race), T30 and T31 (modes).
    let missing = (1..=45).map(|n| format!("T{n}")).filter(|id| !ids.contains(id.as_str())).collect::<Vec<_>>();
    assert_eq!(missing, ["T12", "T30", "T31"]);
}

#[tokio::test]
async fn hostile_titles_are_refused_without_a_trace() {
    let world = World::inhabited();
    for (id, title) in titles(world.canary().to_str().unwrap()) {
        let job = Job::default().file("good", "good").await.file(&title, "evil").await;
        job.refused(&world, &format!("{id} {:.50}", title)).await;
    }
    for (a, b) in CLASHING_TITLES {
        let job = Job::default().file(a, "1").await.file(b, "2").await;
        let error = job.refused(&world, &format!("A4 {a} {b}")).await;
        assert_eq!(error.kind(), Kind::Exists, "{a} {b}");
    }
}

#[tokio::test]
async fn titles_are_names_and_never_commands_or_templates() {
    let world = World::new();
    let mut job = Job::default();
    for title in PLAIN_TITLES {
        job = job.file(title, "plain").await;
    }
    job.run(&world.dest()).await.unwrap();
    for title in PLAIN_TITLES {
        assert_eq!(std::fs::read_to_string(world.dest().join(title)).unwrap(), "plain");
    }
    assert!(!world.dest().join("evil").exists());
}

#[tokio::test]
async fn a_link_in_an_archive_without_links_is_refused() {
    let world = World::new();
    let action = artifact::plan::Action::Extract {
        compress: artifact::plan::Compression::None,
        root: None,
        strip: 0,
        links: false,
        diff_id: None,
    };
    for link in [Entry::symlink("l", "f"), Entry::hard("l", "f")] {
        let bytes = archive([Entry::file("f", "data"), link]);
        let error = Job::default().step("", &bytes, action.clone()).await.refused(&world, "a link").await;
        assert_eq!(error.kind(), Kind::Unsupported);
    }
}

#[tokio::test]
async fn more_than_a_limit_is_refused() {
    let world = World::new();
    let bytes = archive([Entry::dir("d"), Entry::file("d/a", "12345"), Entry::file("d/b", "12345")]);
    let default = Limits::default();
    for limits in [
        Limits { entries: 2, ..default.clone() },
        Limits { depth: 1, ..default.clone() },
        Limits { path: 2, ..default.clone() },
        Limits { file: 4, ..default.clone() },
        Limits { total: 9, ..default.clone() },
    ] {
        let mut job = Job::default().tar("", &bytes).await;
        job.options.limits = limits;
        assert_eq!(job.refused(&world, "a limit").await.kind(), Kind::Limit);
    }
    let mut job = Job::default().tar("", &bytes).await;
    job.options.limits = Limits { entries: 3, depth: 2, path: 3, file: 5, total: 10, ..default };
    job.run(&world.dest()).await.unwrap();
}

/// Counts what is read of an endless source.
struct Endless<'a>(&'a AtomicU64);

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(b'a');
        self.0.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(buffer.len())
    }
}

#[test]
fn a_huge_extension_header_is_refused_before_it_is_read() {
    for flag in [b'L', b'K', b'x', b'g'] {
        let read = AtomicU64::new(0);
        let header = Entry::new(flag, "././@LongLink", "").size(256 << 20).bytes();
        let mut reader = Reader::new((&header[..]).chain(Endless(&read)), Limits::default());
        assert_eq!(reader.next_member().unwrap_err().kind(), Kind::Limit);
        assert!(read.load(Ordering::Relaxed) <= 128 << 10, "{read:?}");
    }
}

/// Swaps directories of the staging directory for links to the outside, again and again, while files are written (T12).
#[test]
fn nothing_lands_outside_when_directories_turn_into_links_meanwhile() {
    let world = World::new();
    let before = tree::state(&world.canary());
    // More directories than are held open, in turn, so that they are opened again and again.
    let files = (0..20).flat_map(|f| (0..100).map(move |d| Entry::file(format!("d{d}/f{f}"), "evil")));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let job = runtime.block_on(Job::default().tar("", &archive(files)));
    let done = AtomicBool::new(false);
    let swaps = AtomicU64::new(0);
    let (base, canary) = (world.dir.path().to_owned(), world.canary());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir(&base).unwrap().flatten() {
                    let staged = entry.file_name().to_string_lossy().starts_with(".artifact-unpack-");
                    for d in (0..100).filter(|_| staged) {
                        let (dir, aside) = (entry.path().join(format!("d{d}")), entry.path().join(format!("aside{d}")));
                        let swapped =
                            std::fs::rename(&dir, &aside).is_ok() && std::os::unix::fs::symlink(&canary, &dir).is_ok();
                        swaps.fetch_add(u64::from(swapped), Ordering::Relaxed);
                    }
                }
                std::thread::yield_now();
            }
        });
        for _ in 0..20 {
            // It fails where it meets a link, or succeeds where it was faster.
            let _ = runtime.block_on(job.run(&world.dest()));
            let _ = std::fs::remove_dir_all(world.dest());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(swaps.load(Ordering::Relaxed) > 0, "the race never took place");
    assert_eq!(tree::state(&world.canary()), before);
}

fn read_all(bytes: &[u8]) -> artifact::Result<()> {
    let mut reader = Reader::new(bytes, Limits::default());
    while reader.next_member()?.is_some() {
        std::io::copy(&mut reader.data(), &mut std::io::sink())?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bytes_never_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        prop_assert!(read_all(&bytes).is_err());
    }

    #[test]
    fn random_headers_and_records_never_panic_the_reader(
        flag: u8, patches in proptest::collection::vec((0_usize..500, any::<[u8; 8]>()), 0..4), data: Vec<u8>, name: String,
    ) {
        let name: String = name.chars().take(20).collect();
        let mut entry = Entry::new(flag, name, &data);
        for (offset, patch) in patches {
            entry = entry.set(offset, &patch);
        }
        let _ = read_all(&archive([entry, Entry::file("a", "data")]));
    }
}
