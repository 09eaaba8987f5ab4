//! How much of everything is read: at each limit it is read, beyond it is an error that names the limit, and nothing is
//! ever cut short in silence.

use std::sync::Arc;

use artifact::{
    Kind,
    graph::{self, Graph, Root},
    oci::{Annotations, Descriptor, Digest, Index, MAX_JSON_DEPTH, MAX_MANIFEST, Manifest, Parsed, media_type},
    store::{self, ReadStore as _, Store},
    stores::{
        Memory,
        registry::{Options, Registry, Repository},
    },
    tarball::{
        decompress::MAX_ZSTD_WINDOW_LOG,
        read::{Limits, MAX_EXTENSION, Reader},
    },
    types::{ArtifactType, Catalog, MAX_CONFIG, MAX_DEFINITION, Origin, View},
};
use bytes::Bytes;

use crate::support::{
    samples::named,
    scripted::{Scripted, reply},
    server,
    tar::{Entry, archive},
    writing::{fetch, publish, put},
    written,
};

/// What is limited, how much is allowed, and the tests that go there and beyond.
const TABLE: &[(&str, &str, &[&str])] = &[
    (
        "manifest and index",
        "4 MiB written, 8 MiB read",
        &["a_manifest_may_be_written_up_to_four_mebibytes", "a_manifest_may_be_read_up_to_eight_mebibytes"],
    ),
    ("manifests of a graph together", "256 MiB", &["a_graph_may_hold_so_many_bytes_of_manifests"]),
    ("config in memory", "4 MiB", &["a_config_may_have_four_mebibytes"]),
    ("token", "64 KiB", &["a_token_may_come_in_64_kibibytes", "no_answer_is_read_without_end"]),
    ("text of an error", "64 KiB", &["the_text_of_an_error_is_read_to_64_kibibytes", "no_answer_is_read_without_end"]),
    ("headers of an answer", "64 KiB, 256", &["headers_are_read_up_to_a_limit_in_bytes_and_in_number"]),
    ("redirects", "5", &["five_redirects_are_followed_and_no_more"]),
    ("pages of a listing", "1,000", &["a_listing_may_have_a_thousand_pages"]),
    ("one page", "32 MiB", &["no_answer_is_read_without_end"]),
    (
        "entries and bytes of a listing",
        "1,000,000; 128 MiB",
        &["a_listing_may_have_a_million_entries", "a_listing_may_have_so_many_bytes"],
    ),
    ("manifests and blobs of a graph", "100,000", &["a_graph_may_have_so_many_entries"]),
    ("depth of a graph", "16", &["a_tower_of_indexes_is_climbed_to_a_limit"]),
    (
        "entries, depth, paths, files of an archive",
        "1,000,000; 128; 4096; 255",
        &["more_than_a_limit_is_refused", "archives_are_read_within_the_limits_of_the_table"],
    ),
    (
        "extension header of an archive",
        "1 MiB",
        &["an_extension_header_may_have_a_mebibyte", "a_huge_extension_header_is_refused_before_it_is_read"],
    ),
    ("bytes after decompression", "as allowed", &["more_than_the_limit_is_an_error", "a_bomb_goes_off_at_its_limit"]),
    ("window of zstd", "128 MiB", &["a_frame_that_asks_for_a_huge_window_is_refused"]),
    ("depth of a manifest's JSON", "64", &["a_manifest_may_nest_64_deep"]),
    (
        "globs, their alternatives, and comparing them",
        "20,000; 2^28 steps",
        &[
            "alternatives_are_counted_over_a_whole_list",
            "globs_that_are_in_many_states_at_a_time_end_with_their_effort",
        ],
    ),
    ("comparing ignore rules", "2^31 steps", &["ignore_rules_end_with_the_effort_of_their_list"]),
    ("definition of a type", "1 MiB", &["a_definition_may_have_a_mebibyte", "a_definition_is_read_within_limits"]),
    (
        "piece of an upload",
        "64 MiB, streamed",
        &[
            "pieces_are_halved_down_to_five_mebibytes_or_what_the_registry_takes",
            "a_registry_that_wants_huge_pieces_gets_the_blob_as_one",
        ],
    ),
    (
        "file named on the command line",
        "1 MiB",
        &[
            "as_many_bytes_as_are_allowed_are_read_and_not_one_more",
            "files_that_are_named_on_the_command_line_are_read_up_to_a_limit",
        ],
    ),
    ("file of credentials", "1 MiB", &["a_file_of_credentials_is_read_within_limits_and_not_repeated"]),
    ("what a helper says", "64 KiB", &["a_helper_is_believed_about_what_it_was_asked_and_within_limits"]),
];

