//! Archives and names made to harm whoever unpacks them, and what must come of each.

use super::tar::{Entry, archive, record};

/// What must come of a hostile input.
pub(crate) enum Expect {
    /// An error that changes nothing.
    Reject,
    /// Exactly these files with this content; directories and links end with `/` and `@`.
    Tree(&'static [(&'static str, &'static str)]),
}

/// One archive.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) archive: Vec<u8>,
    pub(crate) expect: Expect,
}

use Expect::{Reject, Tree};

const LONE: &[(&str, &str)] = &[("a", "data")];

struct Table(Vec<Case>);

impl Table {
    fn raw(&mut self, id: &'static str, archive: Vec<u8>, expect: Expect) {
        self.0.push(Case { id, archive, expect });
    }

    fn tar(&mut self, id: &'static str, entries: impl IntoIterator<Item = Entry>, expect: Expect) {
        self.raw(id, archive(entries), expect);
    }

    /// A lone file with each of these names is refused.
    fn names(&mut self, id: &'static str, names: &[&str]) {
        for name in names {
            let long = name.len() > 100;
            let before = long.then(|| Entry::pax(&[("path", name)]));
            let file = Entry::file(if long { "short" } else { name }, "evil");
            self.tar(id, before.into_iter().chain([file]), Reject);
        }
    }
}

/// The tar family; `outside` is the absolute path of a directory that must stay as it is.
pub(crate) fn archives(outside: &str) -> Vec<Case> {
    let mut t = Table(Vec::new());
    escapes(&mut t, outside);
    links(&mut t, outside);
    extensions(&mut t);
    headers(&mut t);
    names(&mut t);
    members(&mut t);
    t.0
}

fn escapes(t: &mut Table, outside: &str) {
    t.names("T1", &["../evil", "../canary/file"]);
    // As by all tar programs, the slash at the start is dropped; what is left is below the destination.
    t.tar(
        "T2",
        [Entry::file("/evil", "x"), Entry::file("//d/y", "y")],
        Tree(&[("d/", ""), ("d/y", "y"), ("evil", "x")]),
    );
    t.names("T2", &["/../evil", "//..//evil", &format!("/..{outside}/new")]);
    t.tar("T2", [Entry::file("/a", "x"), Entry::file("a", "y")], Reject);
    t.tar("T2", [Entry::hard("h", outside)], Reject);
    t.names("T3", &["a/../../evil", "a//..//..//evil", "./../evil", "..", "a/..", "../"]);
    t.names("T4", &["../dest-evil/x", "../dest"]);
    t.tar("T8", [Entry::dir("").mode(0)], Reject);
    for name in [".", "./", "/", ""] {
        t.tar("T8", [Entry::symlink(name, outside)], Reject);
        t.tar("T8", [Entry::symlink(name, "x")], Reject);
        t.tar("T8", [Entry::file(name, "evil")], Reject);
    }
    for name in [".", "./", "/"] {
        t.tar("T8 locked", [Entry::dir(name).mode(0), Entry::file("a", "data")], Tree(LONE));
    }
    t.tar("T8 own directory", [Entry::dir("./"), Entry::file("./a", "data")], Tree(LONE));
    t.names("T36", &[".artifact-unpack-x", ".artifact-lock/x"]);
    t.tar(
        "T36 ordinary",
        [Entry::file("oci-layout", "1"), Entry::file("index.json", "2")],
        Tree(&[("index.json", "2"), ("oci-layout", "1")]),
    );
    t.names("T37", &[".wh.../..", ".wh../.."]);
    let whiteouts = [".wh.foo", ".wh..wh..opq", "d/.wh.x"].map(|name| Entry::file(name, ""));
    t.tar("T37 ordinary", whiteouts, Tree(&[(".wh..wh..opq", ""), (".wh.foo", ""), ("d/", ""), ("d/.wh.x", "")]));
}

