//! The distribution specification, requirement by requirement, as a table of checks over a plain HTTP client. The same
//! table runs against this crate's server and against Debian's `docker-registry`, which shows that the checks can
//! fail. Each check has repositories of its own.

mod blobs;
mod listings;
mod manifests;
mod uploads;

use std::{
    collections::BTreeSet,
    fmt::{Debug, Display},
    net::SocketAddr,
    sync::Arc,
};

use artifact::{
    oci::{Algorithm, Digest, media_type},
    serve::{Options, Tree},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::{
    harness::{Test, tests},
    support::{
        docker_registry::{Access, DockerRegistry},
        http::{Answer, send},
        server,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        []
            single the_server_in_memory_meets_every_requirement,
            single the_server_over_a_directory_meets_every_requirement;
        ["docker-registry"]
            single docker_registry_fails_exactly_the_checks_that_it_is_known_to_fail;
    ]
}

/// `Err` says what the registry did wrong.
type Outcome = Result<(), String>;

/// One requirement.
struct Check {
    name: &'static str,
    run: for<'a> fn(&'a World) -> BoxFuture<'a, Outcome>,
}

/// A table of checks, each named as its function is.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        pub(super) const CHECKS: &[super::Check] =
            &[$(super::Check { name: stringify!($name), run: |world| Box::pin($name(world)) }),*];
    };
}
use checks;

/// What a client that knows all kinds of manifests accepts.
const ACCEPT: &[(&str, &str)] =
    &[("accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*")];

/// A registry, and two repositories that nobody else uses.
struct World {
    addr: SocketAddr,
    repo: String,
    other: String,
}

impl World {
    /// Sends a request to a path below the repository, or to a `Location` that the registry gave.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let path = match path.strip_prefix(&format!("http://{}", self.addr)).unwrap_or(path) {
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => format!("/v2/{}/{relative}", self.repo),
        };
        send(self.addr, method, &path, headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, ACCEPT, "").await
    }

    /// Starts an upload and returns where it goes on.
    async fn start(&self) -> Result<String, String> {
        let answer = self.send("POST", "blobs/uploads/", &[], "").await;
        expect(&answer, &[202])?;
        location(&answer)
    }

    /// Pushes a blob in two requests.
    async fn blob(&self, content: &[u8]) -> Result<Digest, String> {
        let digest = Digest::of(content);
        let close = with_digest(&self.start().await?, &digest);
        let content = Bytes::copy_from_slice(content);
        expect(&self.send("PUT", &close, &[("content-type", media_type::OCTET_STREAM)], content).await, &[201])?;
        Ok(digest)
    }

    async fn put(&self, reference: &str, media_type: &str, manifest: &[u8]) -> Answer {
        let body = Bytes::copy_from_slice(manifest);
        self.send("PUT", &format!("manifests/{reference}"), &[("content-type", media_type)], body).await
    }

    /// Pushes an image manifest of one layer, changed by `edit`, by its tag or, without one, its digest.
    async fn image(&self, tag: Option<&str>, edit: impl FnOnce(&mut Value)) -> Result<(Digest, String), String> {
        let mut image = self.plain().await?;
        edit(&mut image);
        self.push(tag, media_type::MANIFEST, &image).await
    }

    /// An image manifest of one layer whose blobs are pushed.
    async fn plain(&self) -> Result<Value, String> {
        let (config, layer) = (self.blob(b"{}").await?, self.blob(b"layer").await?);
        Ok(json!({
            "schemaVersion": 2,
            "mediaType": media_type::MANIFEST,
            "config": {"mediaType": media_type::IMAGE_CONFIG, "digest": config, "size": 2},
            "layers": [{"mediaType": media_type::LAYER_TAR, "digest": layer, "size": 5}],
        }))
    }

    /// Pushes a manifest; returns its digest and its bytes.
    async fn push(&self, tag: Option<&str>, kind: &str, manifest: &Value) -> Result<(Digest, String), String> {
        let bytes = manifest.to_string();
        let digest = Digest::of(bytes.as_bytes());
        let reference = tag.map_or_else(|| digest.to_string(), str::to_owned);
        expect(&self.put(&reference, kind, bytes.as_bytes()).await, &[201])?;
        Ok((digest, bytes))
    }
}

fn expect(answer: &Answer, statuses: &[u16]) -> Outcome {
    if statuses.contains(&answer.status) {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&answer.body);
    Err(format!("status {} where {statuses:?} is right: {body:.200}", answer.status))
}

