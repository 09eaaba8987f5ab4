//! Whole unpackings.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::block_on;
use crate::{
    error::Result,
    fs::name_fault,
    oci::{Descriptor, media_type},
    plan::{Action, Compression, Step, Unpacking},
    store::{self, Intent, Item},
    stores::Memory,
    tarball::read::Limits,
    unpack,
};

/// An archive, unpacked into a new destination, with and without a root. Nothing is written beside it, nothing at all
/// after an error, and names and links are safe.
pub(super) fn unpack(bytes: &[u8]) {
    for root in [None, Some("d".to_owned())] {
        let Ok(dir) = tempfile::tempdir() else { return };
        let dest = dir.path().join("out");
        let done = block_on(unpacked(bytes, root, &dest));
        let there: Vec<PathBuf> = fs::read_dir(dir.path()).into_iter().flatten().flatten().map(|e| e.path()).collect();
        match done {
            Ok(()) => assert_eq!(there, [dest.as_path()]),
            Err(_) => assert_eq!(there, [""; 0].map(PathBuf::from), "something is left"),
        }
        inspect(&dest, 0);
    }
}

async fn unpacked(bytes: &[u8], root: Option<String>, dest: &Path) -> Result<()> {
    let store = Memory::new();
    let blob = Descriptor::of(media_type::OCTET_STREAM, bytes);
    let intent = Intent { items: vec![Item::blob(blob.clone())], ..Intent::default() };
    let write = store::begin(&store, intent).await?;
    write.puts().put(&blob, &Bytes::copy_from_slice(bytes), &[]).await?;
    write.commit().await?;
    let action = Action::Extract { compress: Compression::None, root, strip: 0, links: true, diff_id: None };
    let mut unpacking = Unpacking::default();
    unpacking.steps.push(Step { blob, path: String::new(), action });
    let limits = Limits { entries: 200, ..Limits::default() };
    let options = unpack::Options { limits, allowance: Some(1 << 20), ..unpack::Options::default() };
    unpack::unpack(Arc::new(store), &unpacking, dest, &options).await.map(drop)
}

/// Every name below is safe, and no link leads out. `depth` is that of `dir` below the destination.
fn inspect(dir: &Path, depth: usize) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_str().unwrap_or("\0");
        assert_eq!(name_fault(name), None, "{name:?}");
        if let Ok(target) = fs::read_link(&path) {
            let up = target.components().filter(|part| matches!(part, std::path::Component::ParentDir)).count();
            assert!(target.is_relative() && up <= depth, "{} leads to {}", path.display(), target.display());
        } else if path.is_dir() {
            inspect(&path, depth + 1);
        }
    }
}
