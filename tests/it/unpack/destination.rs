//! Where files land, with which permissions, and what a failure leaves behind: nothing.

use std::{
    fmt,
    ops::Range,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    sync::Arc,
};

use artifact::{
    Kind,
    blob::{ByteStream, once},
    oci::{Descriptor, Digest},
    plan::{Action, Compression, Step},
    store::{Item, Name, NamePage, Presence, ReadStore, one_page},
    unpack::unpack,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};

use super::{Job, World, tree};
use crate::support::tar::{Entry, archive};

fn rooted(root: &str) -> Action {
    Action::Extract { compress: Compression::None, root: Some(root.into()), strip: 0, links: true, diff_id: None }
}

fn mode(path: impl AsRef<std::path::Path>) -> u32 {
    path.as_ref().symlink_metadata().unwrap().mode() & 0o7777
}

#[tokio::test]
async fn a_new_destination_is_made_with_its_parents() {
    let world = World::new();
    let bytes = archive([Entry::dir("d"), Entry::file("d/f", "data"), Entry::symlink("l", "d/f")]);
    let job = Job::default().file("top.txt", "hello").await.tar("in/here", &bytes).await;
    let dest = world.dest().join("not/yet");
    let report = job.run(&dest).await.unwrap();
    assert_eq!((report.files, report.directories, report.links, report.bytes), (2, 3, 1, 9));
    assert_eq!(report.notes, [""; 0]);
    let names: Vec<String> = tree::content(&dest).into_keys().collect();
    assert_eq!(names, ["in/", "in/here/", "in/here/d/", "in/here/d/f", "in/here/l@", "top.txt"]);
    assert_eq!(std::fs::read_dir(world.dir.path()).unwrap().count(), 3, "a staging directory was left");
    // Permissions as if the user had made it.
    let own = world.dir.path().join("own");
    std::fs::create_dir(&own).unwrap();
    assert_eq!(mode(&dest), mode(&own) & 0o755);
}

#[tokio::test]
async fn a_top_directory_of_any_name_can_be_stripped_and_a_file_beside_it_is_an_error() {
    let stripped = || Action::Extract { compress: Compression::None, root: None, strip: 1, links: true, diff_id: None };
    let world = World::new();
    let members = [
        Entry::dir("./odd"),
        Entry::file("./odd/f", "data"),
        Entry::file("odd/d/g", "data"),
        Entry::hard("odd/h", "odd/f"),
    ];
    let job = Job::default().step("own", &archive(members), stripped()).await;
    job.run(&world.dest()).await.unwrap();
    let names: Vec<String> = tree::content(&world.dest()).into_keys().collect();
    assert_eq!(names, ["own/", "own/d/", "own/d/g", "own/f", "own/h"]);
    let job = Job::default().step("own", &archive([Entry::file("f", "data")]), stripped()).await;
    assert_eq!(job.refused(&World::new(), "a file beside the top").await.kind(), Kind::Invalid);
}

#[tokio::test]
async fn files_join_what_is_at_the_destination() {
    let world = World::inhabited();
    let bytes = archive([Entry::dir("kept").mode(0o700), Entry::file("kept/new", "new"), Entry::file("d/f", "data")]);
    let before = mode(world.dest().join("kept"));
    Job::default().tar("", &bytes).await.file("top", "top").await.run(&world.dest()).await.unwrap();
    let names: Vec<String> = tree::content(&world.dest()).into_keys().collect();
    assert_eq!(names, ["d/", "d/f", "kept/", "kept/file", "kept/new", "link@", "top"]);
    assert_eq!(mode(world.dest().join("kept")), before, "the directory of somebody else keeps its permissions");
}

