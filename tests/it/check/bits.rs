//! Every flipped bit of a layout or an archive that our own writer made is found, but for those that change nothing but
//! what is written once and judged by nobody: the letters of a name, and the type of what is no document.

use std::{fs, ops::Range, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use artifact::{
    check::{Severity, check},
    oci::{Descriptor, RefName, media_type},
    store::{Intent, Item, NameChange, ReadStore, Store, begin},
    stores::{Archive, Layout},
};
use bytes::Bytes;

use crate::support::samples::{Sample, deliver, ref_name};

const XML: &str = "application/xml";

/// What is put into a store: an artifact with two names, a referrer, what Helm writes (a manifest that does not say its
/// type), what has no name, and what is no manifest.
struct Small {
    image: Sample,
    about: Sample,
    untyped: (Descriptor, Bytes),
    text: (Descriptor, Bytes),
}

impl Small {
    fn new() -> Self {
        let image = Sample::of(&[b"hello"]);
        let about = Sample::about(image.root(), b"signature");
        let mut untyped: serde_json::Value = serde_json::from_slice(&image.manifests[0].1).unwrap();
        untyped.as_object_mut().unwrap().remove("mediaType");
        let untyped = Bytes::from(untyped.to_string());
        let text = Bytes::from_static(b"<x/>");
        Self {
            image,
            about,
            untyped: (Descriptor::of(media_type::MANIFEST, &untyped), untyped),
            text: (Descriptor::of(XML, &text), text),
        }
    }

    async fn deliver(&self, to: &Arc<dyn Store>) {
        deliver(to, &self.image, &["v1", "stable"]).await.unwrap();
        deliver(to, &self.about, &[]).await.unwrap();
        deliver(to, &Sample::of(&[b"unnamed"]), &[]).await.unwrap();
        for (tag, (desc, bytes)) in [("helm", &self.untyped), ("meta", &self.text)] {
            let (items, name) = (vec![Item::manifest(desc.bare())], NameChange::set(ref_name(tag), desc.bare()));
            let intent = Intent { items, names: vec![name.clone()], ..Intent::default() };
            let write = begin(to.as_ref(), intent).await.unwrap();
            write.puts().manifest(desc, bytes).await.unwrap();
            write.name(name).unwrap();
            write.commit().await.unwrap();
        }
    }
}

/// Whether something is found that is worse than a note, or the store cannot be read.
async fn is_found(opened: artifact::Result<impl ReadStore + 'static>) -> bool {
    let Ok(store) = opened else { return true };
    let store: Arc<dyn ReadStore> = Arc::new(store);
    check(&store).await.map_or(true, |found| found.iter().any(|finding| finding.severity < Severity::Note))
}

/// The place of this text in a list, wherever it is the value of this key.
fn values(list: &str, key: &str, value: &str) -> Vec<Range<usize>> {
    let pair = format!("\"{key}\":\"{value}\"");
    let starts = list.match_indices(&pair).map(|(at, _)| at + pair.len() - 1 - value.len());
    starts.map(|start| start..start + value.len()).collect()
}

/// Whether nobody can know that this bit of this list was flipped.
fn is_beyond_knowing(list: &str, at: usize, bit: u8) -> bool {
    let flipped = |range: &Range<usize>| {
        let mut bytes = list.as_bytes()[range.clone()].to_vec();
        bytes[at - range.start] ^= 1 << bit;
        String::from_utf8(bytes)
    };
    let names = ["v1", "stable", "helm", "meta"].map(|name| values(list, "org.opencontainers.image.ref.name", name));
    let name = names.iter().flatten().find(|range| range.contains(&at)).map(flipped);
    let kind = values(list, "mediaType", XML).iter().find(|range| range.contains(&at)).map(flipped);
    name.is_some_and(|name| name.is_ok_and(|name| name.parse::<RefName>().is_ok()))
        || kind.is_some_and(|kind| kind.is_ok_and(|kind| media_type::is_valid(&kind)))
}

/// Flips these bits one after the other in a file, and gives those that were not found.
async fn missed<S: ReadStore + 'static>(
    file: &Path,
    bits: impl Iterator<Item = (usize, u8)>,
    open: impl Fn() -> artifact::Result<S>,
) -> Vec<(usize, u8)> {
    let (good, mut missed) = (fs::read(file).unwrap(), Vec::new());
    let written = fs::OpenOptions::new().write(true).open(file).unwrap();
    for (at, bit) in bits {
        written.write_all_at(&[good[at] ^ (1 << bit)], at as u64).unwrap();
        if !is_found(open()).await {
            missed.push((at, bit));
        }
        written.write_all_at(&good[at..=at], at as u64).unwrap();
    }
    assert!(!is_found(open()).await, "{}: it is whole again", file.display());
    missed
}

fn every_bit(bytes: Range<usize>) -> impl Iterator<Item = (usize, u8)> + Clone {
    bytes.flat_map(|at| (0..8).map(move |bit| (at, bit)))
}

/// One bit of each byte, not always the same.
fn a_bit_of_each(bytes: Range<usize>) -> impl Iterator<Item = (usize, u8)> + Clone {
    bytes.map(|at| (at, u8::try_from((at ^ (at >> 3)) % 8).unwrap()))
}

#[tokio::test]
async fn every_flipped_bit_of_a_layout_is_found_but_for_the_letters_of_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let store: Arc<dyn Store> = Arc::new(Layout::create(path).unwrap());
    Small::new().deliver(&store).await;
    let open = || Layout::open(path);
    for blob in fs::read_dir(path.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let len = usize::try_from(fs::metadata(&blob).unwrap().len()).unwrap();
        assert_eq!(missed(&blob, a_bit_of_each(0..len), open).await, [], "{}", blob.display());
    }
    let marker = path.join("oci-layout");
    let len = fs::read(&marker).unwrap().len();
    assert_eq!(missed(&marker, every_bit(0..len), open).await, []);
    let list = fs::read_to_string(path.join("index.json")).unwrap();
    let missed = missed(&path.join("index.json"), every_bit(0..list.len()), open).await;
    let expected = every_bit(0..list.len()).filter(|(at, bit)| is_beyond_knowing(&list, *at, *bit));
    assert_eq!(missed, expected.collect::<Vec<_>>(), "{list}");
    assert!(!missed.is_empty());
}

#[tokio::test]
async fn every_flipped_bit_of_an_archive_is_found_but_for_the_letters_of_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let store: Arc<dyn Store> = Arc::new(Archive::create(&path).unwrap());
    Small::new().deliver(&store).await;
    let bytes = fs::read(&path).unwrap();
    let find = |text: &[u8]| bytes.windows(text.len()).position(|window| window == text).unwrap();
    let start = find(b"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index");
    let end = start + bytes[start..].iter().position(|b| *b == 0).unwrap();
    let list = std::str::from_utf8(&bytes[start..end]).unwrap();
    let checksums = (0..bytes.len()).step_by(512).filter(|at| bytes[at + 257..].starts_with(b"ustar"));
    let checksums: Vec<_> = checksums.flat_map(|at| every_bit(at + 148..at + 156)).collect();
    let bits = a_bit_of_each(0..bytes.len()).chain(checksums);
    let missed = missed(&path, bits.clone(), || Archive::open(&path)).await;
    let expected = bits.filter(|(at, bit)| (start..end).contains(at) && is_beyond_knowing(list, at - start, *bit));
    assert_eq!(missed, expected.collect::<Vec<_>>());
}