fn links(t: &mut Table, outside: &str) {
    t.tar("T5", [Entry::symlink("d", outside), Entry::file("d/pwn", "evil")], Reject);
    t.tar("T5", [Entry::symlink("d", "../canary"), Entry::file("d/pwn", "evil")], Reject);
    t.tar("T5 inside", [Entry::dir("e"), Entry::symlink("d", "e"), Entry::file("d/pwn", "evil")], Reject);
    t.tar("T5 late", [Entry::file("d/pwn", "evil"), Entry::symlink("d", outside)], Reject);
    let mut chain = vec![Entry::symlink("a", "b"), Entry::symlink("b", "c"), Entry::symlink("c", "..")];
    t.tar("T6", chain.clone(), Reject);
    chain.push(Entry::file("a/pwn", "evil"));
    t.tar("T6", chain, Reject);
    t.tar("T6 through a dot", [Entry::symlink("dot", "."), Entry::symlink("up", "dot/../canary")], Reject);
    t.tar("T6 down and up", [Entry::symlink("a/l", "b"), Entry::symlink("x", "a/l/../../..")], Reject);
    t.tar("T7", long_chain(), Reject);
    t.tar("T9", [Entry::symlink("d", outside), Entry::dir("d").mode(0o777)], Reject);
    t.tar("T9", [Entry::dir("d"), Entry::symlink("d", outside)], Reject);
    t.tar("T9 inside", [Entry::symlink("d", "e"), Entry::dir("d").mode(0o777)], Reject);
    for target in
        ["../../etc/hostname", "/etc/hostname", outside, "Cargo.toml", "../canary/file", "", "h", "later", "d"]
    {
        let entries = [Entry::dir("d"), Entry::hard("h", target), Entry::file("later", "x")];
        t.tar("T10/T11", entries, Reject);
    }
    let to_link = [Entry::symlink("s", "../canary/file"), Entry::hard("h", "s"), Entry::file("h", "evil")];
    t.tar("T11", to_link, Reject);
    t.tar("T11 inside", [Entry::file("f", "x"), Entry::symlink("s", "f"), Entry::hard("h", "s")], Reject);
    t.tar("T11 again", [Entry::file("f", "x"), Entry::hard("h", "f"), Entry::file("h", "evil")], Reject);
    let long = "x/".repeat(2050);
    for target in [outside, "/", "..", "../..", "a/../../x", "", "a\nb"] {
        t.tar("T45", [Entry::symlink("self", target)], Reject);
    }
    t.tar("T45 long", [Entry::pax(&[("linkpath", &long)]), Entry::symlink("l", "")], Reject);
    t.tar("T45 NUL", [Entry::symlink("l", b"a\0b")], Reject);
    t.tar(
        "T45 nowhere",
        [Entry::symlink("a", "a"), Entry::symlink("b", "C:\\x")],
        Tree(&[("a@", "a"), ("b@", "C:\\x")]),
    );
    let inside = [Entry::symlink("d/l", "../f"), Entry::hard("h", "g"), Entry::file("f", "data")];
    t.tar("T45 before its target", inside, Reject);
    let inside = [Entry::symlink("d/l", "../f"), Entry::file("f", "data"), Entry::hard("d/h", "f")];
    t.tar("T45 inside", inside, Tree(&[("d/", ""), ("d/h", "data"), ("d/l@", "../f"), ("f", "data")]));
}

/// Links that each look short, and together resolve to a path longer than the system can hold.
fn long_chain() -> Vec<Entry> {
    let name = |i: usize| format!("{}{i:02}", "d".repeat(90));
    let mut entries = Vec::new();
    let mut path = String::new();
    for i in 0..60 {
        entries.push(Entry::symlink(name(i), if i == 0 { ".".to_owned() } else { name(i - 1) }));
        path = format!("{}/{path}", name(i));
    }
    entries.push(Entry::pax(&[("path", &format!("{path}../../evil"))]));
    entries.push(Entry::file("x", "evil"));
    entries
}