#[tokio::test]
async fn files_in_the_way_are_all_named_and_kept_unless_asked_otherwise() {
    let world = World::inhabited();
    let bytes = archive([Entry::file("kept/file", "new"), Entry::file("link", "new"), Entry::file("other", "new")]);
    let mut job = Job::default().tar("", &bytes).await;
    let error = job.refused(&world, "files in the way").await;
    assert_eq!(error.kind(), Kind::Exists);
    assert_eq!(error.message(), "different files exist at the destination: `kept/file`, `link`");
    job.options.overwrite = true;
    job.run(&world.dest()).await.unwrap();
    assert!(tree::content(&world.dest()).values().all(|text| text == "new" || text.is_empty()));
    assert!(world.canary().join("file").is_file(), "a link was replaced, not what it pointed at");
}

#[tokio::test]
async fn a_file_in_the_way_is_found_before_anything_is_fetched() {
    let world = World::inhabited();
    let mut job = Job::default().file("kept/file", "new").await;
    job.store = artifact::stores::Memory::new();
    assert_eq!(job.refused(&world, "a file in the way").await.kind(), Kind::Exists);
    let mut job = Job::default().file("kept/file", "size").await;
    job.store = artifact::stores::Memory::new();
    assert_eq!(job.refused(&world, "a file of the same size").await.kind(), Kind::Exists);
}

#[tokio::test]
async fn directories_never_replace_files_nor_files_directories() {
    let world = World::inhabited();
    for (path, why) in [("kept", "a file for a directory"), ("kept/file/x", "a directory for a file"), ("link/x", "A3")]
    {
        let mut job = Job::default().file("fine", "new").await.file(path, "new").await;
        job.options.overwrite = true;
        assert_eq!(job.refused(&world, why).await.kind(), Kind::Exists);
    }
    std::fs::write(world.dir.path().join("plain"), "a file").unwrap();
    let job = Job::default().file("x", "new").await;
    assert_eq!(job.run(&world.dir.path().join("plain")).await.unwrap_err().kind(), Kind::Exists);
    assert_eq!(std::fs::read_to_string(world.dir.path().join("plain")).unwrap(), "a file");
}

#[tokio::test]
async fn permissions_are_at_most_those_of_everyday_files() {
    let world = World::new();
    let asked = [0o777, 0o666, 0o000, 0o444, 0o755, 0o4755, 0o2755, 0o1644, 0o7777];
    let files = asked.iter().map(|mode| Entry::file(format!("f{mode:o}"), "x").mode(*mode));
    let dirs = asked.iter().map(|mode| Entry::dir(format!("d{mode:o}")).mode(*mode));
    let inside = Entry::file("d0/inside", "x");
    let bytes = archive(files.chain(dirs).chain([inside]));
    let job = Job::default().tar("", &bytes).await.step("exe", b"#!", Action::Write { mode: 0o7777 }).await;
    let report = job.run(&world.dest()).await.unwrap();
    let umask = !mode(world.dir.path().join("dest-evil")) & 0o777;
    for asked in asked {
        assert_eq!(mode(world.dest().join(format!("f{asked:o}"))), asked & 0o755 & !umask, "T30/T31 f{asked:o}");
        let expected = (asked & 0o755 | 0o700) & !umask;
        assert_eq!(mode(world.dest().join(format!("d{asked:o}"))), expected, "T30/T31 d{asked:o}");
    }
    assert_eq!(mode(world.dest().join("exe")), 0o755 & !umask);
    assert_eq!(
        report.notes,
        [
            "9 members lost set-user-id, set-group-id or sticky bits",
            "7 members lost write permission for group and others",
            "4 members are directories and gained access for their owner",
        ]
    );
}

#[tokio::test]
async fn a_top_directory_without_write_permission_is_unpacked_like_any_other() {
    let world = World::new();
    let entries = [Entry::dir("d").mode(0o555), Entry::dir("d/sub").mode(0o555), Entry::file("d/sub/a", "1")];
    let report = Job::default().step("d", &archive(entries), rooted("d")).await.run(&world.dest()).await.unwrap();
    assert_eq!(report.notes, ["2 members are directories and gained access for their owner"]);
    let umask = !mode(world.dir.path().join("dest-evil")) & 0o777;
    assert_eq!(mode(world.dest().join("d")), 0o755 & !umask);
}

