//! Challenges and token services that mean harm.

use std::sync::Arc;

use artifact::{
    Kind,
    store::ReadStore as _,
    stores::registry::{Options, Registry},
};

use super::{CANARY, canary, kind, repository, saw_secret};
use crate::support::{
    samples::named,
    scripted::{Scripted, reply},
};

/// A registry that always asks for this proof.
fn asking(challenge: String) -> Scripted {
    Scripted::start(move |_| reply(401, &[("www-authenticate", &challenge)], b""))
}

async fn resolve(registry: &Scripted, options: &Options) -> artifact::Result<artifact::oci::Descriptor> {
    repository(registry.host(), "team/art", options).resolve(&named("v1")).await
}

/// H10, H12.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_no_stranger() {
    let trap = Scripted::trap("127.0.0.2");
    for realm in [
        format!("http://{}/token", trap.host()),
        format!("https://{}/token", trap.host()),
        "https://169.254.169.254/token".into(),
        "http://example.com/token".into(),
        "https://example.com/token".into(),
        "https://u:p@127.0.0.1/token".into(),
        "/token".into(),
        "file:///etc/passwd".into(),
    ] {
        let registry = asking(format!("Bearer realm=\"{realm}\",service=\"x\""));
        let error = resolve(&registry, &canary(registry.host())).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Unauthorized | Kind::Invalid), "{realm}: {error}");
        assert!(!saw_secret(&registry), "{realm}");
        assert!(!error.to_string().contains(CANARY));
    }
    assert!(trap.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_stranger_is_none() {
    let service = Scripted::at("127.0.0.2", |_| reply(200, &[], br#"{"token":"t"}"#));
    let registry = asking(format!("Bearer realm=\"http://{}/token\"", service.host()));
    let options = Options { trusted: vec![service.host().to_owned()], ..canary(registry.host()) };
    assert_eq!(kind(resolve(&registry, &options).await), Kind::Unauthorized);
    // For HEAD, and for GET, since only that could say why.
    assert_eq!(service.lines(), ["GET /token?scope=repository%3Ateam%2Fart%3Apull"; 2]);
    assert!(service.saw("Authorization: Basic") || service.saw("authorization: Basic"));
    assert!(registry.seen()[1].header("authorization") == "Bearer t" && !registry.saw(CANARY));
}

/// H13.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_service_that_redirects_gets_nowhere() {
    let trap = Scripted::trap("127.0.0.1");
    for target in [format!("http://{}/x", trap.host()), "/token".into(), "http://169.254.169.254/".into()] {
        let service = Scripted::start(move |_| reply(302, &[("location", &target)], b""));
        let registry = asking(format!("Bearer realm=\"http://{}/token\"", service.host()));
        assert!(resolve(&registry, &canary(registry.host())).await.is_err());
        assert_eq!(service.seen().len(), 1);
    }
    assert!(trap.seen().is_empty());
}

/// H25.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_service_says_is_bounded_and_checked() {
    let huge = [br#"{"token":""#, vec![b'x'; 1 << 20].as_slice(), br#""}"#].concat();
    for (body, want) in [
        (huge, Kind::Limit),
        (br#"{"token":"canary\r\nX-Evil: 1"}"#.to_vec(), Kind::Unauthorized),
        (br#"{"token":""}"#.to_vec(), Kind::Unauthorized),
        (br#"{"token":"canary""#.to_vec(), Kind::NotARegistry),
        (br#"{"token":{"canary":1}}"#.to_vec(), Kind::NotARegistry),
        (b"<html>canary".to_vec(), Kind::NotARegistry),
    ] {
        let service = Scripted::start(move |_| reply(200, &[], &body));
        let registry = asking(format!("Bearer realm=\"http://{}/token\"", service.host()));
        let error = resolve(&registry, &canary(registry.host())).await.unwrap_err();
        assert_eq!(error.kind(), want, "{error}");
        assert!(!error.to_string().contains("canary\\") && !error.to_string().contains("canary\""), "{error}");
        assert_eq!(registry.seen().len(), 1);
    }
}

/// H15.
#[tokio::test(flavor = "multi_thread")]
async fn only_our_own_scope_is_asked_for() {
    let service = Scripted::start(|_| reply(200, &[], br#"{"access_token":"t"}"#));
    let registry = asking(format!(
        "Bearer realm=\"http://{}/token\",service=\"a b&c\",scope=\"repository:other/secret:pull,push,delete\"",
        service.host()
    ));
    assert_eq!(kind(resolve(&registry, &canary(registry.host())).await), Kind::Unauthorized);
    assert_eq!(service.lines(), ["GET /token?service=a+b%26c&scope=repository%3Ateam%2Fart%3Apull"; 2]);
}

/// H15.
#[tokio::test(flavor = "multi_thread")]
async fn challenges_without_end_are_an_error_and_soon() {
    for challenge in ["X, ".repeat(1000), "Bearer ".repeat(20), format!("Bearer realm=\"{}", "x".repeat(100_000))] {
        let registry = asking(challenge);
        assert!(resolve(&registry, &canary(registry.host())).await.is_err());
        assert!(!saw_secret(&registry));
    }
    let registry = asking("x".repeat(1 << 20));
    assert!(resolve(&registry, &canary(registry.host())).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_for_another_origin_is_not_used() {
    let registry = asking("Basic".into());
    let other = Scripted::trap("127.0.0.1");
    let error = resolve(&registry, &canary(other.host())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(!saw_secret(&registry));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_proved_to_a_registry_that_does_not_ask() {
    let registry = Scripted::start(|_| reply(200, &[], b"{}"));
    let client = Registry::new(registry.host(), &canary(registry.host())).unwrap();
    assert_eq!(client.ping().await.unwrap(), artifact::stores::registry::Greeting::Open);
    assert!(!saw_secret(&registry));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_echoes_our_credentials_does_not_show_them() {
    let registry = Scripted::start(|request| match request.header("authorization") {
        "" => reply(401, &[("www-authenticate", "Basic")], b""),
        given => reply(403, &[], format!("you sent {given} that is {CANARY}").as_bytes()),
    });
    let options = canary(registry.host());
    let error = repository(registry.host(), "a", &options).list_names().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.to_string().contains("you sent Basic *** that is ***"), "{error}");
    assert!(Arc::strong_count(&options.credentials) > 0 && !format!("{options:?}").contains(CANARY));
}

/// A registry that takes no token, and asks for a password instead; whether it takes that.
fn asking_for_a_password_instead(takes: bool) -> Scripted {
    Scripted::start(move |request| match request.header("authorization") {
        _ if request.line().starts_with("GET /token") => reply(200, &[], br#"{"token":"t"}"#),
        "" => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host"));
            reply(401, &[("www-authenticate", &realm)], b"")
        }
        given if takes && given.starts_with("Basic ") => reply(200, &[], b"{}"),
        _ => reply(401, &[("www-authenticate", "Basic")], b""),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_a_token_gets_the_password_that_it_asks_for_instead() {
    for takes in [true, false] {
        let registry = asking_for_a_password_instead(takes);
        let client = Registry::new(registry.host(), &canary(registry.host())).unwrap();
        let greeted = client.ping().await;
        assert_eq!(greeted.is_ok(), takes);
        assert_eq!(registry.lines(), ["GET /v2/", "GET /token", "GET /v2/", "GET /v2/"]);
        assert!(registry.seen()[3].header("authorization").starts_with("Basic "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_asks_a_stranger_for_a_password_instead_gets_no_further() {
    let registry = asking_for_a_password_instead(true);
    let client = Registry::new(registry.host(), &Options::default()).unwrap();
    assert_eq!(kind(client.ping().await), Kind::Unauthorized);
    assert_eq!(registry.lines(), ["GET /v2/", "GET /token", "GET /v2/"]);
}