fn extensions(t: &mut Table) {
    let big = "d".repeat(512);
    t.tar("T13", [Entry::pax(&[("size", "512")]), Entry::file("a", &big).size(0)], Tree(&[("a", BIG)]));
    t.tar("T13", [Entry::pax(&[("size", "0")]), Entry::file("a", "").size(512)], Tree(&[("a", "")]));
    t.tar("T14", [Entry::pax(&[("path", "b"), ("path", "a")]), Entry::file("x", "data")], Tree(LONE));
    let both = |flag, key| [Entry::long(flag, "a"), Entry::pax(&[(key, "b")])];
    for flag in [b'L', b'K'] {
        let key = if flag == b'L' { "path" } else { "linkpath" };
        let [long, pax] = both(flag, key);
        let member = if flag == b'L' { Entry::file("x", "data") } else { Entry::symlink("x", "y") };
        t.tar("T15/T16", [long.clone(), pax.clone(), member.clone()], Reject);
        t.tar("T15/T16", [pax, long, member], Reject);
    }
    let bad: [&[u8]; 9] = [
        b"9 path=a",
        b"8 path=a\n",
        b"0 path=a\n",
        b"999 path=a\n",
        b"7 patha\n",
        b"path=a\n",
        b" 9 path=a\n",
        b"9 path=a\n\0\0\0",
        b"9\tpath=a\n",
    ];
    for data in bad {
        t.tar("T17", [Entry::new(b'x', "x", data), Entry::file("a", "data")], Reject);
    }
    for value in ["", "+5", "-1", "0x10", "99999999999999999999", "4 ", "4.0"] {
        t.tar("T18", [Entry::pax(&[("size", value)]), Entry::file("a", "data")], Reject);
    }
    t.tar("T18 path", [Entry::pax(&[("path", "")]), Entry::file("a", "data")], Reject);
    for dangling in [Entry::pax(&[("path", "a")]), Entry::long(b'L', "a"), Entry::long(b'K', "a")] {
        t.tar("T19", [dangling.clone()], Reject);
        t.tar("T19", [dangling.clone(), dangling, Entry::file("a", "data")], Reject);
    }
    for records in [
        &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "a")][..],
        &[("GNU.sparse.size", "1152921504606846976")],
        &[("GNU.sparse.map", "0,4,8,4")],
        &[("SCHILY.realsize", "1152921504606846976")],
    ] {
        t.tar("T20", [Entry::pax(records), Entry::file("a", "data")], Reject);
    }
    t.tar("T20 old", [Entry::new(b'S', "a", "data").gnu()], Reject);
    for flag in [b'L', b'K', b'x', b'g'] {
        t.tar("T39", [Entry::new(flag, "././@LongLink", "aaaa").size(256 << 20), Entry::file("a", "")], Reject);
    }
    for mtime in ["nan", "inf", "1e400", "1.2.3", "", "-", "-.5", "1.", "+1", "--1"] {
        t.tar("T40", [Entry::pax(&[("mtime", mtime)]), Entry::file("a", "data")], Reject);
    }
    t.tar("T40 octal", [Entry::file("a", "data").set(136, b"99999999999\0")], Reject);
    // A time that is one but cannot be kept does no harm.
    for mtime in ["-1", "-0.5", "-62135596800", "9223372036854775808", "99999999999999999999999", "253402300800"] {
        t.tar("T40 far", [Entry::pax(&[("mtime", mtime)]), Entry::file("a", "data")], Tree(LONE));
    }
    for first in [0x80, 0xff] {
        let far = [&[first][..], &[0xff; 11]].concat();
        t.tar("T40 base-256", [Entry::file("a", "data").set(136, &far)], Tree(LONE));
    }
    for (key, value) in [("path", "evil"), ("size", "1"), ("linkpath", "evil"), ("GNU.sparse.major", "1")] {
        t.tar("T43", [Entry::new(b'g', "g", record(key, value.as_bytes())), Entry::file("a", "data")], Reject);
    }
    let comment = Entry::new(b'g', "pax_global_header", record("comment", b"0123456789abcdef"));
    t.tar("T43 comment", [comment, Entry::file("a", "data")], Tree(LONE));
    t.tar("T44", [Entry::new(b'X', "x", record("path", b"evil")), Entry::file("a", "data").gnu()], Reject);
}

const BIG: &str = concat!(
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
);

