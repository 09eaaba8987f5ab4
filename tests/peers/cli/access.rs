//! How registries of https are reached: flags, files.

use crate::{
    harness::{Test, tests},
    support::{
        program::{Served, World, ran},
        scripted::{Scripted, reply},
        tls::Identity,
    },
};

/// The tests of this file, and what each needs.
pub(crate) fn tests() -> Vec<Test> {
    tests![
        ["openssl"]
            multi https_is_spoken_to_a_loopback_address_on_request,
            multi the_two_sides_of_a_copy_are_reached_in_their_own_ways,
            multi what_is_configured_per_host_needs_no_flags,
            multi advice_about_a_certificate_fits_what_is_wrong_with_it,
            multi a_file_of_authorities_in_the_environment_that_is_of_no_use_is_named,
            plain an_encrypted_key_is_refused_with_the_command_that_decrypts_it,
            multi a_client_certificate_is_asked_for_by_name_and_files_that_are_of_no_use_are_named;
    ]
}

/// A registry in https at loopback, whose certificate is in `ca.pem`.
async fn secured(world: &World) -> (Served, String) {
    let identity = Identity::of_itself("IP:127.0.0.1");
    let registry = Served::start(world, "--writable");
    let host = identity.in_front_of("127.0.0.1", &registry.addr).await;
    std::fs::write(world.path().join("ca.pem"), &identity.authority).unwrap();
    (registry, host)
}

async fn https_is_spoken_to_a_loopback_address_on_request() {
    let world = World::new();
    let (_registry, host) = secured(&world).await;
    let push = format!("push talk/slides.yaml {host}/a:v1");
    world.fails(&format!("{push} --plain-http=false"), 1, &["the certificate of", "CA:TRUE"]);
    world.ok(&format!("{push} --plain-http=false --ca-file ca.pem"));
    let careless = world.run(&format!("ls {host}/a --plain-http=false --insecure"));
    assert_eq!((careless.code, careless.stdout.as_str()), (0, "v1\n"), "{}", careless.stderr);
    let warning = "warning: TLS certificate verification is disabled for";
    assert_eq!(careless.stderr.matches(warning).count(), 1, "{}", careless.stderr);
    world.fails(&format!("ls {host}/a --plain-http=false --ca-file gone.pem"), 2, &["gone.pem"]);
    world.fails(&format!("ls {host}/a --cert-file ca.pem"), 2, &["no private key", "ca.pem"]);
}

async fn the_two_sides_of_a_copy_are_reached_in_their_own_ways() {
    let world = World::new();
    let (_registry, host) = secured(&world).await;
    let plain = Served::start(&world, "--writable");
    world.ok(&format!("push talk/slides.yaml {}/a:v1", plain.addr));
    let there = format!("copy {}/a:v1 {host}/a", plain.addr);
    world.fails(&format!("{there} --plain-http=false --ca-file ca.pem"), 1, &["not https", &plain.addr]);
    world.ok(&format!("{there} --to-plain-http=false --to-ca-file ca.pem"));
    let back = format!("copy {host}/a:v1 {}/b", plain.addr);
    world.ok(&format!("{back} --from-plain-http=false --from-ca-file ca.pem"));
    world.ok(&format!("{back} --plain-http=false --ca-file ca.pem --to-plain-http"));
}

async fn what_is_configured_per_host_needs_no_flags() {
    let world = World::new();
    let (_registry, host) = secured(&world).await;
    world.write("hosts.yaml", &format!("\"{host}\": {{plain-http: false, ca-file: ca.pem}}"));
    world.ok(&format!("push talk/slides.yaml {host}/a:v1 --hosts hosts.yaml"));
    let home = world.path().join(".config/artifact/hosts.yaml");
    world.write(".config/artifact/hosts.yaml", &format!("\"{host}\": {{plain-http: false}}"));
    world.fails(&format!("ls {host}/a"), 1, &["the certificate of"]);
    let authority = std::fs::read_to_string(world.path().join("ca.pem")).unwrap();
    world.write(&format!(".config/containers/certs.d/{host}/ca.crt"), &authority);
    assert_eq!(world.ok(&format!("ls {host}/a")), "v1\n");

    world.write(".config/artifact/hosts.yaml", &format!("\"{host}\":\n  plain_http: true"));
    world.fails(&format!("ls {host}/a"), 2, &["hosts.yaml:2:3", "`plain-http`"]);
    std::fs::remove_file(home).unwrap();
    world.fails(&format!("ls {host}/a --hosts gone.yaml"), 2, &["gone.yaml"]);
    world
        .write(".config/containers/registries.conf", &format!("[[registry]]\nlocation = \"{host}/a\"\nblocked = true"));
    world.fails(&format!("ls {host}/a"), 5, &[&format!("{host}/a is blocked by the configuration")]);
}

