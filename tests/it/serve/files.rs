//! Layouts that are served as they lie on the disk, right or wrong.

use std::{os::unix::fs::FileExt as _, path::PathBuf, sync::Arc};

use artifact::{
    oci::{Descriptor, Digest, media_type},
    serve::{Mounted, Options, Running, Tree},
    stores::Layout,
};

use bytes::Bytes;

use super::push_index;
use crate::support::{
    http::send,
    samples::image,
    server,
    writing::{has, put},
};

/// A server over a directory, with one blob of several pieces in repository `a`, and the file that it is in.
async fn served(dir: &tempfile::TempDir) -> (Running, Digest, PathBuf) {
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let server = server::start(Options { repositories, ..Options::in_memory() }).await;
    let content: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Digest::of(&content);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(send(server.addr(), "POST", &path, &[], content).await.status, 201);
    let file = dir.path().join("a/blobs/sha256").join(digest.hex());
    (server, digest, file)
}

#[tokio::test]
async fn neither_a_corrupted_blob_nor_a_part_of_it_is_ever_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (server, digest, file) = served(&dir).await;
    let path = format!("/v2/a/blobs/{digest}");
    assert!(send(server.addr(), "GET", &path, &[], "").await.complete);
    let mut content = std::fs::read(&file).unwrap();
    content[1_000_000] ^= 1;
    std::fs::write(&file, &content).unwrap();
    for headers in [&[][..], &[("range", "bytes=0-9")], &[("range", "bytes=-9")], &[]] {
        let answer = send(server.addr(), "GET", &path, headers, "").await;
        assert!(!answer.complete || answer.status == 500, "{headers:?}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_blob_that_is_corrupted_before_anybody_has_read_it_is_never_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (server, digest, file) = served(&dir).await;
    let mut content = std::fs::read(&file).unwrap();
    content[1_000_000] ^= 1;
    std::fs::write(&file, &content).unwrap();
    for headers in [&[][..], &[("range", "bytes=0-9")]] {
        let answer = send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), headers, "").await;
        assert!(!answer.complete || answer.status == 500, "{headers:?}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_blob_that_is_corrupted_while_it_is_uploaded_is_never_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, other) = served(&dir).await;
    let session = send(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], "").await.header("location").to_owned();
    let content: Vec<u8> = (0..500_001_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(send(server.addr(), "PATCH", &session, &[], content.clone()).await.status, 202);
    let files = || std::fs::read_dir(other.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let unfinished = files().find(|file| *file != other).unwrap();
    while std::fs::metadata(&unfinished).unwrap().len() < 1_000_000 {
        tokio::task::yield_now().await;
    }
    std::fs::File::options().write(true).open(&unfinished).unwrap().write_all_at(b"!", 1000).unwrap();
    let (digest, tail) = (Digest::of(&[&content[..], b"end"].concat()), "end");
    assert_eq!(send(server.addr(), "PUT", &format!("{session}?digest={digest}"), &[], tail).await.status, 201);
    let answer = send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], "").await;
    assert!(!answer.complete || answer.status == 500, "{}", answer.status);
}

#[tokio::test]
async fn a_truncated_blob_is_never_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (server, digest, file) = served(&dir).await;
    for len in [1_000_000, 1000, 0] {
        std::fs::File::options().write(true).open(&file).unwrap().set_len(len).unwrap();
        let answer = send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], "").await;
        assert!(!answer.complete || answer.status == 500, "{len}: {}", answer.status);
    }
}

#[tokio::test]
async fn a_corrupted_manifest_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let (server, ..) = served(&dir).await;
    let digest = push_index(&server, "a", "v1").await;
    let file = dir.path().join("a/blobs/sha256").join(digest.hex());
    let bytes = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, bytes.replace("\"v1\"", "\"v2\"")).unwrap();
    for reference in ["v1".to_owned(), digest.to_string()] {
        let answer = send(server.addr(), "GET", &format!("/v2/a/manifests/{reference}"), &[], "").await;
        assert_eq!((answer.status, answer.codes()), (500, vec!["UNKNOWN".into()]), "{reference}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&*dir.path().to_string_lossy()), "no path of ours");
    }
}

#[tokio::test]
async fn a_blob_that_is_a_link_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (server, digest, file) = served(&dir).await;
    std::fs::rename(&file, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &file).unwrap();
    let answer = send(server.addr(), "GET", &format!("/v2/a/blobs/{digest}"), &[], "").await;
    assert_ne!(answer.status, 200);
}

