//! `keygen`: pairs of key files.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use super::{KEY, PUB, json, world};
use crate::support::program::{Ran, World, ran};

fn with_password(world: &World, line: &str, password: &str) -> Ran {
    ran(world.command(line).env("COSIGN_PASSWORD", password).output().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What is in the directory, without the sources that every world has.
fn files(world: &World) -> Vec<String> {
    let all = fs::read_dir(world.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<String> = all.filter(|name| !["talk", "vectors"].contains(&name.as_str())).collect();
    all.sort();
    all
}

#[test]
fn a_pair_is_made_that_signs_and_that_its_owner_alone_can_read() {
    let world = world();
    let made = with_password(&world, "keygen", "secret");
    assert_eq!((made.code, made.stdout.as_str()), (0, "cosign.key\ncosign.pub\n"), "{}", made.stderr);
    assert_eq!((mode(&world.path().join("cosign.key")), mode(&world.path().join("cosign.pub"))), (0o600, 0o644));
    let key = fs::read_to_string(world.path().join("cosign.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "{key}");
    assert_eq!(files(&world), ["cosign.key", "cosign.pub"], "nothing temporary is left");
    world.write("file", "content");
    let signed = with_password(&world, "sign --file file --key cosign.key", "secret");
    assert_eq!((signed.code, signed.stderr.contains("warning")), (0, false), "{}", signed.stderr);
    world.ok("verify --file file --key cosign.pub");
    let wrong = with_password(&world, "sign --file file --key cosign.key", "Secret");
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("wrong password"), "{}", wrong.stderr);
    // The public half is printed as it is in the file.
    let public = with_password(&world, "keygen --public cosign.key", "secret");
    assert_eq!(public.stdout, fs::read_to_string(world.path().join("cosign.pub")).unwrap());
}

#[test]
fn nothing_that_is_there_is_replaced_without_force() {
    for there in ["a.key", "a.pub"] {
        let world = world();
        world.write(there, "mine");
        let refused = with_password(&world, "keygen a", "secret");
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("`{there}` is there already")), "{}", refused.stderr);
        assert_eq!(files(&world), [there]);
        assert_eq!(fs::read_to_string(world.path().join(there)).unwrap(), "mine");
        assert_eq!(with_password(&world, "keygen a --force", "secret").code, 0);
        assert_eq!(files(&world), ["a.key", "a.pub"]);
        assert_eq!(mode(&world.path().join("a.key")), 0o600);
    }
    // A link that leads nowhere is there, too; with force, the link is replaced and not what it leads to.
    let world = world();
    symlink("elsewhere", world.path().join("a.key")).unwrap();
    assert_eq!(with_password(&world, "keygen a", "secret").code, 1);
    assert_eq!(with_password(&world, "keygen a --force", "secret").code, 0);
    assert_eq!(files(&world), ["a.key", "a.pub"]);
}

#[test]
fn both_files_are_written_or_none() {
    let world = world();
    // The private key cannot take the place of a directory.
    fs::create_dir(world.path().join("a.key")).unwrap();
    world.write("a.pub", "mine");
    let failed = with_password(&world, "keygen a --force", "secret");
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert_eq!(fs::read_to_string(world.path().join("a.pub")).unwrap(), "mine");
    fs::create_dir(world.path().join("b.pub")).unwrap();
    assert_eq!(with_password(&world, "keygen b --force", "secret").code, 1);
    assert_eq!(files(&world), ["a.key", "a.pub", "b.pub"]);
    assert_eq!(with_password(&world, "keygen none/c", "secret").code, 4);
    assert_eq!(files(&world), ["a.key", "a.pub", "b.pub"]);
}

#[test]
fn keys_of_other_forms_become_the_same_pair() {
    let world = world();
    for (key, public) in
        [("p256.pkcs8.pem", "p256.pub"), ("p256.sec1.pem", "p256-from-sec1.pub"), ("rsa2048.pkcs1.pem", "rsa2048.pub")]
    {
        let made = with_password(&world, &format!("keygen a --force --import vectors/keys/{key}"), "secret");
        assert_eq!(made.code, 0, "{key}: {}", made.stderr);
        assert!(!made.stderr.contains("warning"), "importing is what is advised: {}", made.stderr);
        let (ours, theirs) = (world.path().join("a.pub"), world.path().join("vectors/keys").join(public));
        assert_eq!(fs::read_to_string(ours).unwrap(), fs::read_to_string(theirs).unwrap(), "{key}");
        world.write("file", "content");
        assert_eq!(with_password(&world, "sign --file file --key a.key", "secret").code, 0, "{key}");
        world.ok(&format!("verify --file file --key vectors/keys/{public}"));
    }
    // One that is encrypted has its own password, and the new file the other.
    world.write("new", "new password\n");
    let made = with_password(&world, "keygen b --import vectors/keys/p256.key --password-file new", "test-vectors");
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(with_password(&world, "sign --file file --key b.key", "new password").code, 0);
    let refused = with_password(&world, "keygen c --import vectors/keys/refuse-two-keys.key", "test-vectors");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(!files(&world).iter().any(|name| name.starts_with("c.")));
}

#[test]
fn the_password_comes_from_a_file_or_a_variable_and_is_asked_of_nobody_who_is_not_there() {
    let world = world();
    for line in ["keygen", "sign --file talk/1.png --key vectors/keys/p256.key"] {
        let refused = ran(world.command(line).env_remove("COSIGN_PASSWORD").output().unwrap());
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{line}: {}", refused.stderr);
        for words in ["COSIGN_PASSWORD", "--password-file", "no terminal"] {
            assert!(refused.stderr.contains(words), "{line}: {}", refused.stderr);
        }
    }
    assert!(files(&world).is_empty());
    world.fails("keygen --password-file none", 2, &["none"]);
    // The line end that editors write is none of the password.
    world.write("password", "pässwörd\r\n");
    world.ok("keygen --password-file password");
    assert_eq!(with_password(&world, "sign --file talk/1.png --key cosign.key", "pässwörd").code, 0);
    let empty = with_password(&world, "keygen open", "");
    assert_eq!(empty.code, 0);
    assert!(empty.stderr.contains("the password is empty"), "{}", empty.stderr);
    assert_eq!(with_password(&world, "sign --file talk/1.png --key open.key", "").code, 0);
    // Not as an argument.
    for flag in ["--password secret", "--password=secret"] {
        assert_eq!(world.run(&format!("keygen x {flag}")).code, 2, "{flag}");
    }
}

#[test]
fn the_public_half_is_printed_and_no_file_is_written() {
    let world = world();
    let printed = world.ok(&format!("keygen --public {KEY}"));
    assert_eq!(printed, fs::read_to_string(world.path().join(PUB)).unwrap());
    assert_eq!(json(&world, &format!("keygen --public {KEY}"))["publicKey"], printed);
    assert!(files(&world).is_empty());
    let mut command = world.command("keygen --public env://SIGNING_KEY");
    command.env("SIGNING_KEY", fs::read_to_string(world.path().join(KEY)).unwrap());
    assert_eq!(ran(command.output().unwrap()).stdout, printed);
    for flags in ["--force", "--import x", "prefix"] {
        assert_eq!(world.run(&format!("keygen --public {KEY} {flags}")).code, 2, "{flags}");
    }
}

#[test]
fn the_commands_of_cosign_are_answered_with_ours() {
    let world = world();
    for (theirs, ours) in [
        ("generate-key-pair", "artifact keygen"),
        ("import-key-pair --key x", "keygen --import"),
        ("public-key --key x", "keygen --public"),
    ] {
        let ran = world.run(theirs);
        assert_eq!(ran.code, 2, "{theirs}: {}", ran.stderr);
        assert!(ran.stderr.contains(ours), "{theirs}: {}", ran.stderr);
    }
}
