//! Files that leave while they are packed, through an outlet with little room.

use std::sync::{Arc, Mutex};

use artifact::{
    Code,
    blob::SourceFile,
    oci::Digest,
    pack::{Leaving, Options, Outlet, pack},
    plan::{Content, Part},
};
use async_trait::async_trait;
use bytes::Bytes;

use crate::support::{
    packing::{part, plan, world},
    samples::words,
};

/// What left, and what it was said to be.
type Left = Vec<(Vec<u8>, Digest)>;

/// Lets every file leave, and has no room for a second piece before a wait.
#[derive(Debug, Clone, Default)]
struct Narrow(Arc<Mutex<Left>>);

struct Piecewise {
    taken: Vec<u8>,
    full: bool,
    done: Narrow,
}

impl Outlet for Narrow {
    fn open(&self, file: &SourceFile, start: &Bytes) -> Option<Box<dyn Leaving>> {
        assert_eq!(std::fs::read(file.path()).unwrap()[..start.len()], start[..]);
        Some(Box::new(Piecewise { taken: Vec::new(), full: false, done: self.clone() }))
    }
}

#[async_trait]
impl Leaving for Piecewise {
    fn offer(&mut self, chunk: Bytes) -> bool {
        assert!(!self.full, "room comes first");
        self.taken.extend_from_slice(&chunk);
        self.full = true;
        false
    }

    /// Waits until a thread has nothing to do.
    async fn room(&mut self) {
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        self.full = false;
    }

    fn known(self: Box<Self>, digest: &Digest) {
        self.done.0.lock().unwrap().push((self.taken, digest.clone()));
    }
}

#[test]
fn what_leaves_is_the_file_piece_by_piece_and_no_thread_waits_for_it() {
    let texts = [1, 2, 3].map(|seed| String::from_utf8(words(1_500_000, seed)).unwrap());
    let dir = world(&[("a", &texts[0]), ("b", &texts[1]), ("c", &texts[2])]);
    let layers = ["a", "b", "c"].map(|name| part("a/b", Content::File(name.into()))).into();
    let (plan, outlet) = (plan(&dir, layers), Narrow::default());
    let scratch = dir.path().join("scratch");
    let options = Options { threads: 2, outlet: Some(Arc::new(outlet.clone())), ..Options::new(scratch) };
    // One thread is all there is: if packing kept it, there would never be room.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let packed = runtime.block_on(pack(&plan, &options)).unwrap();
    let mut left = outlet.0.lock().unwrap().clone();
    left.sort();
    let mut expected = texts.map(|text| (text.clone().into_bytes(), Digest::of(text.as_bytes())));
    expected.sort();
    assert!(left == expected);
    let digests: Vec<_> = packed.layers().iter().map(|desc| desc.digest.clone()).collect();
    assert!(expected.iter().all(|(_, digest)| digests.contains(digest)));
}

#[tokio::test]
async fn nothing_leaves_for_a_manifest_that_registries_refuse_for_its_size() {
    let dir = world(&[("a", "text")]);
    let titled = |name: &str, text: String| {
        let annotations = [("x".to_owned(), text.into())].into();
        Part { annotations, ..part("a/b", Content::File(name.into())) }
    };
    for (bytes, fits) in [(4_190_000, true), (4_194_304, false)] {
        let plan = plan(&dir, vec![titled("a", "x".repeat(bytes))]);
        let outlet = Narrow::default();
        let options = Options { outlet: Some(Arc::new(outlet.clone())), ..Options::new(dir.path()) };
        let packed = pack(&plan, &options).await;
        assert_eq!(packed.err().map(|e| e.code()), (!fits).then_some(Some(Code::ManifestTooLarge)));
        assert_eq!(outlet.0.lock().unwrap().len(), usize::from(fits));
    }
}

#[tokio::test]
async fn a_config_does_not_leave_and_neither_does_what_is_no_file() {
    let dir = world(&[("a", "content"), ("config", "another")]);
    let mut plan = plan(&dir, vec![part("a/b", Content::File("a".into())), part("a/b", Content::Text("text".into()))]);
    plan.manifest_mut().unwrap().config = part("c/d", Content::File("config".into()));
    let outlet = Narrow::default();
    let scratch = dir.path().join("scratch");
    pack(&plan, &Options { outlet: Some(Arc::new(outlet.clone())), ..Options::new(scratch) }).await.unwrap();
    assert_eq!(*outlet.0.lock().unwrap(), [(b"content".to_vec(), Digest::of(b"content"))]);
}