#[tokio::test]
async fn a_slash_at_the_start_of_a_name_is_dropped_with_a_note() {
    let world = World::new();
    let bytes = archive([Entry::file("/policy.rego", "1"), Entry::file("/.manifest", "2"), Entry::file("a", "3")]);
    let report = Job::default().tar("", &bytes).await.run(&world.dest()).await.unwrap();
    assert_eq!(report.notes, ["2 members lost the slash at the start of their name"]);
    assert_eq!(tree::content(&world.dest()).into_keys().collect::<Vec<_>>(), [".manifest", "a", "policy.rego"]);
}

#[tokio::test]
async fn times_are_kept_to_the_nanosecond() {
    let world = World::new();
    let bytes = archive([
        Entry::dir("d").set(136, b"00000000144\0"),
        Entry::pax(&[("mtime", "1234567890.987654321")]),
        Entry::file("d/f", "x"),
        Entry::symlink("d/l", "f").set(136, b"00000000012\0"),
    ]);
    Job::default().tar("", &bytes).await.run(&world.dest()).await.unwrap();
    let time = |path: &str| {
        let meta = world.dest().join(path).symlink_metadata().unwrap();
        (meta.mtime(), meta.mtime_nsec())
    };
    assert_eq!((time("d"), time("d/f"), time("d/l")), ((100, 0), (1_234_567_890, 987_654_321), (10, 0)));
}

#[tokio::test]
async fn a_time_that_cannot_be_kept_becomes_the_nearest_with_a_note() {
    let world = World::new();
    let at = |mtime: &'static str, name| [Entry::pax(&[("mtime", mtime)]), Entry::file(name, "x")];
    let bytes = archive([at("-31536000.25", "old"), at("0", "first"), at("253402300800", "far")].into_iter().flatten());
    let report = Job::default().tar("", &bytes).await.run(&world.dest()).await.unwrap();
    assert_eq!(report.notes, ["2 members have a time before 1970 or after 9999 and got the nearest one"]);
    let time = |path: &str| world.dest().join(path).symlink_metadata().unwrap().mtime();
    assert_eq!((time("old"), time("first")), (0, 0));
    assert!(time("far") > 2_000_000_000);
}

#[tokio::test]
async fn a_common_root_is_stripped_and_must_be_common() {
    let entries = [Entry::dir("a/b/"), Entry::file("./a/b/f", "x"), Entry::hard("a/b/h", "a/b/f")];
    let world = World::new();
    Job::default().step("docs", &archive(entries), rooted("a/b")).await.run(&world.dest()).await.unwrap();
    let names: Vec<String> = tree::content(&world.dest()).into_keys().collect();
    assert_eq!(names, ["docs/", "docs/f", "docs/h"]);
    for outside in [Entry::file("a/f", "x"), Entry::file("a/bc/f", "x"), Entry::dir("a"), Entry::file("a/b", "x")] {
        let job = Job::default().step("docs", &archive([outside]), rooted("a/b")).await;
        job.refused(&World::new(), "a member outside its root").await;
    }
    let job = Job::default().step("docs", &archive([Entry::symlink("a/b/l", "../../x")]), rooted("a/b")).await;
    assert_eq!(job.refused(&World::new(), "a link out of the root").await.kind(), Kind::Escape);
}

#[tokio::test]
async fn only_what_is_asked_for_is_written() {
    let bytes = archive([
        Entry::dir("docs"),
        Entry::file("docs/a.md", "a"),
        Entry::file("docs/deep/b.md", "b"),
        Entry::file("src/c.rs", "c"),
        Entry::dir("empty"),
    ]);
    let mut job = Job::default().tar("", &bytes).await.file("README.md", "r").await.file("other", "o").await;
    for (patterns, expected) in [
        (&["docs"][..], &["docs/", "docs/a.md", "docs/deep/", "docs/deep/b.md"][..]),
        (&["*.md", "src/*"], &["README.md", "src/", "src/c.rs"]),
        (&["**/b.md"], &["docs/", "docs/deep/", "docs/deep/b.md"]),
    ] {
        let world = World::new();
        job.options.include = patterns.iter().map(|p| (*p).to_owned()).collect();
        job.run(&world.dest()).await.unwrap();
        let names: Vec<String> = tree::content(&world.dest()).into_keys().collect();
        assert_eq!(names, expected, "{patterns:?}");
    }
    job.options.include = vec!["nothing".into()];
    assert_eq!(job.refused(&World::new(), "nothing").await.kind(), Kind::NotFound);
}

