//! The same archives, unpacked by GNU tar: the same files, or we refuse.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use super::{Job, World, tree};
use crate::{
    harness::{Test, tests},
    support::{
        peer, run,
        tar::{Entry, archive},
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["python3", "tar"]
            single archives_of_other_programs_become_what_gnu_tar_makes_of_them;
        ["tar"]
            single whatever_we_unpack_is_what_gnu_tar_unpacks;
    ]
}

/// A directory with what archives are usually made of.
fn sample(at: &Path) {
    let write = |path: &str, text: &[u8], mode: u32, seconds: u64| {
        let path = at.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
    };
    write("README.md", b"hello", 0o644, 0);
    write("bin/tool", &vec![7; 300_000], 0o755, 1_000_000_000);
    write("empty", b"", 0o600, 8_589_934_591);
    write("read only", b"x", 0o444, 86_400);
    write("ünï/cödé", "ß".as_bytes(), 0o640, 1);
    write(&format!("{}/{}", "d".repeat(90), "f".repeat(90)), b"split in ustar", 0o644, 5);
    write(&format!("{}/x", "long/".repeat(10)), &vec![b'y'; 511], 0o644, 5);
    std::fs::create_dir_all(at.join("empty dir")).unwrap();
    std::fs::set_permissions(at.join("empty dir"), std::fs::Permissions::from_mode(0o711)).unwrap();
    symlink("../README.md", at.join("bin/link")).unwrap();
    std::fs::hard_link(at.join("README.md"), at.join("zzz-hard")).unwrap();
}

/// Names that only the later formats have room for.
fn long_names(at: &Path) {
    let long = at.join("n".repeat(200));
    std::fs::write(&long, "long").unwrap();
    symlink("n".repeat(200), at.join("long-link")).unwrap();
    std::fs::write(at.join("o".repeat(101)), "just too long").unwrap();
    let deep = at.join("deep/".repeat(60));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("f"), "deep").unwrap();
}

/// Unpacks with GNU tar into `to`; false when it complains.
fn gnu_tar(tar: &Path, bytes: &[u8], to: &Path) -> bool {
    std::fs::create_dir(to).unwrap();
    let file = to.with_extension("tar");
    std::fs::write(&file, bytes).unwrap();
    let args = ["--no-same-owner", "--no-same-permissions", "-xf"];
    Command::new(tar).args(args).arg(file).arg("-C").arg(to).output().unwrap().status.success()
}

async fn archives_of_other_programs_become_what_gnu_tar_makes_of_them() {
    let (tar, python) = (peer("tar"), peer("python3"));
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["small", "large"] {
        std::fs::create_dir(path(name)).unwrap();
        sample(&path(name));
    }
    long_names(&path("large"));
    let script = "import sys,tarfile; t=tarfile.open(sys.argv[1],'w',format=int(sys.argv[2])); t.add(sys.argv[3],'.'); t.close()";
    let all = [
        ("--format=v7", "small"),
        ("--format=ustar", "small"),
        ("--format=oldgnu", "large"),
        ("--format=gnu", "large"),
        ("--format=pax", "large"),
        ("0", "small"),
        ("1", "large"),
        ("2", "large"),
    ];
    for (made, (format, source)) in all.into_iter().enumerate() {
        let file = path(&format!("{made}.tar"));
        if format.starts_with('-') {
            let omit = if format == "--format=v7" { "--exclude=ddd*" } else { "--exclude=nothing" };
            run(Command::new(&tar).args([format, omit, "-cf"]).arg(&file).arg("-C").arg(path(source)).arg("."));
        } else {
            run(Command::new(&python).args(["-c", script]).arg(&file).arg(format).arg(path(source)));
        }
        let bytes = std::fs::read(&file).unwrap();
        let theirs = path(&format!("{made}.theirs"));
        assert!(gnu_tar(&tar, &bytes, &theirs), "{format}");
        let world = World::new();
        Job::default().tar("", &bytes).await.run(&world.dest()).await.unwrap_or_else(|e| panic!("{format}: {e}"));
        assert_eq!(tree::unpacked(&world.dest()), tree::unpacked(&theirs), "{format}");
    }
}

/// A sequence of numbers that look random, the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.roll(all.len())]
    }
}

const NAMES: &[&str] =
    &["a", "b", "./c", "d/e", "d/f", "d/g/h", "x/y", "x//z", "./d/./i", "ü", "a b", "k", "m/n/o/p", "q"];

fn entry(dice: &mut Dice) -> Vec<Entry> {
    let name = dice.of(NAMES);
    let size = [0, 1, 511, 512, 513, 2000][dice.roll(6)];
    let mode = [0o644, 0o755, 0o600, 0o444, 0o777, 0o4755][dice.roll(6)];
    let entry = match dice.roll(10) {
        0..=4 => Entry::file(name, vec![b'a' + u8::try_from(dice.roll(26)).unwrap(); size]).mode(mode),
        5 | 6 => Entry::dir(format!("{name}/")).mode(mode | 0o700),
        7 => Entry::symlink(name, dice.of(&["a", "d/e", "../a", "/etc", "x/../a", "."])),
        8 => Entry::hard(name, dice.of(NAMES)),
        _ => Entry::file(name, "old").v7().set(156, &[0]),
    };
    let entry = match dice.roll(4) {
        0 => entry.gnu(),
        1 => entry.set(345, b"prefix"),
        _ => entry,
    };
    match dice.roll(12) {
        0 => vec![Entry::pax(&[("path", dice.of(NAMES)), ("mtime", "1000.5")]), entry],
        1 => vec![Entry::long(b'L', dice.of(NAMES)), entry],
        2 => vec![Entry::pax(&[("comment", "nothing"), ("uid", "7")]), entry],
        3 => vec![Entry::new(b'g', "g", b"18 comment=global\n"), entry],
        _ => vec![entry],
    }
}

async fn whatever_we_unpack_is_what_gnu_tar_unpacks() {
    let tar = peer("tar");
    let dir = tempfile::tempdir().unwrap();
    let (mut same, mut refused) = (0, 0);
    for seed in 0..200 {
        let mut dice = Dice(seed * 7919 + 1);
        let count = 1 + dice.roll(5);
        let mut bytes = archive((0..count).flat_map(|_| entry(&mut dice)));
        if dice.roll(5) == 0 {
            let at = dice.roll(bytes.len());
            bytes[at] ^= 1 << dice.roll(8);
        }
        let world = World::new();
        if Job::default().tar("", &bytes).await.run(&world.dest()).await.is_err() {
            refused += 1;
            continue;
        }
        let theirs = dir.path().join(seed.to_string());
        assert!(gnu_tar(&tar, &bytes, &theirs), "GNU tar refuses archive {seed}, and we do not");
        assert_eq!(tree::unpacked(&world.dest()), tree::unpacked(&theirs), "archive {seed}");
        same += 1;
    }
    assert!(same >= 60 && refused >= 30, "{same} the same, {refused} refused: the archives are not a good mixture");
}
