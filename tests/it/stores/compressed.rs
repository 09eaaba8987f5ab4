//! Archives that are compressed: read like others, and never written.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use artifact::{
    Kind,
    progress::{Event, Observer, Progress},
    store::{Item, ReadStore},
    stores::{Archive, Decompression},
};
use tempfile::TempDir;

use crate::support::{
    compression::{gzip, zst},
    program::World,
    samples::{Sample, deliver, named, noise},
    writing::read,
};

/// A directory with an archive, and an empty one for temporary files.
async fn filled() -> (TempDir, TempDir, PathBuf, Sample) {
    let (dir, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("x.tar");
    let sample = Sample::of(&[b"hello", &noise(200_000, 1), &[7; 300_000]]);
    deliver(&(Arc::new(Archive::create(&path).unwrap()) as Arc<_>), &sample, &["v1"]).await.unwrap();
    (dir, scratch, path, sample)
}

fn open(path: &Path, scratch: &TempDir) -> artifact::Result<Archive> {
    Archive::open_with(path, &Decompression::new(scratch.path()))
}

fn is_empty(dir: &TempDir) -> bool {
    fs::read_dir(dir.path()).unwrap().next().is_none()
}

#[tokio::test]
async fn a_compressed_archive_is_read_like_a_plain_one_whatever_its_name() {
    let (dir, scratch, path, sample) = filled().await;
    let plain = fs::read(&path).unwrap();
    let (front, back) = plain.split_at(70_000);
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    for (what, bytes) in [
        ("plain", plain.clone()),
        ("gzip", gzip(&plain)),
        ("gzip of two members", [gzip(front), gzip(back)].concat()),
        ("zstd", zst(&plain)),
        ("zstd of several frames", [skippable, zst(front), zst(back)].concat()),
    ] {
        fs::write(&path, bytes).unwrap();
        let archive = open(&path, &scratch).unwrap();
        // What it reads has no name.
        assert!(is_empty(&scratch), "{what}");
        fs::remove_file(&path).unwrap();
        assert_eq!(archive.list_names().await.unwrap().names, ["v1"], "{what}");
        assert_eq!(archive.resolve(&named("v1")).await.unwrap(), *sample.root(), "{what}");
        for (desc, bytes) in sample.all() {
            assert!(read(&archive, desc, 1 << 20).await.unwrap() == bytes, "{what}");
            let local = archive.local(&Item::blob(desc.clone()));
            assert!(local.is_none_or(|_| what == "plain"), "{what}: a file of this path has other bytes");
        }
        assert!(archive.inventory().await.unwrap().unwrap().flaws.is_empty(), "{what}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_compressed_archive_is_not_written() {
    let (dir, scratch, path, _) = filled().await;
    let plain = fs::read(&path).unwrap();
    for (bytes, command) in
        [(gzip(&plain), "`gzip -dc FILE > PLAIN.tar`"), (zst(&plain), "`zstd -dc FILE > PLAIN.tar`")]
    {
        fs::write(&path, &bytes).unwrap();
        let error = Archive::create(&path).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains(command), "{error}");
        let opened: Arc<dyn artifact::store::Store> = Arc::new(open(&path, &scratch).unwrap());
        let error = deliver(&opened, &Sample::of(&[b"more"]), &["v2"]).await.unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains(command), "{error}");
        assert!(fs::read(&path).unwrap() == bytes);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
    let error = Archive::create(dir.path().join("new.tar.gz")).unwrap_err();
    assert!(error.kind() == Kind::Misuse && error.to_string().contains("should end in `.tar`"), "{error}");
    // The bytes decide, where there are any.
    let misnamed = dir.path().join("plain.tgz");
    fs::write(&misnamed, &plain).unwrap();
    deliver(&(Arc::new(Archive::create(misnamed).unwrap()) as Arc<_>), &Sample::of(&[b"more"]), &["v2"]).await.unwrap();
}

#[tokio::test]
async fn other_compressions_are_refused_with_the_command_that_helps() {
    let (_dir, scratch, path, _) = filled().await;
    for (start, command) in
        [(&b"\xfd7zXZ\0"[..], "`xz -dc FILE > PLAIN.tar`"), (b"BZh91AY&SY", "`bzip2 -dc FILE > PLAIN.tar`")]
    {
        fs::write(&path, [start, &[0; 600]].concat()).unwrap();
        for outcome in [open(&path, &scratch), Archive::open(&path), Archive::create(&path)] {
            let error = outcome.unwrap_err();
            assert!(error.kind() == Kind::Unsupported && error.to_string().contains(command), "{error}");
        }
    }
}

#[tokio::test]
async fn a_bomb_is_stopped_at_the_limit_and_damage_is_found_and_neither_leaves_anything() {
    let (_dir, scratch, path, _) = filled().await;
    let plain = fs::read(&path).unwrap();
    let limit = Some(plain.len() as u64 - 1);
    for whole in [gzip(&plain), zst(&plain)] {
        fs::write(&path, &whole).unwrap();
        let how = |limit| {
            let mut how = Decompression::new(scratch.path());
            how.limit = limit;
            how
        };
        let error = Archive::open_with(&path, &how(limit)).unwrap_err();
        assert!(
            error.kind() == Kind::Limit && error.to_string().contains("-dc FILE > PLAIN.tar` has no such limit"),
            "{error}"
        );
        Archive::open_with(&path, &how(limit.map(|limit| limit + 1))).unwrap();
        for len in [8, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(open(&path, &scratch).unwrap_err().kind(), Kind::Mismatch, "{len}");
        }
        assert!(is_empty(&scratch));
    }
}

#[tokio::test]
async fn temporary_files_that_cannot_be_made_are_an_error_that_names_their_directory() {
    let (dir, _scratch, path, _) = filled().await;
    fs::write(&path, gzip(&fs::read(&path).unwrap())).unwrap();
    let gone = dir.path().join("gone");
    let error = Archive::open_with(&path, &Decompression::new(&gone)).unwrap_err();
    assert!(error.to_string().contains(&gone.display().to_string()), "{error}");
    assert_eq!(error.facts().path.as_deref(), Some(gone.as_path()));
}

#[derive(Default)]
struct Told(Mutex<(u64, u64)>);

impl Progress for Told {
    fn event(&self, event: Event) {
        let mut told = self.0.lock().unwrap();
        match event {
            Event::Decompressing { bytes, .. } => told.0 += bytes,
            Event::Read(bytes) => told.1 += bytes,
            _ => {}
        }
    }
}

#[tokio::test]
async fn decompression_is_told_to_its_last_byte() {
    let (_dir, scratch, path, _) = filled().await;
    let bytes = gzip(&fs::read(&path).unwrap());
    fs::write(&path, &bytes).unwrap();
    let told = Arc::new(Told::default());
    let mut how = Decompression::new(scratch.path());
    how.progress = Observer::new(Arc::clone(&told) as Arc<dyn Progress>);
    Archive::open_with(&path, &how).unwrap();
    assert_eq!(*told.0.lock().unwrap(), (bytes.len() as u64, bytes.len() as u64));
}

#[test]
fn commands_read_a_compressed_archive_and_write_none() {
    let world = World::new();
    let digest = world.ok("push talk oci-archive:x.tar:v1 -q");
    let plain = fs::read(world.path().join("x.tar")).unwrap();
    fs::write(world.path().join("x.tar.gz"), gzip(&plain)).unwrap();
    fs::write(world.path().join("x.zst"), zst(&plain)).unwrap();
    for location in ["./x.tar.gz", "oci-archive:x.tar.gz", "oci-archive:x.zst"] {
        let inspected = world.run(&format!("inspect {location}:v1 -q"));
        assert_eq!((inspected.stdout.as_str(), inspected.stderr.as_str()), (digest.as_str(), ""), "{location}");
        assert_eq!(world.ok(&format!("ls {location}")), "v1\n");
        world.ok(&format!("check {location}"));
        assert_eq!(world.ok(&format!("copy {location} oci:copied -q")), digest);
        world.ok(&format!("pull {location} out --unpack --overwrite"));
        let told = world.run(&format!("ls {location}"));
        assert_eq!(told.stderr.lines().filter(|line| line.starts_with("decompressing ")).count(), 1, "{}", told.stderr);
    }
    for line in
        ["tag ./x.tar.gz:v1 v2", "delete ./x.tar.gz:v1", "push talk ./x.tar.gz:v2", "push -n talk ./x.tar.gz:v2"]
    {
        world.fails(line, 1, &["compressed with gzip", "`gzip -dc FILE > PLAIN.tar`"]);
    }
    for line in ["push talk ./new.tar.gz:v1", "push -n talk ./new.tar.gz:v1", "copy ./x.tar oci-archive:new.tgz"] {
        world.fails(line, 2, &["archives are written uncompressed"]);
    }
    assert!(!world.path().join("new.tar.gz").exists() && !world.path().join("new.tgz").exists());
    let served = crate::support::program::Served::start(&world, "x.tar.gz");
    assert_eq!(world.ok(&format!("ls {}/x", served.addr)), "v1\n");
}
