//! Unpacking into a world of which the rest must stay as it is.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use artifact::{
    oci::{Descriptor, Digest},
    plan::{Action, Compression, Step, Unpacking},
    store::ReadStore,
    stores::Memory,
    unpack::{Options, Report, unpack},
};
use bytes::Bytes;
use tempfile::TempDir;

use super::{tree, writing::put};

/// A destination with things around it that nobody may touch.
pub(crate) struct World {
    pub(crate) dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let canary = dir.path().join("canary");
        std::fs::create_dir_all(canary.join("closed")).unwrap();
        std::fs::write(canary.join("file"), "canary").unwrap();
        std::fs::write(canary.join("closed/secret"), "canary").unwrap();
        std::os::unix::fs::symlink("file", canary.join("link")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(canary.join("closed"), mode).unwrap();
        std::fs::create_dir(dir.path().join("dest-evil")).unwrap();
        Self { dir }
    }

    /// One whose destination exists, with a file and a link to the outside in it.
    pub(crate) fn inhabited() -> Self {
        let world = Self::new();
        std::fs::create_dir_all(world.dest().join("kept")).unwrap();
        std::fs::write(world.dest().join("kept/file"), "kept").unwrap();
        std::os::unix::fs::symlink(world.canary(), world.dest().join("link")).unwrap();
        world
    }

    pub(crate) fn dest(&self) -> PathBuf {
        self.dir.path().join("dest")
    }

    pub(crate) fn canary(&self) -> PathBuf {
        self.dir.path().join("canary")
    }
}

/// Steps of an unpacking, and the store that has their blobs.
#[derive(Default)]
pub(crate) struct Job {
    pub(crate) store: Memory,
    pub(crate) unpacking: Unpacking,
    pub(crate) options: Options,
}

impl Job {
    pub(crate) async fn step(mut self, path: &str, bytes: &[u8], action: Action) -> Self {
        let blob = Descriptor::of("application/octet-stream", bytes);
        put(&self.store, &blob, &Bytes::copy_from_slice(bytes)).await.unwrap();
        self.unpacking.steps.push(Step { blob, path: path.into(), action });
        self
    }

    /// A blob that is one file.
    pub(crate) async fn file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.step(path, bytes.as_ref(), Action::Write { mode: 0o644 }).await
    }

    /// An archive without compression whose links are made.
    pub(crate) async fn tar(self, path: &str, bytes: &[u8]) -> Self {
        self.step(path, bytes, extract(Compression::None)).await
    }

    pub(crate) async fn run(&self, dest: &Path) -> artifact::Result<Report> {
        let store: Arc<dyn ReadStore> = Arc::new(self.store.clone());
        unpack(store, &self.unpacking, dest, &self.options).await
    }

    /// Runs it in a world; it must fail, change nothing, and say so in few words.
    pub(crate) async fn refused(&self, world: &World, what: &str) -> artifact::Error {
        let before = tree::state(world.dir.path());
        let error = match self.run(&world.dest()).await {
            Ok(report) => panic!("{what} was unpacked: {report:?}\n{:#?}", tree::content(&world.dest())),
            Err(error) => error,
        };
        let mut after = tree::state(world.dir.path());
        // A staging directory within the destination came and went.
        let mut before = before;
        assert_eq!(before.remove(Path::new("dest")).is_some(), after.remove(Path::new("dest")).is_some(), "{what}");
        assert_eq!(before, after, "{what} left a trace");
        let message = error.to_string();
        assert!(!message.is_empty() && message.len() < 2000, "{what}: {message:?}");
        error
    }
}

pub(crate) fn extract(compress: Compression) -> Action {
    Action::Extract { compress, root: None, strip: 0, links: true, diff_id: None }
}

pub(crate) fn extract_checked(compress: Compression, diff_id: Digest) -> Action {
    Action::Extract { compress, root: None, strip: 0, links: true, diff_id: Some(diff_id) }
}