fn same<T: PartialEq + Debug>(what: &str, found: T, right: T) -> Outcome {
    if found == right { Ok(()) } else { Err(format!("{what} is {found:?} where {right:?} is right")) }
}

/// Compares a body, shown as text when it is wrong.
fn content(what: &str, answer: &Answer, right: &[u8]) -> Outcome {
    if answer.body == right {
        return Ok(());
    }
    let found = String::from_utf8_lossy(&answer.body);
    Err(format!("{what} is {found:.200?}, {} bytes, where {} bytes are right", answer.body.len(), right.len()))
}

fn location(answer: &Answer) -> Result<String, String> {
    match answer.header("location") {
        "" => Err("there is no `Location`".into()),
        location => Ok(location.to_owned()),
    }
}

fn with_digest(location: &str, digest: impl Display) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

fn sha512(content: &[u8]) -> Digest {
    Digest::with(Algorithm::Sha512, content)
}

/// Runs all checks; the names and reasons of those that fail.
async fn failures(addr: SocketAddr) -> Vec<(&'static str, String)> {
    let all = [blobs::CHECKS, uploads::CHECKS, manifests::CHECKS, listings::CHECKS];
    let mut failed = Vec::new();
    for (number, check) in all.into_iter().flatten().enumerate() {
        let repo = format!("check/n{number}");
        let world = World { addr, other: format!("{repo}/other"), repo };
        if let Err(reason) = (check.run)(&world).await {
            failed.push((check.name, reason));
        }
    }
    failed
}

async fn the_server_in_memory_meets_every_requirement() {
    let server = server::in_memory().await;
    assert_eq!(failures(server.addr()).await, []);
}

async fn the_server_over_a_directory_meets_every_requirement() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Arc::new(Tree::open(dir.path()).unwrap());
    let server = server::start(Options { repositories, ..Options::in_memory() }).await;
    assert_eq!(failures(server.addr()).await, []);
}

/// What docker-registry 2.8 does otherwise. It is older than the referrers API, several tags at once and
/// `digest-algorithm`, deletes no tags, ignores `Content-Range` and `n`, and lists tags as its disk does.
const KNOWN_TO_FAIL: &[&str] = &[
    "a_blob_is_pushed_in_one_request",
    "a_chunk_out_of_order_is_refused_and_the_upload_goes_on",
    "a_deleted_referrer_is_not_listed",
    "a_filter_that_nothing_passes_gives_an_empty_list",
    "a_last_chunk_out_of_order_is_refused",
    "a_link_leads_through_all_pages",
    "a_malformed_number_of_tags_is_refused",
    "a_malformed_range_is_refused",
    "a_malformed_subject_is_refused",
    "a_manifest_that_is_too_large_is_refused",
    "a_reference_that_is_neither_tag_nor_digest_is_refused",
    "a_referrer_is_listed_with_its_type_and_its_annotations",
    "a_referrer_may_come_before_its_subject",
    "a_sha512_blob_is_mounted",
    "a_sha512_blob_is_pushed_in_chunks",
    "a_sha512_blob_is_pushed_in_one_request",
    "a_sha512_manifest_is_pushed",
    "a_subject_is_confirmed",
    "a_tag_is_deleted_and_its_manifest_stays",
    "an_index_refers_without_an_artifact_type",
    "layers_that_must_not_be_distributed_may_be_absent",
    "no_tags_are_listed_when_none_are_asked_for",
    "referrers_are_filtered_by_artifact_type",
    "referrers_of_a_sha512_subject_are_listed",
    "several_tags_are_set_at_once",
    "several_tags_are_set_on_a_sha512_manifest",
    "tags_after_a_tag_are_listed",
    "tags_are_listed_in_order",
    "tags_come_in_pages",
    "the_config_stands_in_for_an_artifact_type",
    "the_subject_of_an_index_is_confirmed",
    "what_has_no_referrers_has_an_empty_list",
    "what_is_no_manifest_is_refused",
    "what_is_not_there_cannot_be_deleted",
];

async fn docker_registry_fails_exactly_the_checks_that_it_is_known_to_fail() {
    let registry = DockerRegistry::start(Access::Anyone);
    let failed = failures(registry.host().parse().unwrap()).await;
    let names: BTreeSet<&str> = failed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, KNOWN_TO_FAIL.iter().copied().collect(), "{failed:#?}");
}
