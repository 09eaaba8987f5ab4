//! How to fix what failed: the only place that turns errors into advice about commands and flags.

use artifact::{Code, Error, Kind};

/// One sentence of advice, where there is any. It is chosen by what our own code found out: a message may hold text of a
/// server or a file, and no part of it is looked at.
pub(crate) fn for_error(error: &Error) -> Option<String> {
    let advice = match error.code() {
        Some(code) => by_code(code),
        None => by_kind(error.kind()),
    };
    advice.map(Into::into)
}

fn by_code(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::ReferenceFixed => "leave the tag away to have it filled in, or pass `--set strict=false`",
        Code::NoSuchType => "`artifact types list` shows the types",
        Code::SeveralTypes => "pick one with `--type NAME`",
        Code::TypeUndecided => "say what it is with `--type NAME`; `--type file-bundle` packs any file",
        Code::TypeOnlyPacks => {
            "without `--type`, files are unpacked by their titles; without `--unpack`, the artifact becomes a layout"
        }
        Code::LinkAsLayer => "`--set layout=tree` keeps links; `--set exclude=PATH` leaves one out",
        Code::TitleTaken => "rename one of the files",
        Code::NameTwice => {
            "`--keep-host` tells registries apart; `--map FROM=TO` and `FROM -> TO` in a list name a place"
        }
        Code::ManifestTooLarge => "make fewer layers; `--set layout=tree` packs the files of a file-bundle into one",
        Code::ContentMissing => "the registry loses content or removes some at this time: run the command again later",
        Code::DestinationTaken => "`--overwrite` replaces what is there",
        Code::PlatformWanted => "`--platform OS/ARCH` picks one of its manifests; `artifact inspect` lists them",
        Code::StoreBusy => "run the command again when the other one has ended",
        Code::SeveralTags => "name it: `LOCATION:TAG`; `artifact copy --all-tags` takes all",
        Code::NoTags => "`LOCATION@DIGEST` names what has no tag",
        Code::NoSuchTag => "`artifact ls REPOSITORY` lists the tags that are there",
        Code::TagsNotRemovable => "`artifact delete REPOSITORY@DIGEST` removes the manifest, with all its tags",
        Code::TagImmutable => "this registry never moves a tag: choose another one",
        Code::RegistryFull => "make room with `artifact delete`, or ask for a larger quota",
        Code::RefusedForGood => return None,
        Code::MethodRefused => "this registry does not take that; `artifact serve` does with `--writable`",
        Code::RequestsUsedUp => "`artifact login REGISTRY` may give a larger quota; else come back when it is renewed",
        Code::LoginRefused => "is the user name or the password wrong?",
        Code::Blocked => "look into `~/.config/artifact/hosts.yaml` and podman's `registries.conf`",
        Code::RealmNotTrusted => "if it is, list its host under `trusted` in `~/.config/artifact/hosts.yaml`",
        Code::HostNotTrusted => {
            "if that is as it should be, list the host under `trusted` in `~/.config/artifact/hosts.yaml`"
        }
        Code::PlainHttpAnswered => "`--plain-http` speaks http to it: nothing is encrypted, passwords included",
        Code::HttpsExpected => {
            "does this registry speak https? leave `--plain-http` away; `--plain-http=false` for a loopback address"
        }
        Code::CertificateNotNow => "is the clock right? then the registry needs a new certificate",
        Code::CertificateForAnother => "call the registry by a name that its certificate is for",
        Code::CertificateNotTrusted => "`--ca-file FILE` trusts the authority that signed it, or this one certificate",
        Code::ProxyUnsupported => {
            "name an http proxy in `HTTPS_PROXY` or `ALL_PROXY`; `NO_PROXY=HOST` goes around all of them"
        }
        Code::ProxyMalformed => {
            "it is in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, or in the configuration: `http://[USER:PASSWORD@]HOST:PORT`"
        }
        Code::ProxyWantsLogin => "`http://USER:PASSWORD@HOST:PORT` is the form of a proxy's URL with both",
        Code::ProxyFailed => {
            "is the proxy right, and does a captive portal want a log-in first? `NO_PROXY=HOST` goes around it"
        }
    })
}

fn by_kind(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::UnknownType => "`artifact types list` shows the types; `--type NAME` picks one",
        Kind::Unauthorized => "`artifact login REGISTRY` keeps credentials for it",
        Kind::Denied => "the credentials in use do not allow this; `artifact login REGISTRY` changes them",
        Kind::Unreachable => "is the address right, and is the registry running?",
        Kind::NotARegistry => "check host and port; a registry answers at `/v2/`",
        Kind::Changed => "push again once nothing writes to the source",
        Kind::NoSpace => "free some space, or set `TMPDIR` to a larger disk for temporary files",
        Kind::Internal => "this is a bug in artifact; please report it",
        _ => return None,
    })
}