fn headers(t: &mut Table) {
    let file = || Entry::file("a", "data");
    for size in
        [&[0xff_u8; 12][..], &[0x80, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0, 0], b"77777777777\0", b"-0000000001\0", b"4x\0"]
    {
        t.tar("T21", [file().set(124, size)], Reject);
    }
    for sum in [&b"000000\0 "[..], b"        ", b"\0\0\0\0\0\0\0\0", b"777777\0 "] {
        t.tar("T22 checksum", [file().raw_checksum(sum)], Reject);
    }
    let whole = archive([file()]);
    for len in [0, 1, 511, 512, 514, 1023, 1024, 1535, 1536, 1537, 2047] {
        t.raw("T22 truncated", whole[..len].to_vec(), Reject);
    }
    let file_and_padding = [&whole[..], &[0; 8192]].concat();
    t.raw("T22 padded", file_and_padding, Tree(LONE));
    t.raw("T22 lone zero block", [&[0; 512][..], &whole].concat(), Reject);
    t.raw("T41", [&whole[..], &archive([Entry::file("b", "second")])].concat(), Reject);
    t.raw("T41 junk", [&whole[..], b"junk"].concat(), Reject);
    t.raw("T41 late junk", [&whole[..], &[0; 9000], b"j"].concat(), Reject);
    let mixed = [
        Entry::file("a", "1").v7().set(156, &[0]),
        Entry::file("b", "2").set(262, &[0; 3]),
        Entry::file("c", "3").gnu().set(345, b"not a prefix"),
        Entry::file("d", "4").set(345, b"p"),
        Entry::dir("e/").v7().set(156, &[0]),
    ];
    let tree = Tree(&[("a", "1"), ("b", "2"), ("c", "3"), ("e/", ""), ("p/", ""), ("p/d", "4")]);
    t.tar("T42", mixed, tree);
    t.tar("T42 a file with a slash", [Entry::file("a/", "data")], Reject);
    t.tar("T42 a directory with data", [Entry::new(b'5', "a/", "data")], Reject);
    t.tar("T42 a link with data", [Entry::new(b'2', "a", "data").set(157, b"b")], Reject);
}

/// Names that Windows refuses or macOS takes for one are names like all others where the file system keeps them apart.
fn names(t: &mut Table) {
    if cfg!(target_os = "linux") {
        t.tar("T23", [Entry::file("A", "1"), Entry::file("a", "2")], Tree(&[("A", "1"), ("a", "2")]));
        t.tar("T23", [Entry::dir("A"), Entry::file("a", "2")], Tree(&[("A/", ""), ("a", "2")]));
        let composed = [Entry::file("\u{e9}", "1"), Entry::file("e\u{301}", "2")];
        t.tar("T23", composed, Tree(&[("e\u{301}", "2"), ("\u{e9}", "1")]));
        let folders = [Entry::file("d/A/x", "1"), Entry::file("d/a/y", "2")];
        t.tar("T23", folders, Tree(&[("d/", ""), ("d/A/", ""), ("d/A/x", "1"), ("d/a/", ""), ("d/a/y", "2")]));
        let links = [Entry::file("t", "1"), Entry::symlink("L", "t"), Entry::symlink("l", "T")];
        t.tar("T23", links, Tree(&[("L@", "t"), ("l@", "T"), ("t", "1")]));
    }
    t.names("T24", &[&"d/".repeat(10_000), &"d/".repeat(200), &"x".repeat(1 << 20), &"x".repeat(300)]);
    t.names("T24", &[&format!("a/{}", "abcd/".repeat(1000))]);
    for (id, name) in [
        ("T25", "C:\\x"),
        ("T25", "C:x"),
        ("T25", "\\\\server\\share\\x"),
        ("T26", "..\\..\\evil"),
        ("T26", "a\\b"),
        ("T27", "a."),
        ("T27", "a "),
        ("T27", "..."),
        ("T28", "CON"),
        ("T28", "nul.txt"),
        ("T28", "COM¹"),
        ("T28", "aux .log"),
        ("T29", "file:stream"),
        ("T29", "a::$DATA"),
    ] {
        let tree: &'static [(&str, &str)] = Box::leak(Box::new([(name, "data")]));
        t.tar(id, [Entry::file(name, "data")], Tree(tree));
    }
    t.tar("T25", [Entry::file("c:/x", "data")], Tree(&[("c:/", ""), ("c:/x", "data")]));
    t.names("T25", &["c:/../x", "\\\\server/../../x"]);
    t.names("T26", &["..\\..\\/../../evil"]);
    t.names("T38", &["a\nb", "a\tb", "a\x1b[2Jb", "a\x7fb", "a\u{202e}b", "a\u{2066}b", "a\u{85}b", "\r"]);
    t.tar("T38 NUL", [Entry::file(b"a\0b", "evil")], Reject);
    t.tar("T38 NUL", [Entry::pax(&[("path", "a\0b")]), Entry::file("x", "evil")], Reject);
    t.tar("T38 NUL", [Entry::long(b'L', "a\0b"), Entry::file("x", "evil").gnu()], Reject);
    t.tar("T38 UTF-8", [Entry::file(b"a\xff", "evil")], Reject);
    t.tar("T38 UTF-8", [Entry::new(b'x', "x", record("path", b"a\xc3")), Entry::file("x", "evil")], Reject);
}