#[tokio::test]
async fn a_layout_is_served_in_place_under_the_names_that_its_tags_have() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bundle");
    image(&path);
    let index = std::fs::read_to_string(path.join("index.json")).unwrap();
    std::fs::write(path.join("index.json"), index.replace("\"v1\"", "\"ghcr.io/team/app:v1\"")).unwrap();
    let store = Arc::new(Layout::open(&path).unwrap());
    let repositories = Arc::new(Mounted::new().and("bundle".parse().unwrap(), store));
    let server = server::start(Options { repositories, ..Options::default() }).await;
    let manifest = send(server.addr(), "GET", "/v2/team/app/manifests/v1", &[], "").await;
    assert_eq!((manifest.status, manifest.header("content-type")), (200, media_type::MANIFEST));
    let layer = manifest.json()["layers"][0]["digest"].as_str().unwrap().to_owned();
    let part = send(server.addr(), "GET", &format!("/v2/team/app/blobs/{layer}"), &[("range", "bytes=9-19")], "").await;
    assert_eq!((part.status, part.body.len()), (206, 11));
    assert_eq!(send(server.addr(), "GET", "/v2/bundle/manifests/v1", &[], "").await.status, 404);
}

#[tokio::test]
async fn a_mount_from_itself_tells_whether_a_repository_has_a_blob() {
    let dir = tempfile::tempdir().unwrap();
    let (server, digest, _) = served(&dir).await;
    let ask = async |digest: &Digest| {
        let path = format!("/v2/a/blobs/uploads/?mount={digest}&from=a");
        send(server.addr(), "POST", &path, &[], "").await
    };
    let here = ask(&digest).await;
    assert_eq!((here.status, here.header("location")), (201, &*format!("/v2/a/blobs/{digest}")));
    let missing = ask(&Digest::of(b"missing")).await;
    assert_eq!(missing.status, 202);
    let put = format!("{}?digest={}", missing.header("location"), Digest::of(b"missing"));
    assert_eq!(send(server.addr(), "PUT", &put, &[], "missing").await.status, 201);
    assert_eq!(ask(&Digest::of(b"missing")).await.status, 201);
}

#[tokio::test]
async fn a_mount_from_itself_brings_what_only_another_layout_has() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| Arc::new(Layout::create(dir.path().join(name)).unwrap()));
    let blob = Descriptor::of("a/b", b"blob");
    put(one.as_ref(), &blob, &Bytes::from_static(b"blob")).await.unwrap();
    let digest = &blob.digest;
    let all = Mounted::new().and("one".parse().unwrap(), one).and_writable("two".parse().unwrap(), two.clone());
    let server = server::start(Options { repositories: Arc::new(all), ..Options::in_memory() }).await;
    let path = format!("/v2/two/blobs/uploads/?mount={digest}&from=two");
    assert_eq!(send(server.addr(), "POST", &path, &[], "").await.status, 201);
    assert!(has(two.as_ref(), &blob).await.unwrap());
}

#[tokio::test]
async fn a_corrupted_blob_is_not_mounted() {
    let dir = tempfile::tempdir().unwrap();
    let (server, digest, file) = served(&dir).await;
    let mount = async |to: &str| {
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from=a");
        send(server.addr(), "POST", &path, &[], "").await.status
    };
    assert_eq!(mount("b").await, 201);
    let mut content = std::fs::read(&file).unwrap();
    content[1_000_000] ^= 1;
    std::fs::write(&file, &content).unwrap();
    assert_eq!(mount("c").await, 202);
    assert_eq!(send(server.addr(), "GET", &format!("/v2/c/blobs/{digest}"), &[], "").await.status, 404);
    assert!(send(server.addr(), "GET", &format!("/v2/b/blobs/{digest}"), &[], "").await.complete);
}

#[tokio::test]
async fn a_layout_cannot_make_the_server_call_anything_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    image(&path);
    let index = std::fs::read_to_string(path.join("index.json")).unwrap();
    std::fs::write(path.join("index.json"), index.replace(media_type::MANIFEST, "text/html")).unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let server = server::start(Options { repositories, ..Options::default() }).await;
    let answer = send(server.addr(), "GET", "/v2/a/manifests/v1", &[], "").await;
    assert_ne!(answer.header("content-type"), "text/html");
}

#[tokio::test]
async fn a_manifest_is_not_deleted_as_a_blob_even_if_it_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let (server, blob, _) = served(&dir).await;
    let digest = push_index(&server, "a", "v1").await;
    let file = dir.path().join("a/blobs/sha256").join(digest.hex());
    let delete = async |digest: &Digest| send(server.addr(), "DELETE", &format!("/v2/a/blobs/{digest}"), &[], "").await;
    assert_eq!(delete(&digest).await.status, 405);
    std::fs::write(&file, "damaged").unwrap();
    assert_eq!(delete(&digest).await.status, 405);
    assert!(file.exists());
    assert_eq!(delete(&blob).await.status, 202);
}
