//! Tests of `pack` with readers of others.

use std::{path::Path, process::Command};

use artifact::{
    plan::{Content, Entry, EntryKind},
    tarball::write::{Extension, Header},
};
use serde_json::{Value, json};

use crate::{
    harness::{Test, tests},
    support::{
        self,
        packing::{archive, bytes, hard_names, part, plan, run, world},
        peer,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["python3", "tar"]
            single other_programs_read_the_archives;
        ["python3"]
            plain other_programs_read_the_headers_of_bundles;
    ]
}

async fn other_programs_read_the_archives() {
    let dir = world(&[]);
    let names = hard_names();
    let mut content = archive(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let Content::Tar { entries, .. } = &mut content else { unreachable!() };
    let entry = |path: &str, kind| Entry { path: path.into(), mode: 0o755, mtime: 1_234_567_890, kind };
    entries.push(entry("directory", EntryKind::Directory));
    entries.push(entry("slash/", EntryKind::Directory));
    entries.push(entry("link", EntryKind::Symlink("plain".into())));
    entries.push(entry("longlink", EntryKind::Symlink("é".repeat(200))));
    let packed = run(&dir, &plan(&dir, vec![part("a/b", content)])).await.unwrap();
    let path = dir.path().join("x.tar");
    std::fs::write(&path, bytes(&packed, &packed.layers()[0]).await).unwrap();
    let tar = peer("tar");
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    support::run(Command::new(tar).arg("xf").arg(&path).arg("-C").arg(&out));
    for name in &names {
        assert_eq!(std::fs::read_to_string(out.join(name)).unwrap(), *name);
    }
    assert_eq!(std::fs::read_link(out.join("longlink")).unwrap(), Path::new(&"é".repeat(200)));
    assert!(out.join("slash").is_dir() && out.join("directory").is_dir());
    let python = peer("python3");
    let script = "import sys, tarfile, json\nprint(json.dumps([[m.name, m.size, m.mode, m.mtime, m.uid, m.uname, m.linkname] for m in tarfile.open(sys.argv[1])]))";
    let listed = support::run(Command::new(python).args(["-c", script]).arg(&path));
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    for (name, member) in names.iter().zip(&listed) {
        assert_eq!(*member, json!([name, name.len(), 0o644, 0, 0, "", ""]));
    }
    assert_eq!(listed.last(), Some(&json!(["longlink", 0, 0o755, 1_234_567_890, 0, "", "é".repeat(200)])));
}

fn other_programs_read_the_headers_of_bundles() {
    let python = peer("python3");
    let dir = world(&[]);
    let path = dir.path().join("x.tar");
    let name = format!("blobs/sha512/{}", "a".repeat(128));
    let mut bytes = Header::file(&name, 0).encode(Extension::Gnu).unwrap();
    bytes.extend(Header::file("blobs/sha256/big", 9 << 30).encode(Extension::Gnu).unwrap());
    std::fs::write(&path, bytes).unwrap();
    let script =
        "import sys, tarfile\nt = tarfile.open(sys.argv[1])\nfor _ in range(2): m = t.next(); print(m.name, m.size)";
    let listed = support::run(Command::new(python).args(["-c", script]).arg(&path));
    assert_eq!(listed, format!("{name} 0\nblobs/sha256/big {}\n", 9_u64 << 30));
}
