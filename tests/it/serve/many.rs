//! Clients that are many, slow or greedy.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use artifact::{
    oci::{Digest, media_type},
    serve::{Limits, Options, Running, Tree},
    store::ReadStore as _,
    stores::registry,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{push_blob, push_index};
use crate::support::{
    client::repository,
    http::{raw, send},
    server,
};

/// Writes a layout with these manifests, each under its name or without one.
fn layout(dir: &Path, manifests: &[(Option<String>, String)]) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let mut entries = Vec::new();
    for (name, manifest) in manifests {
        let digest = Digest::of(manifest.as_bytes());
        std::fs::write(blobs.join(digest.hex()), manifest).unwrap();
        let mut entry =
            serde_json::json!({"mediaType": media_type::INDEX, "digest": digest.to_string(), "size": manifest.len()});
        if let Some(name) = name {
            entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
        }
        entries.push(entry);
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
}

/// An index without members.
fn index(more: serde_json::Value) -> String {
    let mut index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": []});
    index.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    index.to_string()
}

/// A read-only server of this directory of layouts.
async fn serve(dir: &Path) -> Running {
    let repositories = Arc::new(Tree::open(dir).unwrap());
    server::start(Options { repositories, ..Options::default() }).await
}

/// The path of the next page.
fn next(link: &str) -> &str {
    link.strip_prefix('<').unwrap().split('>').next().unwrap()
}

#[tokio::test]
async fn tags_come_in_pages_whether_or_not_a_client_asks_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = index(serde_json::json!({}));
    let tagged: Vec<_> = (0..2500).map(|i| (Some(format!("v{i:05}")), manifest.clone())).collect();
    layout(&dir.path().join("a"), &tagged);
    let server = serve(dir.path()).await;
    let page = async |path: &str| {
        let answer = send(server.addr(), "GET", path, &[], "").await;
        (answer.json()["tags"].as_array().unwrap().len(), answer.header("link").to_owned())
    };
    let (first, link) = page("/v2/a/tags/list").await;
    assert_eq!((first, next(&link)), (1000, "/v2/a/tags/list?n=1000&last=v00999"));
    assert_eq!(page("/v2/a/tags/list?n=100000").await, (first, link.clone()));
    // What changes in between shows from the next page on.
    layout(&dir.path().join("a"), &tagged[1000..]);
    assert_eq!(page(next(&link)).await.0, 1000);
    assert_eq!(page("/v2/a/tags/list?last=v01999").await, (500, String::new()));
    let client = repository(&server.addr().to_string(), "a", &registry::Options::default());
    assert_eq!(client.list_names().await.unwrap().names.len(), 1500);
}

#[tokio::test]
async fn referrers_come_in_pages_with_their_annotations_and_filters() {
    let dir = tempfile::tempdir().unwrap();
    let subject = index(serde_json::json!({}));
    let digest = Digest::of(subject.as_bytes());
    let about =
        serde_json::json!({"mediaType": media_type::INDEX, "digest": digest.to_string(), "size": subject.len()});
    let referrer = |i: usize| {
        let artifact_type = if i.is_multiple_of(5) { "a/fifth+json" } else { "a/other" };
        let annotations =
            serde_json::json!({"i": i.to_string(), "large": "x".repeat(if i == 7 { 200_000 } else { 20 })});
        index(serde_json::json!({"artifactType": artifact_type, "subject": about, "annotations": annotations}))
    };
    let mut all = vec![(Some("v1".to_owned()), subject.clone())];
    all.extend((0..450).map(|i| (None, referrer(i))));
    layout(&dir.path().join("a"), &all);
    let server = serve(dir.path()).await;
    let list = async |query: &str| {
        let (mut path, mut sizes, mut found) = (format!("/v2/a/referrers/{digest}{query}"), Vec::new(), Vec::new());
        loop {
            let answer = send(server.addr(), "GET", &path, &[], "").await;
            assert_eq!((answer.status, answer.header("content-type"), answer.complete), (200, media_type::INDEX, true));
            assert_eq!(answer.header("oci-filters-applied").is_empty(), query.is_empty());
            let page = answer.json()["manifests"].as_array().unwrap().clone();
            sizes.push(page.len());
            found.extend(page);
            match answer.header("link") {
                "" => return (sizes, found),
                link => path = next(link).to_owned(),
            }
        }
    };
    let (sizes, found) = list("").await;
    assert_eq!(sizes, [200, 200, 50]);
    let mut numbers: Vec<usize> =
        found.iter().map(|desc| desc["annotations"]["i"].as_str().unwrap().parse().unwrap()).collect();
    assert!(found.is_sorted_by_key(|desc| desc["digest"].as_str().unwrap().to_owned()));
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..450));
    assert_eq!(list("?artifactType=a/fifth%2Bjson").await.0, [90]);
    let client = repository(&server.addr().to_string(), "a", &registry::Options::default());
    let desc = artifact::oci::Descriptor::of(media_type::INDEX, subject.as_bytes());
    assert_eq!(client.referrers(&desc).await.unwrap().len(), 450);
}

