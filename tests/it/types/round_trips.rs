//! What is packed can be unpacked, whatever it is called.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::Arc,
};

use artifact::{
    oci::Manifest,
    source::Source,
    store::ReadStore,
    types::{Catalog, View},
    unpack,
};

use super::{packed, set};
use crate::support::tree;

/// Names that are odd somewhere, and what random ones are made of.
const NAMES: [&str; 26] = [
    "a",
    "A",
    "README",
    "readme",
    "\u{e9}",
    "e\u{301}",
    "2024-01-01T12:00:00.log",
    "a::b.md",
    "C:x",
    "aux.c",
    "con",
    "x.",
    "x ",
    " x",
    "...",
    "-rf",
    "*",
    "what?",
    "\"<|>\"",
    "dev\\x2ddisk",
    "..\\up",
    ".hidden",
    "z\u{200b}w",
    "\u{200e}marked",
    "\u{feff}bom",
    "👨‍👩‍👧 {{ x }} $(id)",
];

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn name(&mut self) -> String {
        match self.below(8) {
            0 => "n".repeat(255 - self.below(3)),
            1 => format!("{}{}", NAMES[self.below(NAMES.len())], self.below(9)),
            _ => NAMES[self.below(NAMES.len())].to_owned(),
        }
    }
}

/// Fills a directory; `depth` is its own below the source.
fn fill(dir: &Path, depth: usize, links: bool, dice: &mut Dice) {
    for _ in 0..=dice.below(5) {
        let path = dir.join(dice.name());
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match dice.below(6) {
            0 | 1 if depth < 4 => {
                fs::create_dir(&path).unwrap();
                fill(&path, depth + 1, links, dice);
                let mode = [0o755, 0o750, 0o700, 0o777][dice.below(4)];
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            2 if links => {
                let up = "../".repeat(dice.below(depth + 1));
                symlink(format!("{up}{}", dice.name()), &path).unwrap();
            }
            _ => {
                fs::write(&path, vec![b'x'; dice.below(3) * 700]).unwrap();
                let mode = [0o644, 0o755, 0o600, 0o444, 0o555, 0o664][dice.below(6)];
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
}

/// Packs a source and unpacks the artifact; what the destination then has.
async fn there_and_back(source: &Path, dest: &Path, layout: &str) -> artifact::Result<()> {
    let catalog = Catalog::builtin()?;
    let kind = catalog.get("file-bundle").unwrap();
    let plan = kind.plan(&Source::open(source)?, &set(&[("layout", layout)]))?;
    let packed = packed(&plan).await;
    let manifest: Manifest = serde_json::from_slice(packed.manifest()).unwrap();
    let steps = kind.unpacking(&manifest, b"{}", View::Native)?;
    let store: Arc<dyn ReadStore> = Arc::new(packed);
    unpack::unpack(store, &steps, dest, &unpack::Options::default()).await.map(drop)
}

/// Names, kinds and content, and whether a file can be run: bundles keep no other permissions.
fn kept(dir: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    let runs = |path: &str| {
        let meta = dir.join(path.trim_end_matches('@')).symlink_metadata().unwrap();
        meta.is_file().then(|| meta.permissions().mode() & 0o100)
    };
    tree::content(dir).into_iter().map(|(path, text)| (runs(&path), path, text)).collect::<Vec<_>>()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn every_tree_that_is_packed_comes_back_with_its_names_bytes_modes_and_links() {
    for seed in 0..300 {
        let (mut dice, work) = (Dice(seed), tempfile::tempdir().unwrap());
        let (source, dest) = (work.path().join(format!("s{}", dice.name())), work.path().join("out"));
        // A name of 255 bytes has no room for more.
        let source = if source.file_name().unwrap().len() > 255 { work.path().join("s") } else { source };
        fs::create_dir(&source).unwrap();
        let layout = ["tree", "files"][dice.below(2)];
        fill(&source, 0, layout == "tree", &mut dice);
        there_and_back(&source, &dest, layout).await.unwrap_or_else(|e| panic!("seed {seed}, {layout}: {e}"));
        let back = if layout == "tree" { dest.join(source.file_name().unwrap()) } else { dest };
        if layout == "tree" {
            assert_eq!(kept(&source), kept(&back), "seed {seed}");
        } else {
            // Without directories that have no files.
            let files = |dir: &Path| tree::content(dir).into_iter().filter(|(path, _)| !path.ends_with('/'));
            assert!(files(&source).eq(files(&back)), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_tree_too_deep_to_be_unpacked_is_not_packed() {
    let work = tempfile::tempdir().unwrap();
    for (depth, layout, fits) in [(127, "tree", true), (128, "tree", false), (128, "files", true)] {
        let source = work.path().join(format!("{depth}{layout}"));
        let deep = source.join("d/".repeat(depth - 1));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), "x").unwrap();
        let done = there_and_back(&source, &work.path().join(format!("out{depth}{layout}")), layout).await;
        let kind = done.map_err(|e| e.kind());
        assert_eq!(kind, if fits { Ok(()) } else { Err(artifact::Kind::Limit) }, "{depth} {layout}");
    }
}
