//! docker-registry behind a token service that signs what docker's own would.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use artifact::{
    Kind,
    store::ReadStore as _,
    stores::registry::{Credential, Options, Registry},
};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{carry, kind, repository, there_and_back, with_password};
use crate::{
    harness::{Test, tests},
    support::{
        docker_registry::{Access, DockerRegistry},
        peer, run,
        samples::Sample,
        scripted::{Request, Scripted, reply},
        writing::put,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["docker-registry", "openssl"]
            multi a_token_for_a_password_opens_a_registry,
            multi an_identity_token_is_exchanged_and_never_sent_to_the_registry,
            multi without_credentials_a_token_is_still_asked_for,
            multi a_token_that_ended_is_replaced_once,
            multi a_wrong_password_is_refused_by_name_and_not_repeated;
    ]
}

const USER: &str = "ann";
const PASSWORD: &str = "canary-password-3d02";
const IDENTITY: &str = "canary-identity/+= 5b11";

/// A key and what it has signed.
struct Signer {
    openssl: PathBuf,
    dir: tempfile::TempDir,
}

impl Signer {
    fn new() -> Self {
        let (openssl, dir) = (peer("openssl"), tempfile::tempdir().unwrap());
        let args = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=test";
        run(Command::new(&openssl).args(args.split(' ')).current_dir(dir.path()));
        Self { openssl, dir }
    }

    fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// A JSON web token that grants this access, until so many seconds from now.
    fn token(&self, access: &[serde_json::Value], life: i64) -> String {
        let pem = std::fs::read_to_string(self.certificate()).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let header = serde_json::json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let claims = serde_json::json!({
            "iss": "test-issuer", "sub": USER, "aud": "test-registry", "exp": now + life, "nbf": now - 7200,
            "iat": now - 7200, "jti": "1", "access": access,
        });
        let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&header), part(&claims));
        let file = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let args = ["dgst", "-sha256", "-sign", "key.pem"];
        let signed = Command::new(&self.openssl).args(args).arg(file.path()).current_dir(self.dir.path()).output();
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signed.unwrap().stdout))
    }
}

/// What is asked for by `scope` parameters; anonymous users may only pull.
fn access(request: &Request, known: bool) -> Vec<serde_json::Value> {
    let query = request.line().split_once('?').map_or("", |(_, query)| query);
    let all = [query.as_bytes(), &request.body].map(|bytes| url::form_urlencoded::parse(bytes).into_owned());
    let scopes = all.into_iter().flatten().filter(|(name, _)| name == "scope");
    let scopes: Vec<String> = scopes.flat_map(|(_, v)| v.split(' ').map(Into::into).collect::<Vec<_>>()).collect();
    let grant = |scope: &String| {
        let (name, actions) = scope.strip_prefix("repository:").unwrap().rsplit_once(':').unwrap();
        let actions: Vec<&str> = actions.split(',').filter(|action| known || *action == "pull").collect();
        serde_json::json!({"type": "repository", "name": name, "actions": actions})
    };
    scopes.iter().map(grant).collect()
}

/// A token service whose `n`th token lives as long as `life(n)` says, and the registry that trusts it.
fn start(life: impl Fn(usize) -> i64 + Send + Sync + 'static) -> (DockerRegistry, Arc<Scripted>) {
    let signer = Signer::new();
    let certificate = signer.certificate();
    let issued = Mutex::new(0);
    let service = Scripted::start(move |request| {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let identity = url::form_urlencoded::parse(&request.body).any(|(n, v)| n == "refresh_token" && v == IDENTITY);
        let given = request.header("authorization");
        if !given.is_empty() && given != basic {
            return reply(401, &[], b"wrong password");
        }
        let mut issued = issued.lock().unwrap();
        *issued += 1;
        let token = signer.token(&access(request, given == basic || identity), life(*issued - 1));
        let name = if identity { "access_token" } else { "token" };
        reply(200, &[], serde_json::json!({name: token, "expires_in": 300}).to_string().as_bytes())
    });
    let registry = docker_registry(&service, &certificate);
    (registry, Arc::new(service))
}

fn docker_registry(service: &Scripted, certificate: &Path) -> DockerRegistry {
    DockerRegistry::start(Access::Token(&format!("http://{}/token", service.host()), certificate))
}

async fn a_token_for_a_password_opens_a_registry() {
    let (server, service) = start(|_| 300);
    let options = with_password(server.host(), USER, PASSWORD);
    there_and_back(repository(server.host(), "team/art", &options)).await;
    let scopes: Vec<String> = service.lines();
    // One for all: a copy says at its start that it is going to write.
    assert_eq!(scopes.len(), 1, "{scopes:?}");
    assert!(scopes[0].contains("service=test-registry&scope=repository%3Ateam%2Fart%3Apull%2Cpush"), "{scopes:?}");
}

async fn an_identity_token_is_exchanged_and_never_sent_to_the_registry() {
    let (server, service) = start(|_| 300);
    let origin = Registry::new(server.host(), &Options::default()).unwrap().origin().clone();
    let credentials = Arc::new(Credential::identity_token(&origin, IDENTITY));
    there_and_back(repository(server.host(), "team/art", &Options { credentials, ..Options::default() })).await;
    assert!(service.lines().iter().all(|line| line == "POST /token"), "{:?}", service.lines());
}

async fn without_credentials_a_token_is_still_asked_for() {
    let (server, _service) = start(|_| 300);
    let sample = Sample::of(&[b"x"]);
    let from = sample.in_memory(&["v1"]).await;
    let named = with_password(server.host(), USER, PASSWORD);
    let store: Arc<dyn artifact::store::Store> = Arc::new(repository(server.host(), "team/art", &named));
    carry(&from, &store).await.unwrap();
    let anonymous = repository(server.host(), "team/art", &Options::default());
    assert_eq!(anonymous.resolve(&"v1".parse().unwrap()).await.unwrap(), *sample.root());
    let (desc, bytes) = Sample::of(&[b"y"]).layer().clone();
    assert_eq!(kind(put(&anonymous, &desc, &bytes).await), Kind::Unauthorized);
}

async fn a_token_that_ended_is_replaced_once() {
    let (server, service) = start(|n| if n % 2 == 0 { -3600 } else { 300 });
    let options = with_password(server.host(), USER, PASSWORD);
    let repository = repository(server.host(), "team/art", &options);
    let (desc, bytes) = Sample::of(&[&[7; 2_000_000]]).layer().clone();
    let (small, few) = Sample::of(&[b"small"]).layer().clone();
    put(&repository, &small, &few).await.unwrap_err();
    put(&repository, &desc, &bytes).await.unwrap();
    assert!(service.lines().len() <= 3, "{:?}", service.lines());
}

async fn a_wrong_password_is_refused_by_name_and_not_repeated() {
    let (server, _service) = start(|_| 300);
    let options = with_password(server.host(), USER, "wrong-canary");
    let error = repository(server.host(), "team/art", &options).resolve(&"v1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains("wrong password") && !error.to_string().contains("wrong-canary"), "{error}");
}