#[tokio::test]
async fn a_manifest_of_any_size_is_served_and_never_completed_if_it_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let large = index(serde_json::json!({"annotations": {"x": "y".repeat(3 << 20)}}));
    layout(&dir.path().join("a"), &[(Some("v1".into()), large.clone())]);
    let server = serve(dir.path()).await;
    let digest = Digest::of(large.as_bytes());
    for reference in ["v1".to_owned(), digest.to_string()] {
        let answer = send(server.addr(), "GET", &format!("/v2/a/manifests/{reference}"), &[], "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, media_type::INDEX));
        assert!(answer.body == large.as_bytes());
    }
    std::fs::write(dir.path().join("a/blobs/sha256").join(digest.hex()), large.replace("yyy", "yzy")).unwrap();
    let answer = send(server.addr(), "GET", "/v2/a/manifests/v1", &[], "").await;
    assert!(!answer.complete || answer.status == 500, "{}", answer.status);
}

#[tokio::test]
async fn a_body_of_less_than_the_least_rate_is_not_waited_for() {
    let limits = Limits { stall: Duration::from_millis(100), ..Limits::default() };
    let server = server::start(Options { limits, ..Options::in_memory() }).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let head = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // A byte now and then does not help; that this ends at all is the point.
    while stream.write_all(b" ").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let limits = Limits { stall: Duration::from_millis(200), ..Limits::default() };
    let server = server::start(Options { repositories, limits, ..Options::in_memory() }).await;
    // More than the buffers of the system take.
    let digest = push_blob(&server, "a", vec![7; 32 << 20].leak()).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let head = format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    assert!(all.len() < 32 << 20, "{}", all.len());
}

#[tokio::test]
async fn a_quota_counts_what_is_stored_and_what_is_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let limits = Limits { quota: 200_000, ..Limits::default() };
    let server = server::start(Options { repositories, limits, ..Options::in_memory() }).await;
    let start =
        async || send(server.addr(), "POST", "/v2/a/blobs/uploads/", &[], "").await.header("location").to_owned();
    let (one, two) = (start().await, start().await);
    assert_eq!(send(server.addr(), "PATCH", &one, &[], vec![1; 150_000]).await.status, 202);
    let refused = send(server.addr(), "PATCH", &two, &[], vec![2; 100_000]).await;
    assert_eq!((refused.status, refused.codes()), (507, vec!["QUOTA_EXCEEDED".into()]));
    // Without a length, it is noticed while the content comes.
    let mut chunked = format!("POST /v2/b/blobs/uploads/?digest={} HTTP/1.1\r\nHost: localhost\r\n", Digest::of(b"x"));
    write!(chunked, "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    chunked.push_str(&format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(3));
    let answer = raw(server.addr(), chunked.as_bytes()).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 507"), "{answer}");
    assert_eq!(send(server.addr(), "DELETE", &one, &[], "").await.status, 204);
    let small: &[u8] = vec![3; 150_000].leak();
    let digest = push_blob(&server, "a", small).await;
    let path = format!("/v2/c/blobs/uploads/?mount={digest}&from=a");
    assert_eq!(send(server.addr(), "POST", &path, &[], "").await.status, 507);
    assert_eq!(send(server.addr(), "DELETE", &format!("/v2/a/blobs/{digest}"), &[], "").await.status, 202);
    push_blob(&server, "c", vec![4; 150_000].leak()).await;
    push_index(&server, "c", "v1").await;
}