fn members(t: &mut Table) {
    for flag in *b"34678ADEIMNVXZaz!\xff" {
        t.tar("T32", [Entry::new(flag, "a", "")], Reject);
    }
    let attributes = [("SCHILY.xattr.security.capability", "x"), ("SCHILY.xattr.trusted.overlay.opaque", "y")];
    t.tar("T33", [Entry::pax(&attributes), Entry::file("a", "data")], Tree(LONE));
    let fork = "x".repeat(900 << 10);
    t.tar("T33 large", [Entry::pax(&[("LIBARCHIVE.xattr.fork", &fork)]), Entry::file("a", "data")], Tree(LONE));
    let (one, other) = (("LIBARCHIVE.xattr.one", &*fork), ("LIBARCHIVE.xattr.other", &*fork));
    t.tar("T33 too large", [Entry::pax(&[one, other]), Entry::file("a", "data")], Reject);
    t.tar("T33", [Entry::pax(&[("SCHILY.acl.access", "user::rwx")]), Entry::file("a", "data")], Tree(LONE));
    let owner = [("uid", "4294967296"), ("gid", "-5"), ("uname", "root\x1b"), ("gname", "nobody")];
    t.tar("T34", [Entry::pax(&owner), Entry::file("a", "data").set(108, &[0xff; 16])], Tree(LONE));
    let (file, dir) = (|| Entry::file("x", "1"), || Entry::dir("x/"));
    t.tar("T35", [file(), file()], Reject);
    t.tar("T35", [file(), Entry::file("./x", "2")], Reject);
    t.tar("T35", [file(), dir()], Reject);
    t.tar("T35", [dir(), file()], Reject);
    t.tar("T35", [file(), Entry::file("x/y", "2")], Reject);
    t.tar("T35", [Entry::file("x/y", "2"), file()], Reject);
    t.tar("T35", [file(), Entry::symlink("x", "y")], Reject);
    let twice = [dir(), Entry::file("x/y", "2"), dir()];
    t.tar("T35 directories", twice, Tree(&[("x/", ""), ("x/y", "2")]));
}

/// Names of files, as titles bring them, that must be refused.
pub(crate) fn titles(outside: &str) -> Vec<(&'static str, String)> {
    let all: &[(&str, &[&str])] = &[
        ("A1", &["../evil", "a/../../evil", "./.."]),
        ("A2", &["/etc/cron.d/x", "//x", outside]),
        ("A3", &["link/secret"]),
        ("A5", &["..", ".", "/", "a\nb", "x/"]),
        ("A6", &["../v1", "a/../b"]),
        ("A9", &["", "\t", "a\0b"]),
        ("T36", &[".artifact-unpack-x"]),
    ];
    let one = |(id, names): &(&'static str, &[&str])| names.iter().map(|n| (*id, (*n).to_owned())).collect::<Vec<_>>();
    let long = [("A5", "x".repeat(300)), ("A9", "x".repeat(1 << 20))];
    all.iter().flat_map(one).chain(long).collect()
}

/// Pairs of titles that cannot be written side by side (A4).
pub(crate) const CLASHING_TITLES: &[(&str, &str)] =
    &[("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("d/x", "d/./x")];

/// Titles that look like commands, templates, or options, and are nothing but names (A5, A6, A8).
pub(crate) const PLAIN_TITLES: &[&str] = &[
    "-rf",
    "~",
    "..\\evil",
    "C:\\x",
    " ",
    "aux",
    "%2e%2e",
    "{{ x }}",
    "$(touch evil)",
    "${HOME}",
    "`id`",
    "a;b",
    "$HOME/x",
    "a&b|c",
];
