//! Challenges and token services that want more than they are entitled to.

use std::sync::Arc;

use artifact::{
    Kind, Result,
    store::ReadStore as _,
    stores::registry::{Credential, Credentials, Options, Origin, Protocol, Registry},
};
use async_trait::async_trait;

use super::{
    super::{CANARY, kind, repository, saw_secret},
    IDENTITY, Proof, TOKEN,
};
use crate::support::{
    samples::named,
    scripted::{Scripted, reply},
};

/// A registry that asks for this proof, whose token service hands out [`TOKEN`].
fn asking(challenge: impl Fn(&str) -> String) -> (Scripted, Scripted) {
    let service = Scripted::start(|_| reply(200, &[], format!(r#"{{"token":"{TOKEN}"}}"#).as_bytes()));
    let challenge = challenge(service.host());
    let registry = Scripted::start(move |request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", &challenge)], b""),
        _ => reply(404, &[], b""),
    });
    (registry, service)
}

/// H15: rights for what was not asked about, in the challenge and in the realm itself, for a request about a repository
/// and for one about none.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_does_not_choose_what_a_token_allows() {
    for (realm, parameters) in [
        ("/token", ",scope=\"repository:other/secret:pull,push,delete\""),
        ("/token?scope=repository:other/secret:pull,push,delete", ""),
        ("/token?a=b&scope=repository:other/secret:pull&scope=registry:catalog:*", ""),
        ("/token?%73cope=repository:other/secret:pull", ",scope=\"registry:catalog:*\""),
    ] {
        let (registry, service) =
            asking(|service| format!("Bearer realm=\"http://{service}{realm}\",service=\"x\"{parameters}"));
        let options = Proof::Password.options(registry.host());
        assert_eq!(kind(repository(registry.host(), "team/art", &options).resolve(&named("v1")).await), Kind::NotFound);
        assert_eq!(kind(Registry::new(registry.host(), &options).unwrap().ping().await), Kind::NotARegistry);
        let lines = service.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("service=x&scope=repository%3Ateam%2Fart%3Apull"), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains("other") && !line.contains("catalog")), "{lines:?}");
        assert!(lines[1].ends_with("service=x") && !lines[1].contains("scope"), "{lines:?}");
    }
}

/// H10, H15: realms that are no URL of a token service are not repeated either: they may hold what somebody typed.
#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_cannot_be_asked_is_not_shown_with_its_secrets() {
    for realm in ["http://u:canary@[", "http://u:canary@127.0.0.1/token", "data:canary", "/token?canary", "canary"] {
        let (registry, service) = asking(|_| format!("Bearer realm=\"{realm}\""));
        let options = Proof::Password.options(registry.host());
        let error = repository(registry.host(), "a", &options).resolve(&named("v1")).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unauthorized | Kind::Invalid), "{error}");
        assert!(!error.to_string().contains("u:canary") && !error.to_string().contains("?canary"), "{error}");
        assert!(service.seen().is_empty() && !saw_secret(&registry));
    }
}

/// H14: an identity token is for a token service. A registry that asks for a password instead does not get it.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_token_is_no_password() {
    let (registry, _) = asking(|_| "Basic realm=\"x\"".into());
    let options = Proof::Identity.options(registry.host());
    assert_eq!(kind(repository(registry.host(), "a", &options).resolve(&named("v1")).await), Kind::Unauthorized);
    assert!(!registry.saw(IDENTITY) && !saw_secret(&registry), "{:?}", registry.seen()[0].head);
}

/// A source of credentials that hands out another registry's.
struct Careless(Credential);

#[async_trait]
impl Credentials for Careless {
    async fn get(&self, _: &Origin, _: &str) -> Result<Option<Credential>> {
        Ok(Some(self.0.clone()))
    }
}

/// H30, H32: whatever a source of credentials mixes up, a secret of one origin is neither sent to another, nor to its
/// token service.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_another_origin_is_dropped_wherever_it_comes_from() {
    let elsewhere = Origin::of_registry("registry.example.com", Protocol::Https).unwrap();
    for credential in [
        Credential::password(&elsewhere, "canary-user", CANARY).unwrap(),
        Credential::identity_token(&elsewhere, IDENTITY),
        Credential::bearer(&elsewhere, "canary-bearer"),
    ] {
        for basic in [true, false] {
            let (registry, service) = asking(|service| match basic {
                true => "Basic".into(),
                false => format!("Bearer realm=\"http://{service}/token\""),
            });
            let options = Options { credentials: Arc::new(Careless(credential.clone())), ..Options::default() };
            let _ = repository(registry.host(), "a", &options).resolve(&named("v1")).await;
            assert!(!service.saw("canary") && !service.saw("uthorization"), "{:?}", service.lines());
            assert!(!registry.saw("canary-user") && !registry.saw("canary-bearer") && !registry.saw("Basic"));
        }
    }
}

/// H25: a token of another name than the protocol's is none, and is not shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_by_another_name_is_none() {
    for body in [
        r#"{"Token":"canary-a"}"#,
        r#"{"access_TOKEN":"canary-a"}"#,
        r#"{"refresh_token":"canary-a"}"#,
        r#"{"token":["canary-a"]}"#,
        r#"{"token":"canary-a","token":"canary-b"}"#,
        r#"{"errors":[{"code":"canary-a"}]}"#,
        "\"canary-a\"",
    ] {
        let service = Scripted::start(move |_| reply(200, &[], body.as_bytes()));
        let challenge = format!("Bearer realm=\"http://{}/token\"", service.host());
        let registry = Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""));
        let options = Proof::Password.options(registry.host());
        let error = repository(registry.host(), "a", &options).resolve(&named("v1")).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unauthorized | Kind::NotARegistry), "{error}");
        assert!(!error.to_string().contains("canary-"), "{error}");
        assert!(!registry.saw("uthorization"));
    }
}

/// H19: a name with a dot at its end, or with an empty part, has no neighbours, and none is a registry.
#[test]
fn names_that_only_look_like_a_registry_are_none() {
    for bad in [
        "registry.example.com.",
        "registry..example.com",
        ".example.com",
        "example.com.:443",
        "u:canary@example.com",
        "https://u:canary@example.com",
        "example.com:99999",
        "example.com:-1",
        "example.com:0x50",
        "exa\u{ad}mple.com/",
        "a b.example.com",
        "example.com\u{0}",
        "%65xample.com",
        "[::1",
        "xn--.com",
    ] {
        let error = Origin::of_registry(bad, Protocol::Auto).unwrap_err();
        assert_eq!(error.kind(), Kind::Misuse, "{bad}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    // One that is another one's spelling is that one, for credentials too.
    for (spelled, means) in
        [("EXAMPLE.com", "example.com"), ("ｅxample.com", "example.com"), ("ex\u{ad}ample.com", "example.com")]
    {
        let of = |text| Origin::of_registry(text, Protocol::Auto).unwrap();
        assert_eq!(of(spelled), of(means));
        assert_ne!(of("ex\u{e4}mple.com"), of(means));
    }
}