#[tokio::test]
async fn tags_count_for_the_quota() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let limits = Limits { quota: 20_000, ..Limits::default() };
    let server = server::start(Options { repositories, limits, ..Options::in_memory() }).await;
    let manifest = index(serde_json::json!({}));
    let digest = Digest::of(manifest.as_bytes());
    let mut statuses = Vec::new();
    for request in 0..20 {
        let tags: String = (0..10).map(|tag| format!("&tag={request:064}-{tag}")).collect();
        let path = format!("/v2/a/manifests/{digest}?{}", &tags[1..]);
        let headers = [("Content-Type", media_type::INDEX)];
        statuses.push(send(server.addr(), "PUT", &path, &headers, manifest.clone()).await.status);
    }
    assert!(statuses[0] == 201 && statuses[19] == 507, "{statuses:?}");
    let list = std::fs::metadata(dir.path().join("a/index.json")).unwrap().len();
    assert!((10_000..=20_000).contains(&list), "{list}");
}

#[tokio::test]
async fn a_tag_that_is_there_counts_for_the_quota_once_also_beside_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let limits = Limits { quota: 20_000, ..Limits::default() };
    let server = server::start(Options { repositories, limits, ..Options::in_memory() }).await;
    let manifest = index(serde_json::json!({}));
    let digest = Digest::of(manifest.as_bytes());
    let known: String = (0..10).map(|tag| format!("tag=known-{tag}&")).collect();
    for request in 0..30 {
        let path = format!("/v2/a/manifests/{digest}?{known}tag=new-{request}");
        let headers = [("Content-Type", media_type::INDEX)];
        assert_eq!(send(server.addr(), "PUT", &path, &headers, manifest.clone()).await.status, 201, "{request}");
    }
}

#[tokio::test]
async fn uploads_that_are_refused_leave_no_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let limits = Limits { uploads: 4, ..Limits::default() };
    let server = server::start(Options { repositories, limits, ..Options::in_memory() }).await;
    for n in 0..20 {
        let status = send(server.addr(), "POST", &format!("/v2/r{n}/blobs/uploads/"), &[], "").await.status;
        assert_eq!(status, if n < 3 { 202 } else { 429 }, "{n}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[tokio::test]
async fn a_server_removes_what_one_before_it_left() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b/c"] {
        layout(&dir.path().join(name), &[]);
        std::fs::write(dir.path().join(name).join("blobs/sha256/.artifact-tmp-0123456789abcdef"), "half").unwrap();
    }
    let left = || {
        let count = |name: &str| std::fs::read_dir(dir.path().join(name).join("blobs/sha256")).unwrap().count();
        count("a") + count("b/c")
    };
    let reader = serve(dir.path()).await;
    assert_eq!(send(reader.addr(), "GET", "/v2/a/tags/list", &[], "").await.status, 200);
    assert_eq!(left(), 2, "a server that writes nothing removes nothing");
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let _writer = server::start(Options { repositories, ..Options::in_memory() }).await;
    while left() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_deletions_of_the_same_at_a_time_are_no_failures_of_the_registry() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let server = Arc::new(server::start(Options { repositories, ..Options::in_memory() }).await);
    let manifest = index(serde_json::json!({}));
    let path = format!("/v2/a/manifests/{}", Digest::of(manifest.as_bytes()));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        let (server, manifest, path) = (Arc::clone(&server), manifest.clone(), path.clone());
        clients.spawn(async move {
            for _ in 0..20 {
                let answer = if client % 2 == 0 {
                    let headers = [("content-type", media_type::INDEX)];
                    send(server.addr(), "PUT", &format!("/v2/a/manifests/v{client}"), &headers, manifest.clone()).await
                } else {
                    send(server.addr(), "DELETE", &path, &[], "").await
                };
                assert!(matches!(answer.status, 201 | 202 | 404 | 409), "{}: {:?}", answer.status, answer.codes());
            }
        });
    }
    clients.join_all().await;
    assert_eq!(send(server.addr(), "GET", "/v2/a/tags/list", &[], "").await.status, 200);
}