#[tokio::test]
async fn steps_may_share_directories_but_not_files() {
    let world = World::new();
    let one = archive([Entry::dir("d"), Entry::file("d/a", "1")]);
    let two = archive([Entry::dir("d"), Entry::file("d/b", "2")]);
    Job::default().tar("", &one).await.tar("", &two).await.run(&world.dest()).await.unwrap();
    assert_eq!(tree::content(&world.dest()).len(), 3);
    for clash in ["d/a", "d", "d/a/x"] {
        let job = Job::default().tar("", &one).await.file(clash, "clash").await;
        assert_eq!(job.refused(&World::new(), clash).await.kind(), Kind::Exists);
    }
}

#[tokio::test]
async fn too_little_space_is_said_before_anything_is_fetched() {
    let blob = Descriptor { size: 1 << 60, ..Descriptor::of("a/b", b"") };
    let mut job = Job::default();
    job.unpacking.steps.push(Step { blob, path: "f".into(), action: Action::Write { mode: 0o644 } });
    for world in [World::new(), World::inhabited()] {
        assert_eq!(job.refused(&world, "a full disk").await.kind(), Kind::NoSpace);
    }
}

#[tokio::test]
async fn leftovers_of_a_killed_run_are_removed_and_those_of_a_running_one_are_not() {
    let world = World::new();
    let staged = |name: &str| world.dir.path().join(format!(".artifact-unpack-{name}"));
    for name in ["dead", "alive"] {
        std::fs::create_dir_all(staged(name).join("d")).unwrap();
        std::fs::set_permissions(staged(name), std::fs::Permissions::from_mode(0o1700)).unwrap();
    }
    // What a user, or another program, called so.
    std::fs::create_dir_all(staged("kept").join("d")).unwrap();
    std::fs::create_dir(staged("empty")).unwrap();
    std::fs::write(staged("file"), "kept").unwrap();
    std::os::unix::fs::symlink(world.canary(), staged("link")).unwrap();
    let alive = std::fs::File::open(staged("alive")).unwrap();
    alive.lock().unwrap();
    Job::default().file("f", "data").await.run(&world.dest()).await.unwrap();
    assert!(!staged("dead").exists() && staged("alive").join("d").exists());
    assert!(world.canary().join("file").exists() && staged("link").is_symlink());
    assert!(staged("kept").join("d").exists() && staged("empty").exists() && staged("file").exists());
}

#[tokio::test]
async fn no_artifact_has_a_name_of_our_temporary_files_wherever_it_lands() {
    let own = ".artifact-unpack-evil/f";
    for (root, path) in [("", own.to_owned()), ("pkg", format!("pkg/{own}")), ("", format!("a/b/{own}"))] {
        let bytes = archive([Entry::file(&*path, "x")]);
        for place in ["", "d", "d/e"] {
            let job = Job::default().step(place, &bytes, rooted(root)).await;
            let error = job.refused(&World::new(), &path).await;
            assert!(error.to_string().contains("starts with `.artifact-`, which is reserved"), "{error}");
        }
    }
    for title in [own, "d/.artifact-x", ".ARTIFACT-x/f"] {
        let job = Job::default().file(title, "x").await;
        assert_eq!(job.refused(&World::new(), title).await.kind(), Kind::Invalid);
    }
    let world = World::new();
    Job::default().file("d/.artifactignore", "x").await.run(&world.dest()).await.unwrap();
}

