//! Reading what the user points at: listings, files by name, probes, and looking into archives.

use std::{
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink, net::UnixListener},
    path::Path,
};

use artifact::{
    Kind, Result,
    oci::Digest,
    source::{
        Dialect, Format, Ignore, Irregular, Limits, Listing, Magic, Member, MemberKind, Options, Source, Symlinks,
    },
};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use crate::support::ignore_samples;

/// A directory with these files; a path that ends in `/` is a directory.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let full = dir.path().join(path);
        match path.ends_with('/') {
            true => fs::create_dir_all(full).unwrap(),
            false => {
                fs::create_dir_all(full.parent().unwrap()).unwrap();
                fs::write(full, text).unwrap();
            }
        }
    }
    dir
}

fn open(dir: &TempDir) -> Source {
    Source::open(dir.path()).unwrap()
}

fn paths(members: &[Member]) -> Vec<&str> {
    members.iter().map(|member| member.path.as_str()).collect()
}

fn listed(dir: &TempDir, listing: &Listing) -> Vec<String> {
    open(dir).list(listing).unwrap().into_iter().map(|member| member.path).collect()
}

fn refused(dir: &TempDir, listing: &Listing) -> artifact::Error {
    open(dir).list(listing).unwrap_err()
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

fn globs(list: &[&str]) -> Vec<String> {
    list.iter().map(|glob| (*glob).to_owned()).collect()
}

#[test]
fn a_source_is_a_file_or_a_directory() {
    let dir = tree(&[("deck.md", "# x"), ("d/", "")]);
    let file = Source::open(dir.path().join("deck.md")).unwrap();
    assert_eq!((file.file(), file.name(), file.base()), (Some("deck.md"), "deck.md", dir.path()));
    assert!(file.mtime() > 1_600_000_000);
    let directory = Source::open(dir.path().join("d/")).unwrap();
    assert_eq!((directory.file(), directory.name()), (None, "d"));
    assert_eq!(directory.base(), dir.path().join("d"));
    assert_eq!(
        Source::open(dir.path().join("d/..")).unwrap().name(),
        dir.path().file_name().unwrap().to_str().unwrap()
    );
}

#[test]
fn what_is_no_source_is_told_at_once() {
    let dir = tree(&[]);
    fifo(&dir.path().join("pipe"));
    fs::write(dir.path().join("a\nb"), "").unwrap();
    for (name, kind, says) in [
        ("missing", Kind::NotFound, "missing"),
        ("pipe", Kind::Invalid, "not a regular file"),
        ("a\nb", Kind::Invalid, "a\nb"),
    ] {
        let error = Source::open(dir.path().join(name)).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(Source::open("/dev/null").unwrap_err().kind(), Kind::Invalid);
    assert_eq!(Source::open("").unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_listing_is_in_the_order_of_the_bytes_of_paths() {
    let dir = tree(&[("b", "22"), ("a/x", "1"), ("a-b", ""), ("a.txt", ""), ("é", ""), ("B", ""), ("empty/", "")]);
    fs::set_permissions(dir.path().join("b"), fs::Permissions::from_mode(0o4750)).unwrap();
    let members = open(&dir).list(&Listing::default()).unwrap();
    assert_eq!(paths(&members), ["B", "a", "a-b", "a.txt", "a/x", "b", "empty", "é"]);
    let b = &members[5];
    assert_eq!((b.kind.clone(), b.len, b.mode, b.name()), (MemberKind::File, 2, 0o4750, "b"));
    assert_eq!((members[1].kind.clone(), members[1].len), (MemberKind::Directory, 0));
}

#[test]
fn globs_choose_files_and_the_directories_on_the_way() {
    let dir = tree(&[("a.png", ""), ("d/b.png", ""), ("d/c.md", ""), ("e/f.md", ""), (".hidden", "")]);
    for (include, exclude, want) in [
        (&["*.png"][..], &[][..], &["a.png"][..]),
        (&["**/*.png"], &[], &["a.png", "d", "d/b.png"]),
        (&["d/"], &[], &["d", "d/b.png", "d/c.md"]),
        (&[], &["d"], &[".hidden", "a.png", "e", "e/f.md"]),
        (&[], &["**/*.md", ".*"], &["a.png", "d", "d/b.png", "e"]),
        (&["**/*.md"], &["e/**"], &["d", "d/c.md"]),
        (&["none"], &[], &[]),
    ] {
        let listing = Listing { include: globs(include), exclude: globs(exclude), ..Listing::default() };
        assert_eq!(listed(&dir, &listing), want, "{include:?} {exclude:?}");
    }
}

#[test]
fn a_glob_that_matches_nothing_can_be_an_error() {
    let dir = tree(&[("a.png", ""), ("d/b.md", ""), ("e/f.md", "")]);
    for (include, exclude, unmatched) in [
        (&["*.png", "d/*"][..], &["e"][..], None),
        (&["*.png", "*.gif"], &[], Some("*.gif")),
        (&[], &["e", "draft.md"], Some("draft.md")),
        // What is left out is not chosen.
        (&["*.png", "e/*"], &["e"], Some("e/*")),
    ] {
        let listing =
            Listing { include: globs(include), exclude: globs(exclude), all_match: true, ..Listing::default() };
        let error = open(&dir).list(&listing).err().map(|e| e.to_string());
        assert_eq!(error.is_some(), unmatched.is_some(), "{include:?} {exclude:?}: {error:?}");
        let named =
            unmatched.is_none_or(|glob| error.is_some_and(|e| e.contains(&format!("`{glob}` matches nothing"))));
        assert!(named, "{include:?}");
    }
}

#[test]
fn a_listing_may_begin_further_down() {
    let dir = tree(&[("a/b/c", ""), ("a/.ignore", "c\n"), ("x", "")]);
    let below = |name: &str| Listing { dir: Some(name.to_owned()), ..Listing::default() };
    assert_eq!(listed(&dir, &below("a/")), ["a/.ignore", "a/b", "a/b/c"]);
    let ignore = Ignore { dialect: Dialect::Gitignore, file: Some(".ignore".into()), always: globs(&["/.ignore"]) };
    assert_eq!(listed(&dir, &Listing { ignore: Some(ignore), ..below("a") }), ["a/b"]);
    let globbed = Listing { include: globs(&["b/*"]), ..below("a") };
    assert_eq!(listed(&dir, &globbed), ["a/b", "a/b/c"]);
    assert_eq!(refused(&dir, &below("../a")).kind(), Kind::Escape);
    assert_eq!(refused(&dir, &below("x")).kind(), Kind::Invalid);
    assert_eq!(refused(&dir, &below("y")).kind(), Kind::NotFound);
}

#[test]
fn each_dialect_reads_its_ignore_file() {
    let files = [("ig", ""), ("a.log", ""), ("d/a.log", ""), ("d/keep.log", ""), ("templates/.x", ""), ("t/x", "")];
    for (dialect, text, want) in [
        (Dialect::Gitignore, "*.log\n!keep.log\n/t/\n", &["d", "d/keep.log", "ig", "templates", "templates/.x"][..]),
        (
            Dialect::Docker,
            "*.log\nd\n!d/keep.log\n",
            &["d", "d/keep.log", "ig", "t", "t/x", "templates", "templates/.x"],
        ),
        (Dialect::Docker, "d\nt\n", &["a.log", "ig", "templates", "templates/.x"]),
        (Dialect::Helm, "*.log\nt/\n", &["d", "ig", "templates"]),
    ] {
        let dir = tree(&files);
        fs::write(dir.path().join("ig"), text).unwrap();
        let ignore = Some(Ignore { dialect, file: Some("ig".to_owned()), always: Vec::new() });
        assert_eq!(listed(&dir, &Listing { ignore, ..Listing::default() }), want, "{dialect:?} {text:?}");
    }
}

#[test]
fn an_ignore_file_may_be_missing_but_not_wrong() {
    let dir = tree(&[("a", ""), ("bad", "ok\n../up\n"), ("binary", "")]);
    fs::write(dir.path().join("binary"), b"\xff\n").unwrap();
    symlink("/etc/passwd", dir.path().join("link")).unwrap();
    let ignore = |file: &str| Listing {
        ignore: Some(Ignore {
            dialect: Dialect::Gitignore,
            file: Some(file.into()),
            always: globs(&["binary", "link"]),
        }),
        ..Listing::default()
    };
    assert_eq!(listed(&dir, &ignore("none")), ["a", "bad"]);
    let error = refused(&dir, &ignore("bad"));
    assert_eq!(error.kind(), Kind::Escape);
    assert!(error.to_string().starts_with("bad: line 2: "), "{error}");
    assert_eq!(refused(&dir, &ignore("binary")).kind(), Kind::Invalid);
    assert_eq!(refused(&dir, &ignore("link")).kind(), Kind::Escape);
}

#[test]
fn links_are_errors_unless_the_policy_says_otherwise() {
    let dir = tree(&[("f", "123"), ("d/g", "")]);
    symlink("../f", dir.path().join("d/l")).unwrap();
    symlink("d", dir.path().join("e")).unwrap();
    let with = |symlinks| Listing { symlinks, ..Listing::default() };
    let error = refused(&dir, &Listing::default());
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("is a symbolic link"), "{error}");
    assert_eq!(listed(&dir, &with(Symlinks::Skip)), ["d", "d/g", "f"]);
    let exclude = vec!["e".to_owned()];
    let skipped = Listing { exclude, all_match: true, ..with(Symlinks::Skip) };
    assert_eq!(listed(&dir, &skipped), ["d", "d/g", "f"], "a glob for a link that is skipped matches something");
    let kept = open(&dir).list(&with(Symlinks::Keep)).unwrap();
    assert_eq!(paths(&kept), ["d", "d/g", "d/l", "e", "f"]);
    assert_eq!(kept[2].kind, MemberKind::Symlink { target: "../f".to_owned() });
    let followed = open(&dir).list(&with(Symlinks::Follow)).unwrap();
    assert_eq!(paths(&followed), ["d", "d/g", "d/l", "e", "e/g", "e/l", "f"]);
    assert_eq!((followed[2].kind.clone(), followed[2].len), (MemberKind::File, 3));
    assert_eq!(followed[3].kind, MemberKind::Directory);
}

#[test]
fn no_link_leads_out_of_the_source() {
    let outside = tree(&[("secret", "s"), ("d/x", "")]);
    for (name, target) in [
        ("l", outside.path().join("secret")),
        ("l", outside.path().join("d")),
        ("l", "..".into()),
        ("d/l", "../../x".into()),
        ("l", "/etc/passwd".into()),
        ("l", "d/../../x".into()),
    ] {
        let dir = tree(&[("d/", ""), ("f", "")]);
        symlink(&target, dir.path().join(name)).unwrap();
        let kept = refused(&dir, &Listing { symlinks: Symlinks::Keep, ..Listing::default() });
        assert_eq!(kept.kind(), Kind::Escape, "keep {target:?}: {kept}");
        let followed = refused(&dir, &Listing { symlinks: Symlinks::Follow, ..Listing::default() });
        let gone = followed.kind() == Kind::NotFound && !dir.path().join(name).exists();
        assert!(followed.kind() == Kind::Escape || gone, "follow {target:?}: {followed}");
    }
}

#[test]
fn links_that_chase_themselves_are_found() {
    for (name, target) in [("d/up", ".."), ("d/self", "self"), ("d/loop", "../d")] {
        let dir = tree(&[("d/f", "")]);
        symlink(target, dir.path().join(name)).unwrap();
        let error = refused(&dir, &Listing { symlinks: Symlinks::Follow, ..Listing::default() });
        assert!(error.to_string().contains(name), "{error}");
        assert!(matches!(error.kind(), Kind::Escape | Kind::Io), "{error:?}");
    }
}

#[test]
fn what_is_no_file_is_an_error_or_left_out_and_never_waited_for() {
    let dir = tree(&[("f", "")]);
    fifo(&dir.path().join("pipe"));
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    let error = refused(&dir, &Listing::default());
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("neither a file nor a directory"), "{error}");
    assert_eq!(listed(&dir, &Listing { irregular: Irregular::Skip, ..Listing::default() }), ["f"]);
    symlink("pipe", dir.path().join("l")).unwrap();
    let follow = Listing { symlinks: Symlinks::Follow, irregular: Irregular::Skip, ..Listing::default() };
    assert_eq!(listed(&dir, &follow), ["f"]);
}

#[test]
fn a_name_that_cannot_be_carried_is_named_unless_it_is_left_out() {
    for (name, shown) in [
        (&b"a\nb"[..], "a\nb"),
        (b"a\x1b[31m", "a\u{1b}[31m"),
        (b"a\xffb", "a\\xffb"),
        ("a\u{202e}b".as_bytes(), "a\u{202e}b"),
        // It would not be unpacked.
        (b".artifact-unpack-x", "reserved for temporary files; remove or exclude it"),
    ] {
        let dir = tree(&[("d/", "")]);
        fs::write(dir.path().join("d").join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
        let error = refused(&dir, &Listing::default());
        assert!(error.kind() == Kind::Invalid && error.to_string().contains(shown), "{error}");
        assert_eq!(listed(&dir, &Listing { exclude: globs(&["d"]), ..Listing::default() }), [""; 0]);
    }
}

#[test]
fn a_listing_keeps_to_its_limits() {
    let dir = tree(&[("a", "12345"), ("b/c/d", "1234"), ("e", "")]);
    let with = |limits| Listing { limits, ..Listing::default() };
    let full = Limits::default();
    for (limits, says) in [
        (Limits { file: 4, ..full }, "`a` has 5 bytes"),
        (Limits { total: 8, ..full }, "more than 8 bytes"),
        (Limits { entries: 4, ..full }, "more than 4 entries"),
        (Limits { depth: 1, ..full }, "deeper than 1 directories"),
    ] {
        let error = refused(&dir, &with(limits));
        assert!(error.kind() == Kind::Limit && error.to_string().contains(says), "{error}");
    }
    let exact = Limits { file: 5, total: 9, entries: 5, depth: 2 };
    assert_eq!(listed(&dir, &with(exact)).len(), 5);
    // A file that is as large as a disk costs nothing: its bytes are not read.
    fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(refused(&dir, &with(Limits { file: 1 << 30, ..full })).kind(), Kind::Limit);
}

#[test]
fn a_directory_that_is_too_deep_is_a_limit_and_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut deep = dir.path().to_owned();
    for _ in 0..200 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(refused(&dir, &Listing::default()).kind(), Kind::Limit);
}

#[test]
fn files_are_found_by_name_and_stay_inside() {
    let dir = tree(&[("slides/01.png", "x"), ("slides/02.png", "y"), ("a.md", "")]);
    let outside = tree(&[("secret", "s")]);
    symlink(outside.path().join("secret"), dir.path().join("leak")).unwrap();
    symlink(outside.path(), dir.path().join("way")).unwrap();
    symlink("slides/01.png", dir.path().join("first.png")).unwrap();
    let source = open(&dir);
    let found = ["./slides//02.png", "a.md", "first.png"].map(|path| source.resolve(path).unwrap());
    assert_eq!(paths(&found), ["slides/02.png", "a.md", "first.png"]);
    assert_eq!(found[2].len, 1);
    for (path, kind, says) in [
        ("slides/3.png", Kind::NotFound, "`slides/3.png` is not in"),
        ("slides/O1.png", Kind::NotFound, "`slides/01.png` is"),
        ("nowhere/x", Kind::NotFound, "`nowhere/x` is not in"),
        ("a.md/x", Kind::Invalid, ""),
        ("../secret", Kind::Escape, "leads upwards"),
        ("/etc/passwd", Kind::Escape, "absolute"),
        ("leak", Kind::Escape, "is a link to a place outside"),
        ("way/secret", Kind::Escape, "is a link to a place outside"),
        ("slides", Kind::Invalid, "a directory"),
        ("", Kind::Invalid, "empty"),
        ("a\u{1b}", Kind::Invalid, "a\u{1b}"),
    ] {
        let error = source.resolve(path).unwrap_err();
        assert!(error.to_string().contains(says), "{path}: {error}");
        assert!(error.kind() == kind || path == "a.md/x", "{path}: {error:?}");
    }
}

#[test]
fn a_link_that_ends_inside_is_taken_whichever_way_it_goes() {
    let dir = tree(&[("f", "123")]);
    let own = dir.path().file_name().unwrap().to_str().unwrap();
    symlink(dir.path().join("f"), dir.path().join("absolute")).unwrap();
    symlink(format!("../{own}/f"), dir.path().join("around")).unwrap();
    symlink("/nowhere/f", dir.path().join("dangling")).unwrap();
    symlink(dir.path(), dir.path().join("itself")).unwrap();
    let source = open(&dir);
    for path in ["absolute", "around", "itself/f"] {
        assert_eq!(source.resolve(path).unwrap().len, 3, "{path}");
        assert_eq!(source.read(path, 3).unwrap(), b"123", "{path}");
    }
    for (path, kind) in [("dangling", Kind::NotFound), ("itself", Kind::Invalid), (".", Kind::Invalid)] {
        assert_eq!(source.resolve(path).unwrap_err().kind(), kind, "{path}");
    }
}

#[test]
fn the_file_that_was_pointed_at_may_be_a_link() {
    let real = tree(&[("deck.md", "# x")]);
    let dir = tree(&[]);
    symlink(real.path().join("deck.md"), dir.path().join("talk.md")).unwrap();
    let source = Source::open(dir.path().join("talk.md")).unwrap();
    assert_eq!(source.file(), Some("talk.md"));
    assert_eq!(source.read("talk.md", 10).unwrap(), b"# x");
}

#[test]
fn globs_expand_to_files_in_order() {
    let dir = tree(&[("b.png", ""), ("a.png", ""), ("d/c.png", ""), ("d/x.md", "")]);
    let expand = |list: &[&str]| -> Result<Vec<String>> {
        let found = open(&dir).expand(&globs(list), &Listing::default())?;
        Ok(found.into_iter().map(|member| member.path).collect())
    };
    assert_eq!(expand(&["d/*", "*.png"]).unwrap(), ["a.png", "b.png", "d/c.png", "d/x.md"]);
    assert_eq!(expand(&["d"]).unwrap(), [""; 0]);
    assert_eq!(expand(&[]).unwrap(), [""; 0]);
    for glob in ["../*", "/etc/*", "../../**"] {
        assert_eq!(expand(&[glob]).unwrap_err().kind(), Kind::Escape);
    }
}

#[test]
fn reading_has_a_limit_and_waits_for_nothing() {
    let dir = tree(&[("f", "12345")]);
    fifo(&dir.path().join("pipe"));
    let source = open(&dir);
    assert_eq!(source.read("f", 5).unwrap(), b"12345");
    assert_eq!(source.read("f", 4).unwrap_err().kind(), Kind::Limit);
    assert_eq!(source.read("pipe", 4).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn documents_come_with_their_place() {
    let dir = tree(&[
        ("x.yaml", "a: 1\nb: [x, 0644]\n"),
        ("y.json", "{\"kind\": \"K\"}"),
        ("deck.md", "---\na: 1\n---\n# T"),
    ]);
    let source = open(&dir);
    let error = source.document("x.yaml", &Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("x.yaml:2:8: "), "{error}");
    let json = source.document("y.json", &Options { format: Format::Json, ..Options::default() }).unwrap();
    assert_eq!((json.value.clone(), json.place("/kind")), (json!({"kind": "K"}), "y.json:1:10".to_owned()));
    assert_eq!(source.deck("deck.md", 100).unwrap().title.as_deref(), Some("T"));
    assert_eq!(source.document("none.yaml", &Options::default()).unwrap_err().kind(), Kind::NotFound);
}

/// A gzip archive with these files.
fn tgz(path: &Path, files: &[(&str, &str)]) {
    let mut tar =
        tar::Builder::new(flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let raw = header.as_ustar_mut().unwrap();
        raw.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

#[test]
fn an_archive_is_looked_into_without_being_unpacked() {
    let dir = tree(&[("plain.txt", "text")]);
    tgz(
        &dir.path().join("c.tgz"),
        &[("c/Chart.yaml", "name: c\n"), ("c/templates/x", "1"), ("c/sub/Chart.yaml", "name: s\n")],
    );
    let source = Source::open(dir.path().join("c.tgz")).unwrap();
    assert!(source.contains("*/Chart.yaml").unwrap());
    assert!(!source.contains("Chart.yaml").unwrap());
    assert_eq!(source.magic("c.tgz").unwrap(), Some(Magic::Gzip));
    let inner = source.archive("c.tgz", 1).unwrap();
    assert_eq!(paths(&inner.list(Limits::default()).unwrap()), ["Chart.yaml", "sub/Chart.yaml", "templates/x"]);
    let read = |path: &str, most: u64| inner.read(path, Limits::default(), most);
    assert_eq!(read("Chart.yaml", 100).unwrap(), [b"name: c\n"]);
    assert_eq!(read("Chart.yaml", 3).unwrap_err().kind(), Kind::Limit);
    assert_eq!(read("none", 3).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(inner.read("none", Limits { file: 3, ..Limits::default() }, 3).unwrap_err().kind(), Kind::Limit);
    assert_eq!(inner.list(Limits { total: 10, ..Limits::default() }).unwrap_err().kind(), Kind::Limit);
    assert_eq!(source.archive("plain.txt", 0).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_slash_at_the_start_of_a_name_in_an_archive_is_dropped_as_by_all_tar_programs() {
    let dir = tree(&[]);
    tgz(&dir.path().join("bundle.tar.gz"), &[("/policy.rego", "package a"), ("/.manifest", "{}")]);
    let source = Source::open(dir.path().join("bundle.tar.gz")).unwrap();
    let bundle = source.archive("bundle.tar.gz", 0).unwrap();
    assert_eq!(paths(&bundle.list(Limits::default()).unwrap()), [".manifest", "policy.rego"]);
    assert_eq!(bundle.read(".manifest", Limits::default(), 9).unwrap().concat(), b"{}");
    assert!(source.contains(".manifest").unwrap());
}

#[test]
fn names_in_an_archive_are_stripped_as_they_are_and_all_files_of_a_name_are_read() {
    let dir = tree(&[]);
    let path = dir.path().join("c.tgz");
    let read = |files: &[(&str, &str)], strip: usize| {
        tgz(&path, files);
        let archive = Source::open(&path).unwrap().archive("c.tgz", strip).unwrap();
        archive
            .read("x", Limits::default(), 100)
            .map(|all| all.concat().iter().map(|byte| char::from(*byte)).collect::<String>())
            .map_err(|e| e.kind())
    };
    assert_eq!(read(&[("./x", "1")], 1), Ok("1".into()));
    assert_eq!(read(&[("./c/x", "1")], 1), Err(Kind::NotFound));
    assert_eq!(read(&[("c/./x", "1")], 1), Ok("1".into()));
    assert_eq!(read(&[("/x", "1")], 0), Ok("1".into()));
    assert_eq!(read(&[("c/x", "1"), ("c/x", "2")], 1), Ok("12".into()));
    assert_eq!(read(&[("c/x", "1"); 17], 1), Err(Kind::Limit));
    assert_eq!(read(&[("c/x", "1"), ("d/x", "2")], 1), Ok("12".into()));
    assert_eq!(read(&[("c/x", "1"), ("c/../y", "2")], 1), Err(Kind::Escape));
    tgz(&path, &[("./x", "1")]);
    assert!(Source::open(&path).unwrap().contains("*/x").unwrap());
}

#[test]
fn a_hostile_archive_is_an_error_and_contains_nothing() {
    for (files, kind) in [
        (&[("../x", "")][..], Kind::Escape),
        (&[("/../x", "")], Kind::Escape),
        (&[("c//x", "")], Kind::Escape),
        (&[("c/x", "1"), ("d/x", "2")], Kind::Exists),
        (&[("loose", "")], Kind::Invalid),
        (&[("c/a\nb", "")], Kind::Invalid),
    ] {
        let dir = tree(&[]);
        tgz(&dir.path().join("c.tgz"), files);
        let source = Source::open(dir.path().join("c.tgz")).unwrap();
        let error = source.archive("c.tgz", 1).unwrap().list(Limits::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "{files:?}: {error}");
        assert!(!source.contains("*/Chart.yaml").unwrap());
    }
    let dir = tree(&[]);
    let mut gz =
        flate2::write::GzEncoder::new(fs::File::create(dir.path().join("x.tgz")).unwrap(), flate2::Compression::fast());
    gz.write_all(b"no archive").unwrap();
    gz.finish().unwrap();
    let source = Source::open(dir.path().join("x.tgz")).unwrap();
    assert!(!source.contains("*").unwrap());
    assert!(source.archive("x.tgz", 0).unwrap().list(Limits::default()).is_err());
}

#[test]
fn detection_asks_for_names_markers_and_keys() {
    let dir = tree(&[
        ("Chart.yaml", "name: x"),
        ("a/b/mark", ""),
        ("slides.yaml", "kind: Slideshow\nslides: [a]\nn: 1\non: yes\n"),
        ("sbom.json", "{\"spdxVersion\": \"SPDX-2.3\"}"),
        ("deck.md", "---\ntheme: x\n---\n# T"),
        ("plain.md", "# T"),
        ("bad.yaml", "{"),
        ("octal.yaml", "mode: 0644\nx: 1\n"),
    ]);
    let directory = open(&dir);
    for (glob, yes) in [
        ("Chart.yaml", true),
        ("*.yaml", true),
        ("*/b/mark", true),
        ("a/*", true),
        ("*/mark", false),
        ("Chart.yaml/x", false),
    ] {
        assert_eq!(directory.contains(glob).unwrap(), yes, "{glob}");
    }
    assert_eq!(directory.contains("../*").unwrap_err().kind(), Kind::Escape);
    let file = |name: &str| Source::open(dir.path().join(name)).unwrap();
    assert!(file("slides.yaml").is_named(&globs(&["*.yml", "*.yaml"])).unwrap());
    assert!(!directory.is_named(&globs(&["*"])).unwrap());
    assert!(file("deck.md").has_front_matter().unwrap());
    assert!(!file("plain.md").has_front_matter().unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn two_listings_of_one_tree_are_equal_and_sorted(names in prop::collection::btree_set("[a-c.-]{1,3}(/[a-c]{1,2}){0,2}", 0..12)) {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let full = dir.path().join(&name);
            let part = |part: &str| matches!(part, "." | "..");
            if name.split('/').any(part) || fs::create_dir_all(full.parent().unwrap()).is_err() {
                continue;
            }
            let _ = fs::write(full, name.as_bytes());
        }
        let source = Source::open(dir.path()).unwrap();
        let members = source.list(&Listing::default()).unwrap();
        prop_assert!(members.windows(2).all(|pair| pair[0].path < pair[1].path));
        for member in &members {
            let parent = member.path.rsplit_once('/').map(|(parent, _)| parent);
            prop_assert!(parent.is_none_or(|parent| members.iter().any(|m| m.path == parent)));
        }
        prop_assert_eq!(members, source.list(&Listing::default()).unwrap());
    }
}

#[test]
fn two_thousand_random_ignore_files_have_the_verdicts_of_git() {
    let mut verdicts = String::new();
    for number in 0..ignore_samples::FILES {
        verdicts.push_str(&ignore_samples::ignored(&ignore_samples::text(number)).join("\n"));
        verdicts.push_str("\n\n");
    }
    // Of git 2.39, which `tests/peers` asks again, path by path.
    assert_eq!(Digest::of(verdicts.as_bytes()).hex(), ignore_samples::VERDICTS);
}