#[test]
fn every_limit_has_a_test_at_it_and_beyond() {
    let written: Vec<String> = written::tests().into_iter().map(|test| test.name).collect();
    for (what, limit, tests) in TABLE {
        eprintln!("{what}: {limit}: {}", tests.join(", "));
        for test in *tests {
            assert!(written.iter().any(|name| name == test), "{what}: there is no test `{test}`");
        }
    }
}

fn at(host: &str) -> Repository {
    let options = Options { retries: 0, ..Options::default() };
    Registry::new(host, &options).unwrap().repository("a").unwrap()
}

/// An index of exactly this many bytes.
fn index_of(len: u64) -> (Descriptor, Bytes) {
    let padded = |by: usize| {
        let annotations: Annotations = [("pad".to_owned(), "x".repeat(by))].into();
        serde_json::to_vec(&Index { annotations, ..Index::of(Vec::new()) }).unwrap()
    };
    let bytes = padded(len as usize - padded(0).len());
    assert_eq!(bytes.len() as u64, len);
    (Descriptor::of(media_type::INDEX, &bytes), bytes.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_may_be_written_up_to_four_mebibytes() {
    let server = server::in_memory().await;
    let (desc, bytes) = index_of(MAX_MANIFEST);
    publish(&at(&server.addr().to_string()), &desc, &bytes, &["v1"]).await.unwrap();
    let (desc, bytes) = index_of(MAX_MANIFEST + 1);
    let error = publish(&at(&server.addr().to_string()), &desc, &bytes, &["v1"]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("4194304"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_may_be_read_up_to_eight_mebibytes() {
    for (len, fits) in [(2 * MAX_MANIFEST, true), (2 * MAX_MANIFEST + 1, false)] {
        let (desc, bytes) = index_of(len);
        assert_eq!(Parsed::read(media_type::INDEX, &bytes).err().map(|e| e.kind()), (!fits).then_some(Kind::Limit));
        for length in [true, false] {
            let bytes = bytes.clone();
            let server = Scripted::start(move |_| match length {
                true => reply(200, &[("content-type", media_type::INDEX)], &bytes),
                // Up to the end of the connection.
                false => {
                    [b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.oci.image.index.v1+json\r\n\r\n", &bytes[..]]
                        .concat()
                }
            });
            // With a size that was promised, and with a digest alone.
            let promised = store::read_manifest(&at(server.host()), &desc).await;
            let small = Descriptor { size: 100, ..desc.clone() };
            let surprising = fetch(&at(server.host()), &small, 0).await;
            for error in [promised.err(), surprising.err()] {
                assert_eq!(error.as_ref().map(artifact::Error::kind), (!fits).then_some(Kind::Limit));
                assert!(error.is_none_or(|e| e.to_string().contains("8388608")));
            }
        }
    }
}

#[tokio::test]
async fn a_graph_may_hold_so_many_bytes_of_manifests() {
    let each = 2 * MAX_MANIFEST;
    let most = (graph::MAX_MANIFEST_BYTES / each) as usize - 1;
    let described = |n: usize| Descriptor::new(media_type::INDEX, Digest::of(&n.to_le_bytes()), each);
    for (children, want) in [(most, Kind::Invalid), (most + 1, Kind::Limit)] {
        let memory: Arc<dyn Store> = Arc::new(Memory::new());
        let bytes = Bytes::from(serde_json::to_vec(&Index::of((0..children).map(described).collect())).unwrap());
        let root = Descriptor::of(media_type::INDEX, &bytes);
        put(memory.as_ref(), &root, &bytes).await.unwrap();
        let error = Graph::of(&[memory], vec![Root::new(root, Vec::new())], false).await.unwrap_err();
        assert_eq!(error.kind(), want, "{error}");
        assert!(want != Kind::Limit || error.to_string().contains("268435456"), "{error}");
    }
}

#[tokio::test]
async fn a_graph_may_have_so_many_entries() {
    // The root, three manifests, and blobs.
    for (blobs, fits) in [(graph::MAX_ENTRIES - 4, true), (graph::MAX_ENTRIES - 3, false)] {
        let memory: Arc<dyn Store> = Arc::new(Memory::new());
        let all: Vec<Descriptor> =
            (0..blobs).map(|n| Descriptor::new("a/b", Digest::of(&n.to_le_bytes()), 1)).collect();
        let mut thirds = Vec::new();
        for third in all.chunks(graph::MAX_ENTRIES.div_ceil(3)) {
            let manifest = Manifest {
                schema_version: 2,
                media_type: None,
                artifact_type: None,
                config: third[0].clone(),
                layers: third.to_vec(),
                subject: None,
                annotations: Default::default(),
            };
            let bytes = Bytes::from(serde_json::to_vec(&manifest).unwrap());
            thirds.push(Descriptor::of(media_type::MANIFEST, &bytes));
            put(memory.as_ref(), thirds.last().unwrap(), &bytes).await.unwrap();
        }
        assert_eq!(thirds.len(), 3);
        let bytes = Bytes::from(serde_json::to_vec(&Index::of(thirds)).unwrap());
        let root = Descriptor::of(media_type::INDEX, &bytes);
        put(memory.as_ref(), &root, &bytes).await.unwrap();
        match Graph::of(&[memory], vec![Root::new(root, Vec::new())], false).await {
            Ok(graph) => assert_eq!((graph.len(), fits), (graph::MAX_ENTRIES, true)),
            Err(e) => assert_eq!((e.kind(), fits, e.to_string().contains("100000")), (Kind::Limit, false, true), "{e}"),
        }
    }
}

#[test]
fn a_config_may_have_four_mebibytes() {
    let manifest = Manifest {
        schema_version: 2,
        media_type: None,
        artifact_type: Some("application/vnd.artifact.slideshow.v1".into()),
        config: Descriptor::empty(),
        layers: Vec::new(),
        subject: None,
        annotations: Annotations::new(),
    };
    let catalog = Catalog::builtin().unwrap();
    let slideshow = catalog.get("slideshow").unwrap();
    let mut config = vec![b' '; MAX_CONFIG as usize];
    config[..2].copy_from_slice(b"{}");
    assert_ne!(slideshow.unpacking(&manifest, &config, View::Native).err().map(|e| e.kind()), Some(Kind::Limit));
    config.push(b' ');
    let error = slideshow.unpacking(&manifest, &config, View::Native).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("4194304"), "{error}");
}

/// A JSON text of this length.
fn padded(text: &str, len: usize) -> Vec<u8> {
    [text.as_bytes(), &vec![b' '; len - text.len()]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_come_in_64_kibibytes() {
    for (len, want) in [(64 << 10, Kind::NotFound), ((64 << 10) + 1, Kind::Limit)] {
        let service = Scripted::start(move |_| reply(200, &[], &padded(r#"{"token":"t"}"#, len)));
        let challenge = format!("Bearer realm=\"http://{}/token\"", service.host());
        let registry = Scripted::start(move |request| match request.header("authorization") {
            "" => reply(401, &[("www-authenticate", &challenge)], b""),
            _ => reply(404, &[], b""),
        });
        let error = at(registry.host()).resolve(&named("v1")).await.unwrap_err();
        assert_eq!(error.kind(), want, "{error}");
        assert!(want != Kind::Limit || error.to_string().contains("65536"), "{error}");
    }
}

/// There is an error anyway: it is one with what the registry said, or with as much as was read and a sign of more.
#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_an_error_is_read_to_64_kibibytes() {
    for (len, said) in [(64 << 10, "DENIED: no"), ((64 << 10) + 1, "…")] {
        let errors = r#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
        let server = Scripted::start(move |_| reply(403, &[], &padded(errors, len)));
        let error = at(server.host()).list_names().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(error.to_string().ends_with(said), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_redirects_are_followed_and_no_more() {
    for (most, fits) in [(5, true), (6, false)] {
        let server = Scripted::start(move |request| match request.line().rsplit('/').next().unwrap().parse::<u32>() {
            Ok(n) if n == most => reply(200, &[], b"hello"),
            Ok(n) => reply(307, &[("location", &format!("/{}", n + 1))], b""),
            Err(_) => reply(307, &[("location", "/1")], b""),
        });
        let error = fetch(&at(server.host()), &Descriptor::of("a/b", b"hello"), 0).await.err();
        assert_eq!(error.as_ref().map(artifact::Error::kind), (!fits).then_some(Kind::Limit));
        assert!(error.is_none_or(|e| e.to_string().contains("more than 5 redirects")));
        assert_eq!(server.seen().len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_may_have_a_thousand_pages() {
    for (pages, fits) in [(1000, true), (1001, false)] {
        let asked = std::sync::atomic::AtomicU32::new(0);
        let server = Scripted::start(move |_| {
            let n = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            let (body, link) = (format!(r#"{{"tags":["t{n}"]}}"#), format!("</x{n}>; rel=next"));
            let headers = [("link", link.as_str())];
            reply(200, if n < pages { &headers } else { &[] }, body.as_bytes())
        });
        match at(server.host()).list_names().await {
            Ok(page) => assert_eq!((page.names.len(), fits), (1000, true)),
            Err(e) => assert_eq!((e.kind(), fits, e.to_string().contains("1000 pages")), (Kind::Limit, false, true)),
        }
    }
}

#[test]
fn archives_are_read_within_the_limits_of_the_table() {
    let Limits { entries, depth, path, component, .. } = Limits::default();
    assert_eq!((entries, depth, path, component), (1_000_000, 128, 4096, 255));
    assert_eq!((MAX_EXTENSION, MAX_ZSTD_WINDOW_LOG), (1 << 20, 27));
}

#[test]
fn an_extension_header_may_have_a_mebibyte() {
    for (len, fits) in [(MAX_EXTENSION as usize, true), (MAX_EXTENSION as usize + 1, false)] {
        let record = format!("{len} comment={}\n", "x".repeat(len - format!("{len} comment=\n").len()));
        let bytes = archive([Entry::new(b'x', "x", record), Entry::file("a", "data")]);
        let mut reader = Reader::new(&bytes[..], Limits::default());
        match reader.next_member() {
            Ok(member) => assert!(fits && member.unwrap().path == "a"),
            Err(e) => {
                assert_eq!((e.kind(), fits, e.to_string().contains("1048576")), (Kind::Limit, false, true), "{e}")
            }
        }
    }
}

#[test]
fn a_manifest_may_nest_64_deep() {
    for (depth, fits) in [(MAX_JSON_DEPTH, true), (MAX_JSON_DEPTH + 1, false), (5_000, false), (1_000_000, false)] {
        // The document itself is one level.
        let nested = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        let text = format!(r#"{{"schemaVersion":2,"manifests":[],"x":{nested}}}"#);
        let read = Parsed::read(media_type::INDEX, text.as_bytes());
        assert_eq!(read.as_ref().err().map(artifact::Error::kind), (!fits).then_some(Kind::Limit), "{depth}");
        assert!(read.err().is_none_or(|e| e.to_string().contains("64 levels deep")));
    }
}

#[test]
fn a_definition_may_have_a_mebibyte() {
    let dir = tempfile::tempdir().unwrap();
    let text = artifact::types::skeleton("pictures").unwrap();
    for (len, fits) in [(MAX_DEFINITION as usize, true), (MAX_DEFINITION as usize + 1, false)] {
        let padded = format!("{text}# {}\n", "x".repeat(len - text.len() - 3));
        assert_eq!(padded.len(), len);
        let file = dir.path().join("pictures.yaml");
        std::fs::write(&file, &padded).unwrap();
        let parsed = ArtifactType::parse(&padded, Origin::File("t".into())).map(drop);
        let loaded = Catalog::builtin().unwrap().replace_file(&file);
        for read in [parsed, loaded] {
            assert_eq!(read.as_ref().err().map(artifact::Error::kind), (!fits).then_some(Kind::Limit));
            assert!(read.err().is_none_or(|e| e.to_string().contains("1048576")));
        }
    }
}