#[tokio::test]
async fn a_new_destination_has_no_mark_of_a_staging_directory() {
    let world = World::new();
    Job::default().file("f", "x").await.run(&world.dest()).await.unwrap();
    assert_eq!(mode(world.dest()) & 0o1000, 0);
}

#[tokio::test]
async fn the_mark_that_a_killed_run_left_at_its_destination_is_removed_by_the_next() {
    let world = World::new();
    let job = Job::default().file("f", "x").await;
    job.run(&world.dest()).await.unwrap();
    let whole = mode(world.dest());
    for (before, after) in [(0o1000 | whole, whole), (0o1700, 0o1700)] {
        std::fs::set_permissions(world.dest(), std::fs::Permissions::from_mode(before)).unwrap();
        job.run(&world.dest()).await.unwrap();
        assert_eq!(mode(world.dest()), after, "it was {before:o}");
    }
}

#[tokio::test]
async fn a_run_that_was_killed_between_two_moves_is_finished_by_the_next() {
    let bytes = archive([
        Entry::dir("d"),
        Entry::file("d/f", "data").mode(0o755),
        Entry::file("large", vec![b'x'; 100_000]),
        Entry::symlink("l", "d/f"),
    ]);
    let job = Job::default().tar("", &bytes).await.file("top", "top").await;
    let undisturbed = World::inhabited();
    job.run(&undisturbed.dest()).await.unwrap();
    // In the order in which they are moved.
    let moves = ["d", "l", "large", "top"];
    for killed_at in 0..=moves.len() {
        let world = World::inhabited();
        let staged = world.dest().join(".artifact-unpack-killed");
        // The staging directory of the killed run is that of a whole one, less what it had moved.
        let first = Job { store: job.store.clone(), unpacking: job.unpacking.clone(), ..Job::default() };
        first.run(&staged).await.unwrap();
        std::fs::set_permissions(&staged, std::fs::Permissions::from_mode(0o1700)).unwrap();
        for name in &moves[..killed_at] {
            std::fs::rename(staged.join(name), world.dest().join(name)).unwrap();
        }
        let report = job.run(&world.dest()).await.unwrap_or_else(|e| panic!("killed before move {killed_at}: {e}"));
        let content = |world: &World| {
            let mut content = tree::content(&world.dest());
            // It leads to each world's own outside.
            content.remove("link@").unwrap();
            content
        };
        assert!(content(&world) == content(&undisturbed), "killed before move {killed_at}: {:?}", content(&world));
        let note = format!("unchanged files, already at the destination: {killed_at}");
        assert_eq!(report.notes, if killed_at == 0 { vec![] } else { vec![note] });
    }
}

#[tokio::test]
async fn only_a_file_that_is_the_same_in_every_bit_and_in_its_mode_is_not_in_the_way() {
    let world = World::new();
    // Longer than what is compared at a time.
    let data = "data".repeat(50_000);
    let bytes = archive([Entry::file("f", &*data), Entry::symlink("l", "to"), Entry::file("n", "new")]);
    let job = Job::default().tar("", &bytes).await.file("one", "file").await;
    job.run(&world.dest()).await.unwrap();
    let at = |name: &str| world.dest().join(name);
    let before = at("f").metadata().unwrap().ino();
    job.run(&world.dest()).await.unwrap();
    assert_eq!(at("f").metadata().unwrap().ino(), before, "what is there stays");
    let link = |text: &str, name: &str| std::os::unix::fs::symlink(text, at(name)).unwrap();
    let changes: [(&str, &dyn Fn()); 9] = [
        ("f", &|| std::fs::write(at("f"), data.replace("data", "date")).unwrap()),
        ("f", &|| std::fs::write(at("f"), "").unwrap()),
        ("f", &|| std::fs::write(at("f"), format!("{}date", &data[4..])).unwrap()),
        ("f", &|| std::fs::write(at("f"), format!("{data}data")).unwrap()),
        ("f", &|| {
            std::fs::write(at("f"), &data).unwrap();
            std::fs::set_permissions(at("f"), std::fs::Permissions::from_mode(0o600)).unwrap();
        }),
        ("f", &|| link("n", "f")),
        ("l", &|| link("of", "l")),
        ("one", &|| std::fs::write(at("one"), "fire").unwrap()),
        ("one", &|| link("f", "one")),
    ];
    for (name, change) in changes {
        std::fs::remove_dir_all(world.dest()).unwrap();
        job.run(&world.dest()).await.unwrap();
        for gone in [name, "n"] {
            std::fs::remove_file(at(gone)).unwrap();
        }
        change();
        let error = job.refused(&world, name).await;
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::Exists, &*format!("different files exist at the destination: `{name}`"))
        );
        assert!(!at("n").exists());
    }
}

