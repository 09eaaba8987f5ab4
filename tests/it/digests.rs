//! Digests that last: what is packed today has the digest that it will have after the next upgrade of a dependency.
//!
//! A digest that changes here changes for every user, whose next push of the same source is a new artifact: it takes a
//! good reason, and a line in the changelog.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use artifact::{
    pack::{self, Packed},
    source::Source,
    store,
    types::{Catalog, Inputs},
};

use crate::support::samples::{noise, words};

/// More than one block of every compressor: 256 KiB of gzip, 2 MiB of zstd.
const LARGE: usize = 5 << 19;

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A source of every form of every type.
fn sources() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "bundle/large.txt", words(LARGE, 1));
    write(at, "bundle/noise.bin", noise(100_000, 2));
    write(at, "bundle/empty", "");
    write(at, "bundle/deep/ünï/run.sh", "#!/bin/sh\n");
    write(at, &format!("bundle/{}/long", "n".repeat(120)), "long");
    fs::set_permissions(at.join("bundle/deep/ünï/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("deep/ünï/run.sh", at.join("bundle/link")).unwrap();
    for ext in [
        "7z", "JPG", "avif", "bin", "css", "csv", "gif", "gz", "html", "ico", "ipynb", "jpeg", "js", "json", "md",
        "mjs", "mp4", "onnx", "pdf", "png", "rs", "sh", "svg", "tar", "tgz", "toml", "ttf", "txt", "wasm", "webp",
        "woff2", "xml", "yaml", "yml", "zip", "zst",
    ] {
        write(at, &format!("kinds/a.{ext}"), ext);
    }

    write(
        at,
        "chart/Chart.yaml",
        "apiVersion: v2\nname: web\nversion: 1.2.3+build\nappVersion: 1.10\ndescription: \"a & b\"\nmaintainers:\n- {name: Ada, \
         email: ada@example.org}\nannotations: {category: web}\ndependencies:\n- {name: db, version: 1.x, repository: \
         oci://example.org/charts}\n",
    );
    write(at, "chart/values.yaml", [b"# ", &words(10_000, 3)[..]].concat());
    write(at, "chart/charts/db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.0.0\n");
    write(at, "chart/templates/a.yaml", "kind: {{ .Values.kind }}\n");
    write(at, "chart/crds/b.yaml", words(600_000, 4));
    write(at, "chart/.helmignore", "*.bak\n");
    write(at, "chart/old.bak", "gone");

    write(
        at,
        "slides/slides.yaml",
        "title: \"<A> & b\"\nversion: v1\nauthors: [Ada, Bob]\nimages: [s/a.png, s/b.svg, s/a.png]\n",
    );
    write(
        at,
        "slides/notes.yaml",
        "kind: Slideshow\nslides:\n- {file: s/a.png, alt: A, seconds: 1.5}\n- {file: s/b.svg, alt: B}\n",
    );
    write(at, "slides/deck.md", "---\nauthor: Ada\ntheme: s/t.json\n---\n# One\n![a](s/a.png)\n---\n# Two\n");
    write(at, "slides/s/a.png", noise(50_000, 5));
    write(at, "slides/s/b.svg", "<svg/>");
    write(at, "slides/s/t.json", "{}");
    dir
}

/// Type, source, parameters, digest of the manifest.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const CASES: &[Case] = &[
    ("file-bundle", "bundle/noise.bin", &[], "sha256:c8803ed27337f1748028cabd7c4f6f06f13d8b0a35034936b97b1809cc9cd53a"),
    (
        "file-bundle",
        "kinds",
        &[("layout", "files")],
        "sha256:cc052c05b750a3e1744afcbb0dc5c263217de114ffc8f5ecfc6d3609ec18b296",
    ),
    ("file-bundle", "bundle", &[], "sha256:987fdd86fc6453e6e968535da9e22e8f1e01f681e71c80cd771cb60c0f5b7292"),
    (
        "file-bundle",
        "bundle",
        &[("compress", "none")],
        "sha256:e611d50cfdecde99be086c65375829c5ed1d16edbd4d5a785e431a86f13846f5",
    ),
    (
        "file-bundle",
        "bundle",
        &[("compress", "gzip:0")],
        "sha256:1a40e93b196e33c2e2dee5e4f22fe76868e7cf6106399e4d77787646a159df3a",
    ),
    (
        "file-bundle",
        "bundle",
        &[("compress", "gzip:1")],
        "sha256:6690127584a85a34849d644b4c7398d8b3ba1a3ed7f9bed8a3b977efa6d34ba2",
    ),
    (
        "file-bundle",
        "bundle",
        &[("compress", "gzip:9")],
        "sha256:61322c8a6bb50af5262dca3adc17591aa2e12ab40a0ef7ed5e87d41da0a9ace7",
    ),
    (
        "file-bundle",
        "bundle",
        &[("compress", "zstd")],
        "sha256:5e402019eb40ff247fd75ed9f18e7e42f5d6b8cfe2ef88bf0b1de39e253220ed",
    ),
    (
        "file-bundle",
        "bundle",
        &[("compress", "zstd:1")],
        "sha256:3b5f498c7db10a764d5c0023968ce7841ac21779dc2b4297ca56542996a84e99",
    ),
    (
        "file-bundle",
        "bundle",
        &[("compress", "zstd:19")],
        "sha256:4bae0ad78243606de6f33e55d9917ae0310463d198f5824ef6dbc2364eb4b0fd",
    ),
    ("helm-chart", "chart", &[], "sha256:cc643a804edd5ec5107ec6568d5a43dd2bbfe5a86bbf8756330eb622a6c8ae3a"),
    ("helm-chart", "web-1.2.3.tgz", &[], "sha256:2c764a0c8748226face4e1eaf2d435559ae8d04e735da0e1c5c28fe1b58481fe"),
    ("slideshow", "slides/slides.yaml", &[], "sha256:6b6a5d74ba7ced6b3185afad25c34f7bed5dcdb36cc8bf8b68cf489ec1079d55"),
    (
        "slideshow",
        "slides",
        &[("created", "2026-01-02T03:04:05Z")],
        "sha256:e42cf5295d0d41efa2df4a4e04fe9be72bca66da84d2bd4bec1dc6b70621dd58",
    ),
    ("slideshow", "slides/notes.yaml", &[], "sha256:1625095431eeddad0616207f1f694db56db62fffdf46a515465a7960d0bb9b23"),
    ("slideshow", "slides/deck.md", &[], "sha256:598f4e4074d1cbaca7f84a0654631cea0672f112c741d8b709a53a1debe864ec"),
];

