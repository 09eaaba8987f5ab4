//! Compressed archives, whole and damaged, and the digests of what is in them.

use std::io::Write as _;

use artifact::{Kind, oci::Digest, plan::Compression};

use super::{Job, World, extract, extract_checked, tree};
use crate::support::tar::{Entry, archive};

const GZIP: Compression = Compression::Gzip(6);
const ZSTD: Compression = Compression::Zstd(3);

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zst(data: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn good() -> Vec<u8> {
    let noise: String = (0..20_000_u64).map(|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
    archive([Entry::file("a", noise), Entry::dir("d"), Entry::file("d/b", "data")])
}

async fn refused(id: &str, bytes: &[u8], compress: Compression) -> artifact::Error {
    Job::default().step("", bytes, extract(compress)).await.refused(&World::new(), id).await
}

#[tokio::test]
async fn a_bomb_goes_off_at_its_limit() {
    let zeros = vec![0; 8 << 20];
    let header = Entry::file("a", "").size(1 << 32).bytes();
    for (id, bytes, compress) in
        [("Z1", gzip(&[&header[..], &zeros].concat()), GZIP), ("Z2", zst(&[&header[..], &zeros].concat()), ZSTD)]
    {
        let mut job = Job::default().step("", &bytes, extract(compress)).await;
        job.options.allowance = Some(4 << 20);
        let error = job.refused(&World::new(), id).await;
        assert_eq!(error.kind(), Kind::Limit, "{error}");
    }
    // A bomb within is data (Z3).
    let world = World::new();
    let nested = gzip(&archive([Entry::file("inner.gz", gzip(&zeros))]));
    Job::default().step("", &nested, extract(GZIP)).await.run(&world.dest()).await.unwrap();
    assert!(world.dest().join("inner.gz").metadata().unwrap().len() < 1 << 20);
}

#[tokio::test]
async fn the_limit_is_for_the_whole_artifact_however_its_bytes_are_spread() {
    let part = |name: &str| gzip(&archive([Entry::file(name, vec![0; 1 << 20])]));
    let mut several = Job::default();
    let mut same = Job::default();
    let mut files = Job::default();
    let zeros = vec![0; 1 << 20];
    for i in 0..5 {
        several = several.step("", &part(&format!("f{i}")), extract(GZIP)).await;
        same = same.step(&format!("d{i}"), &part("f"), extract(GZIP)).await;
        files = files.file(&format!("f{i}"), &zeros).await;
    }
    for (what, mut job) in
        [("several archives", several), ("one archive, five times", same), ("one file, five times", files)]
    {
        job.options.allowance = Some(4 << 20);
        let error = job.refused(&World::new(), what).await;
        assert_eq!(error.kind(), Kind::Limit, "{what}: {error}");
        assert!(error.to_string().contains("expands to more than 4194304 bytes"), "{what}: {error}");
        job.options.allowance = Some(6 << 20);
        job.run(&World::new().dest()).await.unwrap();
    }
}

#[tokio::test]
async fn names_are_counted_over_the_whole_artifact() {
    let mut job = Job::default().file("top", "x").await;
    for i in 0..3 {
        let bytes = archive([Entry::file(format!("a/b/{i}"), "x")]);
        job = job.tar(&format!("d{i}"), &bytes).await;
    }
    // `top`, and in each of three archives a file and three directories.
    job.options.limits.entries = 12;
    assert_eq!(job.refused(&World::new(), "a name too many").await.kind(), Kind::Limit);
    job.options.limits.entries = 13;
    job.run(&World::new().dest()).await.unwrap();
}

#[tokio::test]
async fn a_frame_that_asks_for_two_gigabytes_of_window_is_refused() {
    // A frame header of RFC 8878, 3.1.1.1: no single segment, window descriptor for 2^31 bytes, one empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
    refused("Z4", &[&frame[..], &zst(&good())].concat(), ZSTD).await;
}

#[tokio::test]
async fn damage_is_refused() {
    for (compress, bytes) in [(GZIP, gzip(&good())), (ZSTD, zst(&good()))] {
        for len in [0, 1, 5, 12, bytes.len() / 2, bytes.len() - 5, bytes.len() - 1] {
            refused("Z5 truncated", &bytes[..len], compress).await;
        }
        for at in [0, 3, bytes.len() / 3, bytes.len() / 2, bytes.len() - 9, bytes.len() - 3, bytes.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            refused("Z5 flipped", &flipped, compress).await;
        }
        refused("Z8", &[&bytes[..], b"trailing"].concat(), compress).await;
    }
}

#[tokio::test]
async fn all_members_and_frames_are_unpacked() {
    let (first, second) = (Entry::file("a", "1").bytes(), archive([Entry::file("b", "2")]));
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7];
    for (compress, bytes) in [
        (GZIP, [gzip(&first), gzip(&second)].concat()),
        (ZSTD, [&skippable[..], &zst(&first), &skippable, &zst(&second), &skippable].concat()),
    ] {
        let world = World::new();
        Job::default().step("", &bytes, extract(compress)).await.run(&world.dest()).await.unwrap();
        assert_eq!(tree::content(&world.dest()).len(), 2, "Z6");
    }
}

#[tokio::test]
async fn data_of_another_compression_than_said_is_refused() {
    let all = [(Compression::None, good()), (GZIP, gzip(&good())), (ZSTD, zst(&good()))];
    for (said, _) in &all {
        for (is, bytes) in all.iter().filter(|(is, _)| is != said) {
            let error = refused(&format!("Z7 {said:?} {is:?}"), bytes, *said).await;
            assert_eq!(error.kind(), Kind::Mismatch);
        }
    }
    for magic in [&b"\xfd7zXZ\0"[..], b"BZh9", b"\x04\x22\x4d\x18"] {
        for (said, _) in &all {
            refused("Z11", &[magic, &good()].concat(), *said).await;
        }
    }
}

#[tokio::test]
async fn a_wrong_digest_of_the_content_is_refused() {
    for (compress, bytes) in [(Compression::None, good()), (GZIP, gzip(&good())), (ZSTD, zst(&good()))] {
        let action = |digest| extract_checked(compress, digest);
        let world = World::new();
        let wrong = Job::default().step("", &bytes, action(Digest::of(b"other"))).await;
        assert_eq!(wrong.refused(&world, "Z10").await.kind(), Kind::Mismatch);
        let right = Job::default().step("", &bytes, action(Digest::of(&good()))).await;
        right.run(&world.dest()).await.unwrap();
    }
}