/// Hands out these bytes for whatever it is asked, and then perhaps nothing more for ever.
struct Lying {
    bytes: Bytes,
    stalls: bool,
}

impl fmt::Display for Lying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a liar")
    }
}

#[async_trait]
impl ReadStore for Lying {
    async fn resolve(&self, _: &Name) -> artifact::Result<Descriptor> {
        Err(artifact::Error::not_found("nothing"))
    }

    async fn fetch(&self, _: &Item, _: Range<u64>) -> artifact::Result<ByteStream> {
        let bytes = once(self.bytes.clone());
        Ok(if self.stalls { bytes.chain(stream::pending()).boxed() } else { bytes })
    }

    async fn has(&self, items: &[Item]) -> artifact::Result<Vec<Presence>> {
        Ok(vec![Presence::Unknown; items.len()])
    }

    fn names(&self) -> BoxStream<'_, artifact::Result<NamePage>> {
        one_page(async { Ok(NamePage::default()) })
    }

    async fn referrers(&self, _: &Descriptor) -> artifact::Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn one_wrong_bit_anywhere_is_found_before_anything_is_visible() {
    let world = World::new();
    // Larger than what is fetched ahead, and a small one.
    for size in [3 << 20, 100] {
        let good = archive([Entry::file("a", vec![b'x'; size]), Entry::file("b", "data")]);
        for (path, action) in [("", super::extract(Compression::None)), ("f", Action::Write { mode: 0o644 })] {
            let mut job = Job::default();
            job.unpacking.steps.push(Step { blob: Descriptor::of("a/b", &good), path: path.into(), action });
            for at in [0, 600, good.len() / 2, good.len() - 1600, good.len() - 1] {
                let mut bytes = good.clone();
                bytes[at] ^= 1;
                let before = tree::state(world.dir.path());
                let store: Arc<dyn ReadStore> = Arc::new(Lying { bytes: bytes.into(), stalls: false });
                unpack(store, &job.unpacking, &world.dest(), &job.options).await.unwrap_err();
                assert!(tree::state(world.dir.path()) == before, "bit {at} of {path:?}");
            }
        }
    }
}

#[test]
fn stopping_half_way_leaves_nothing() {
    let world = World::new();
    let before = tree::state(world.dir.path());
    let bytes = archive([Entry::file("a", vec![b'x'; 3 << 20])]);
    let mut job = Job::default();
    let blob = Descriptor { size: 4 << 20, digest: Digest::of(b"never"), ..Descriptor::of("a/b", &bytes) };
    job.unpacking.steps.push(Step { blob, path: String::new(), action: super::extract(Compression::None) });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let store: Arc<dyn ReadStore> = Arc::new(Lying { bytes: bytes.into(), stalls: true });
    let dest = world.dest();
    let running = unpack(store, &job.unpacking, &dest, &job.options);
    runtime.block_on(async {
        let ended = tokio::time::timeout(std::time::Duration::from_millis(50), running).await;
        assert!(ended.is_err(), "it should be waiting for more");
    });
    // Waits for the writing thread.
    drop(runtime);
    assert_eq!(tree::state(world.dir.path()), before);
}