async fn advice_about_a_certificate_fits_what_is_wrong_with_it() {
    let world = World::new();
    let registry = Scripted::start(|_| reply(200, &[], b"{}"));
    for (identity, advice) in [
        (Identity::new(), "--ca-file"),
        (Identity::of_itself("DNS:other.test"), "a host name that the certificate lists"),
        (Identity::outdated("IP:127.0.0.1"), "check this machine's clock"),
        (Identity::nameless(), "with its host name in `subjectAltName`"),
    ] {
        let host = identity.in_front_of("127.0.0.1", registry.host()).await;
        let trusts = if advice == "--ca-file" { "" } else { " --ca-file ca.pem" };
        std::fs::write(world.path().join("ca.pem"), &identity.authority).unwrap();
        let ran = world.run(&format!("ls {host}/a --plain-http=false{trusts}"));
        let hint = ran.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(ran.code != 0 && hint.contains(advice), "{advice}: {}", ran.stderr);
    }
}

async fn a_file_of_authorities_in_the_environment_that_is_of_no_use_is_named() {
    let (world, identity) = (World::new(), Identity::new());
    let registry = Scripted::start(|_| reply(200, &[], br#"{"name":"a","tags":["v1"]}"#));
    let host = identity.in_front_of("127.0.0.1", registry.host()).await;
    std::fs::write(world.path().join("ca.pem"), &identity.authority).unwrap();
    std::fs::create_dir(world.path().join("nothing")).unwrap();
    world.write("empty.pem", "none");
    for (file, dir, says) in [
        ("ca.pem", "", None),
        ("ca.pem", "absent", None),
        ("gone.pem", "", Some("`SSL_CERT_FILE` names `gone.pem`, which does not exist")),
        ("empty.pem", "", Some("`SSL_CERT_FILE` names `empty.pem`, which holds no certificate")),
        ("nothing", "", Some("`SSL_CERT_FILE` names `nothing`, which cannot be read: ")),
        (
            "gone.pem",
            "absent:nothing",
            Some("; `SSL_CERT_DIR` names `absent`, which does not exist; `SSL_CERT_DIR` names"),
        ),
    ] {
        let mut listing = world.command(&format!("ls {host}/a --plain-http=false"));
        let ran = ran(listing.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", dir).output().unwrap());
        match says {
            None => assert_eq!((ran.code, ran.stdout.as_str()), (0, "v1\n"), "{file}: {}", ran.stderr),
            Some(says) => assert!(ran.code == 1 && ran.stderr.contains(says), "{file}: {}", ran.stderr),
        }
    }
}

fn an_encrypted_key_is_refused_with_the_command_that_decrypts_it() {
    let (world, identity) = (World::new(), Identity::new());
    std::fs::write(world.path().join("cert.pem"), &identity.pem.0).unwrap();
    for key in identity.encrypted_keys() {
        std::fs::write(world.path().join("key.pem"), key).unwrap();
        let decrypts = "is encrypted; `openssl pkey -in KEY -out PLAIN` decrypts it";
        let ran = world.run("serve --listen 127.0.0.1:0 --tls-cert cert.pem --tls-key key.pem");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("`key.pem`") && ran.stderr.contains(decrypts), "{}", ran.stderr);
        world.fails("ls localhost:1/a --cert-file cert.pem --key-file key.pem", 2, &["`key.pem`", decrypts]);
    }
}

async fn a_client_certificate_is_asked_for_by_name_and_files_that_are_of_no_use_are_named() {
    let (world, identity, other) = (World::new(), Identity::new(), Identity::new());
    let registry = Scripted::start(|_| reply(200, &[], br#"{"name":"a","tags":["v1"]}"#));
    let host = identity.requiring(registry.host()).await;
    for (name, bytes) in [
        ("ca.pem", &identity.authority),
        ("own.pem", &identity.pem.0),
        ("own.key", &identity.pem.1),
        ("other.pem", &other.pem.0),
        ("other.key", &other.pem.1),
    ] {
        std::fs::write(world.path().join(name), bytes).unwrap();
    }
    let list = format!("ls {host}/a --plain-http=false --ca-file ca.pem");
    for (flags, advice) in [
        ("", "`--cert-file FILE --key-file FILE` shows one"),
        ("--cert-file other.pem --key-file other.key", "use one that the registry accepts"),
    ] {
        let ran = world.run(&format!("{list} {flags}"));
        let hint = ran.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(ran.code == 1 && hint.contains(advice), "{advice}: {}", ran.stderr);
    }
    let mixed = format!("{list} --cert-file own.pem --key-file other.key");
    world.fails(&mixed, 2, &["own.pem", "other.key", "do not match"]);
    assert_eq!(world.ok(&format!("{list} --cert-file own.pem --key-file own.key")), "v1\n");
    // The registry's own certificate, from where Docker looks for its authority.
    let trusted = format!(".config/containers/certs.d/{host}/ca.crt");
    world.write(&trusted, std::str::from_utf8(&identity.pem.0).unwrap());
    let pinned = world.run(&format!("ls {host}/a --plain-http=false --cert-file own.pem --key-file own.key"));
    let notes =
        pinned.stderr.lines().filter(|line| line.starts_with("note: the certificate of `127.0.0.1` is trusted"));
    assert_eq!((pinned.code, notes.count()), (0, 1), "{}", pinned.stderr);
}
