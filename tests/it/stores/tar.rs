//! What only an archive can do, or can suffer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use artifact::{
    Code, Kind,
    progress::{Event, Observer, Progress},
    store::{Intent, NameChange, ReadStore, Store, begin, set_name},
    stores::{Archive, Layout},
};

use crate::support::{
    samples::{Sample, deliver, named, noise, ref_name},
    writing::{has, read},
};

fn to(path: &Path) -> Arc<dyn Store> {
    Arc::new(Archive::create(path).unwrap())
}

async fn filled() -> (tempfile::TempDir, PathBuf, Sample) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let sample = Sample::of(&[b"hello", &noise(200_000, 1), &noise(100_000, 2)]);
    deliver(&to(&path), &sample, &["v1"]).await.unwrap();
    (dir, path, sample)
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

/// The entries of a tar: header and content.
fn entries(path: &Path) -> Vec<(tar::Header, String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (header, name) = (entry.header().clone(), entry.path().unwrap().to_str().unwrap().to_owned());
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        all.push((header, name, content));
    }
    all
}

/// A tar of these entries, by another writer.
fn tar_of(entries: &[(&str, &[u8])]) -> tar::Builder<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder
}

#[tokio::test]
async fn the_same_content_gives_the_same_bytes_whatever_the_order_of_events() {
    let parts = [
        (Sample::of(&[&noise(100_000, 1), b"a"]), "one"),
        (Sample::of(&[&noise(300_000, 2), b"a"]), "two"),
        (Sample::index(&[Sample::of(&[b"c"]), Sample::of(&[&noise(70_000, 3)])]), "three"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut archives = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let path = dir.path().join(format!("{order:?}.tar"));
        for part in order {
            deliver(&to(&path), &parts[part].0, &[parts[part].1]).await.unwrap();
        }
        archives.push(fs::read(path).unwrap());
    }
    let layout: Arc<dyn Store> = Arc::new(Layout::create(dir.path().join("layout")).unwrap());
    let mut roots = Vec::new();
    for (sample, tag) in &parts {
        deliver(&layout, sample, &[tag]).await.unwrap();
        let tags = vec![ref_name(tag)];
        roots.push(artifact::graph::Root::new(sample.root().clone(), tags));
    }
    let from: Arc<dyn ReadStore> = layout;
    let path = dir.path().join("at-once.tar");
    artifact::copy::copy_roots(&[from], roots, &to(&path), &Default::default()).await.unwrap();
    archives.push(fs::read(path).unwrap());
    for archive in &archives[1..] {
        assert!(*archive == archives[0]);
    }
}

#[tokio::test]
async fn entries_are_plain_files_without_times_or_owners_small_ones_first() {
    let (_dir, path, sample) = filled().await;
    let entries = entries(&path);
    let names: Vec<&str> = entries.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["oci-layout", "index.json"]);
    let sizes: Vec<usize> = entries.iter().map(|(_, _, content)| content.len()).collect();
    assert_eq!(sizes[sizes.len() - 2..], [200_000, 100_000]);
    assert_eq!(entries.len(), 2 + sample.all().count());
    for (header, name, _) in &entries {
        let facts = (header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap());
        assert_eq!(facts, (0, 0, 0, 0o644), "{name}");
        assert_eq!(header.entry_type(), tar::EntryType::Regular);
    }
    let end = fs::read(&path).unwrap();
    assert!(end[end.len() - 1024..].iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn an_archive_of_another_tool_is_read_in_any_order_of_entries() {
    let (dir, path, sample) = filled().await;
    let mut parts = entries(&path);
    parts.reverse();
    let long = format!("docs/{}", "x".repeat(150));
    let mut other: Vec<(String, Vec<u8>)> = vec![(long, b"foreign".to_vec())];
    other.extend(parts.into_iter().map(|(_, name, content)| (format!("./{name}"), content)));
    let listed: Vec<(&str, &[u8])> = other.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let mut builder = tar_of(&listed);
    builder.append_dir("blobs", dir.path()).unwrap();
    builder.append_pax_extensions([("comment", &b"hello"[..])]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    builder.append_data(&mut header, "manifest.json", &b""[..]).unwrap();
    let path = dir.path().join("other.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    let archive = Archive::open(&path).unwrap();
    for (desc, bytes) in sample.all() {
        assert!(read(&archive, desc, 1 << 20).await.unwrap() == bytes);
    }
    assert_eq!(archive.resolve(&named("v1")).await.unwrap(), *sample.root());
    assert_eq!(archive.inventory().await.unwrap().unwrap().strays.len(), 2);
}

#[tokio::test]
async fn hostile_archives_are_refused() {
    let marker: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let list: (&str, &[u8]) = ("index.json", br#"{"schemaVersion":2,"manifests":[]}"#);
    let name = format!("blobs/sha256/{}", artifact::oci::Digest::of(b"x").hex());
    let blob: (&str, &[u8]) = (&name, b"x");
    let linked = |kind| {
        let mut builder = tar_of(&[marker, list]);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, &name, "/etc/shadow").unwrap();
        builder
    };
    let whole = tar_of(&[marker, list, blob]).into_inner().unwrap();
    let mut beyond = whole.clone();
    // The last header claims a file larger than the archive.
    let at = whole.len() - 1024 - 1024;
    let mut header = tar::Header::from_byte_slice(&whole[at..at + 512]).clone();
    header.set_size(1 << 40);
    header.set_cksum();
    beyond[at..at + 512].copy_from_slice(header.as_bytes());
    let cases: Vec<(&str, Vec<u8>, Kind)> = vec![
        ("a blob twice", tar_of(&[marker, list, blob, blob]).into_inner().unwrap(), Kind::Invalid),
        ("two lists", tar_of(&[marker, list, list]).into_inner().unwrap(), Kind::Invalid),
        ("two markers", tar_of(&[marker, marker, list]).into_inner().unwrap(), Kind::Invalid),
        ("no marker", tar_of(&[list]).into_inner().unwrap(), Kind::Invalid),
        ("no list", tar_of(&[marker, blob]).into_inner().unwrap(), Kind::Invalid),
        ("a symbolic link", linked(tar::EntryType::Symlink).into_inner().unwrap(), Kind::Invalid),
        ("a hard link", linked(tar::EntryType::Link).into_inner().unwrap(), Kind::Invalid),
        ("a FIFO", linked(tar::EntryType::Fifo).into_inner().unwrap(), Kind::Invalid),
        ("a size beyond the file", beyond, Kind::Mismatch),
        ("cut at a block", whole[..whole.len() - 1024].to_vec(), Kind::Mismatch),
        ("cut in a header", whole[..700].to_vec(), Kind::Mismatch),
        ("gzip", [&[0x1f, 0x8b, 8, 0][..], &[0; 600]].concat(), Kind::Unsupported),
        (
            "another version",
            tar_of(&[("oci-layout", br#"{"imageLayoutVersion":"3"}"#), list]).into_inner().unwrap(),
            Kind::Unsupported,
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    for (what, bytes, kind) in cases {
        fs::write(&path, bytes).unwrap();
        for outcome in [Archive::open(&path), Archive::create(&path)] {
            let error = outcome.err().unwrap_or_else(|| panic!("{what}"));
            assert_eq!(error.kind(), kind, "{what}: {error}");
        }
    }
    fs::write(&path, whole).unwrap();
    Archive::open(&path).unwrap();
}

#[tokio::test]
async fn a_list_of_ten_gib_is_refused_by_its_header() {
    use std::io::{Seek as _, Write as _};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let mut header = tar::Header::new_gnu();
    header.set_path("index.json").unwrap();
    header.set_size(10 << 30);
    header.set_cksum();
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.seek(std::io::SeekFrom::Start((10 << 30) + 512)).unwrap();
    file.write_all(&[0; 1024]).unwrap();
    assert_eq!(Archive::open(&path).unwrap_err().kind(), Kind::Limit);
}

#[tokio::test]
async fn nothing_is_visible_before_the_end_and_nothing_is_left_behind() {
    let (dir, path, sample) = filled().await;
    let before = fs::read(&path).unwrap();
    let more = Sample::of(&[b"more", &noise(400_000, 9)]);
    let write = begin(&*to(&path), more.intent(&["v2"])).await.unwrap();
    let (desc, bytes) = more.layer();
    write.puts().put(desc, bytes, &[]).await.unwrap();
    assert_eq!(Archive::open(&path).unwrap().list_names().await.unwrap().names, ["v1"]);
    let error = write.commit().await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(names(dir.path()), ["x.tar"]);
    assert!(read(&Archive::open(&path).unwrap(), sample.root(), 1 << 20).await.is_ok());
}

#[tokio::test]
async fn what_a_dropped_attempt_brought_leaves_no_trace_and_comes_again() {
    let (dir, path, _) = filled().await;
    let before = fs::read(&path).unwrap();
    let more = Sample::of(&[&noise(400_000, 9)]);
    let store = to(&path);
    let write = begin(&*store, more.intent(&["v2"])).await.unwrap();
    let (desc, bytes) = more.layer();
    write.puts().put(desc, bytes, &[]).await.unwrap();
    write.abandon().await;
    assert!(!has(&*store, desc).await.unwrap());
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(names(dir.path()), ["x.tar"]);
    deliver(&store, &more, &["v2"]).await.unwrap();
    assert!(read(&Archive::open(&path).unwrap(), desc, 1 << 20).await.unwrap() == bytes);
}

#[tokio::test]
async fn what_was_not_announced_is_refused() {
    let (_dir, path, sample) = filled().await;
    let store = to(&path);
    let stranger = Sample::of(&[b"stranger"]);
    let (desc, bytes) = stranger.layer();
    for intent in [Intent::default(), sample.intent(&["v1"])] {
        let write = begin(&*store, intent).await.unwrap();
        let refused = write.puts().put(desc, bytes, &[]).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported);
        let (desc, bytes) = &stranger.manifests[0];
        assert_eq!(write.puts().manifest(desc, bytes).await.unwrap_err().kind(), Kind::Unsupported);
        write.abandon().await;
    }
}

#[tokio::test]
async fn a_tag_that_was_not_announced_is_written_all_the_same() {
    let (_dir, path, sample) = filled().await;
    let more = Sample::of(&[&noise(400_000, 9)]);
    let write = begin(&*to(&path), more.intent(&["v2"])).await.unwrap();
    more.put_into(&write).await.unwrap();
    for n in 0..20 {
        write.name(NameChange::set(ref_name(format!("another-{n}")), more.root().bare())).unwrap();
    }
    write.commit().await.unwrap();
    let archive = Archive::open(&path).unwrap();
    assert_eq!(archive.list_names().await.unwrap().names.len(), 21);
    for (desc, bytes) in sample.all().chain(more.all()) {
        assert!(read(&archive, desc, 1 << 20).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn a_second_writer_is_turned_away_until_the_first_is_done() {
    let (dir, path, sample) = filled().await;
    let more = Sample::of(&[b"more"]);
    let (first, second) = (to(&path), to(&path));
    let write = begin(&*first, more.intent(&["v2"])).await.unwrap();
    for store in [&first, &second] {
        let error = begin(&**store, sample.intent(&["v3"])).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Busy, Some(Code::StoreBusy)), "{error}");
    }
    assert_eq!(set_name(&*second, ref_name("v3"), sample.root()).await.unwrap_err().kind(), Kind::Busy);
    more.put_into(&write).await.unwrap();
    write.name(NameChange::set(ref_name("v2"), more.root().bare())).unwrap();
    write.commit().await.unwrap();
    // The second opened the archive before the first changed it: nothing of the first is lost.
    set_name(&*second, ref_name("v3"), sample.root()).await.unwrap();
    assert_eq!(Archive::open(&path).unwrap().list_names().await.unwrap().names, ["v1", "v2", "v3"]);
    assert_eq!(names(dir.path()), ["x.tar"]);
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn event(&self, event: Event) {
        if let Event::Busy { why, .. } = event {
            self.0.lock().unwrap().push(why);
        }
    }
}

#[tokio::test]
async fn a_patient_writer_waits_for_the_end_of_another_one_and_says_so_once() {
    let (_dir, path, sample) = filled().await;
    let told = Arc::new(Told::default());
    let observer = Observer::new(Arc::clone(&told) as Arc<dyn Progress>);
    let patient = |longest| Archive::create(&path).unwrap().waiting(longest, observer.clone());
    let write = begin(&*to(&path), Intent::default()).await.unwrap();
    let (short, error) = (Duration::from_millis(250), "after waiting 0 s: another process is writing");
    let busy = set_name(&patient(short), ref_name("v2"), sample.root()).await.unwrap_err();
    assert!(busy.code() == Some(Code::StoreBusy) && busy.to_string().contains(error), "{busy}");
    assert_eq!(told.0.lock().unwrap().len(), 1);
    let (second, root) = (patient(Duration::from_secs(60)), sample.root().clone());
    let waiting = tokio::spawn(async move { set_name(&second, ref_name("v2"), &root).await });
    while told.0.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    write.name(NameChange::set(ref_name("v3"), sample.root().bare())).unwrap();
    write.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(Archive::open(&path).unwrap().list_names().await.unwrap().names, ["v1", "v2", "v3"]);
    assert_eq!(told.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_copy_that_brings_nothing_new_leaves_the_file_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let (_dir, path, sample) = filled().await;
    let before = fs::metadata(&path).unwrap().ino();
    deliver(&to(&path), &sample, &["v1"]).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
}

#[tokio::test]
async fn a_reader_keeps_what_it_opened_when_the_file_is_replaced() {
    let (_dir, path, sample) = filled().await;
    let reader = Archive::open(&path).unwrap();
    deliver(&to(&path), &Sample::of(&[b"more", &noise(900_000, 9)]), &["v2"]).await.unwrap();
    for (desc, bytes) in sample.all() {
        assert!(read(&reader, desc, 1 << 20).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn damage_in_an_archive_is_not_carried_into_the_next() {
    let (_dir, path, _) = filled().await;
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 2000;
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = deliver(&to(&path), &Sample::of(&[b"more"]), &["v2"]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Mismatch);
    assert!(fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn an_archive_reached_through_a_link_is_replaced_where_it_is() {
    let (dir, path, _) = filled().await;
    let link = dir.path().join("link.tar");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    deliver(&to(&link), &Sample::of(&[b"more"]), &["v2"]).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Archive::open(&path).unwrap().list_names().await.unwrap().names, ["v1", "v2"]);
}

#[tokio::test]
async fn an_empty_file_becomes_an_archive_and_what_is_no_archive_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    fs::write(&path, b"").unwrap();
    assert_eq!(Archive::open(&path).unwrap_err().kind(), Kind::Mismatch);
    let sample = Sample::of(&[b"hello"]);
    deliver(&to(&path), &sample, &["v1"]).await.unwrap();
    assert_eq!(Archive::open(&path).unwrap().resolve(&named("v1")).await.unwrap().digest, sample.root().digest);
    fs::write(&path, b"x").unwrap();
    assert!(Archive::create(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"x");
}