async fn packed(dir: &Path, (kind, source, params, _): Case, threads: usize) -> Packed {
    let set = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let source = Source::open(dir.join(source)).unwrap();
    let found = Catalog::builtin().unwrap().detect(&source).unwrap();
    assert_eq!(found.kind.name(), kind);
    let plan = found.plan(&source, &Inputs { set, ..Inputs::default() }).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    pack::pack(&plan, &pack::Options { threads, ..pack::Options::new(scratch.path()) }).await.unwrap()
}

#[tokio::test]
async fn every_type_packs_to_the_digest_that_it_always_had() {
    let dir = sources();
    let chart = packed(dir.path(), ("helm-chart", "chart", &[], ""), 1).await;
    write(
        dir.path(),
        "web-1.2.3.tgz",
        store::read(&chart, &store::Item::blob(chart.layers()[0].clone()), 8 << 20).await.unwrap(),
    );
    write(dir.path(), "web-1.2.3.tgz.prov", "signed");
    let mut changed = Vec::new();
    for case in CASES {
        for threads in [1, 3] {
            let digest = packed(dir.path(), *case, threads).await.root().digest.to_string();
            if digest != case.3 {
                changed.push(format!("{} of {} {:?}, {threads} threads: {digest}", case.0, case.1, case.2));
            }
        }
    }
    assert!(changed.is_empty(), "\n{}", changed.join("\n"));
}

#[test]
fn every_built_in_type_has_such_a_digest() {
    let catalog = Catalog::builtin().unwrap();
    let (there, shown): (BTreeSet<&str>, BTreeSet<&str>) =
        (catalog.list().map(|kind| kind.name()).collect(), CASES.iter().map(|case| case.0).collect());
    assert_eq!(there, shown);
}
