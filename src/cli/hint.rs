//! How to fix what failed: the only place that turns errors into advice about commands and flags.

use artifact::{Code, Error, error::Facts};

use super::environment;

/// One sentence of advice, where there is any. The code decides: a message may hold text of a server or a file, and none
/// of it is searched. Facts are only filled in.
pub(crate) fn for_error(error: &Error) -> Option<String> {
    by_code(error.code()?, error.facts())
}

fn by_code(code: Code, facts: &Facts) -> Option<String> {
    let registry = facts.registry.as_deref().unwrap_or("REGISTRY");
    let repository = facts.repository.as_deref().unwrap_or("REPOSITORY");
    let advice = match code {
        Code::ReferenceFixed => "omit the tag to let the type choose it, or pass `--set strict=false`",
        Code::NoSuchType => "`artifact types list` shows the types",
        Code::SeveralTypes => "pick one with `--type NAME`",
        Code::NoTypeFits => "`artifact types list` shows the types; `--type NAME` picks one",
        Code::TypeUndecided => "name its type with `--type NAME`; `--type file-bundle` packs any file",
        Code::TypeOnlyPacks => {
            "without `--type`, files are unpacked by their titles; without `--unpack`, the artifact becomes a layout"
        }
        Code::NotATypeName => "a name has lower-case letters, digits and dashes, as in `font-pack`",
        Code::NoSuchParameter => "`artifact types show TYPE` lists the parameters of a type",
        Code::LinkAsLayer => "`--set layout=tree` keeps links; `--set exclude=PATH` leaves one out",
        Code::TitleTaken => "rename one of the files",
        Code::NotARegularFile => "write what it gives to a file first",
        Code::SourceChanged => "push again when no program writes to the source",
        Code::NameTwice => {
            "`--keep-host` keeps registries apart; `--map FROM=TO` and `FROM -> TO` in a list choose a destination"
        }
        Code::ManifestTooLarge => "use fewer layers; `--set layout=tree` packs the files of a file-bundle into one",
        Code::ContentMissing => "the registry lost content, or is removing some: run the command again later",
        Code::DestinationTaken => "`--overwrite` replaces existing files",
        Code::DestinationIsFile => "a layout is a directory: choose another name; `oci-archive:FILE` writes one file",
        Code::FileExists => "choose another name, or remove the file first",
        Code::PlatformWanted => "`--platform OS/ARCH` picks one of its manifests; `artifact inspect` lists them",
        Code::NoSuchPlatform => "`artifact inspect LOCATION` lists the platforms",
        Code::NoSuchPart => "`artifact inspect LOCATION` lists the layers with their titles",
        Code::NothingMatches => "`*` stops at `/`; `**/*.md` matches in every directory",
        Code::NotAStore => {
            "an OCI layout is a directory with a file `oci-layout`; an OCI archive is such a directory in a tar"
        }
        Code::StoreBusy => "run the command again when the other process has ended",
        Code::StoreWithName => "`serve` takes whole stores: remove the tag or digest",
        Code::SeveralTags => "name the tag: `LOCATION:TAG`; `artifact copy --all-tags` takes all of them",
        Code::NoTags => "`LOCATION@DIGEST` names an artifact without a tag",
        Code::NoSuchTag => return Some(format!("`artifact ls {repository}` lists the tags")),
        Code::TagExpected => "give the tag alone, as in `v9`: it goes to the same repository, layout or archive",
        Code::NotATag => {
            "a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with a letter, digit or `_`; Helm writes `+` as `_`"
        }
        Code::TagsNotRemovable => {
            return Some(format!("`artifact delete {repository}@DIGEST` removes the manifest and all its tags"));
        }
        Code::TagImmutable => "this registry never moves a tag: choose another tag",
        Code::RegistryFull => "delete artifacts with `artifact delete`, or ask for a larger quota",
        Code::RefusedForGood => return None,
        Code::MethodRefused => "this registry does not allow that; `artifact serve --writable` does",
        Code::RequestsUsedUp => {
            return Some(format!(
                "`artifact login {registry}` may raise the limit; otherwise wait until it is renewed"
            ));
        }
        Code::CredentialsWanted => return Some(format!("`artifact login {registry}` stores credentials for it")),
        Code::CredentialsRefused => {
            return Some(format!("`artifact login {registry}` stores other credentials; check user name and password"));
        }
        Code::AccessDenied => {
            return Some(format!(
                "these credentials do not allow it; `artifact login {registry}` stores credentials of another user"
            ));
        }
        Code::LoginRefused => "check user name and password",
        Code::SchemeGiven => "remove `http://` or `https://`; `--plain-http` uses http",
        Code::Blocked => "see `~/.config/artifact/hosts.yaml` and podman's `registries.conf`",
        Code::RealmNotTrusted => "if you trust it, list its host under `trusted` in `~/.config/artifact/hosts.yaml`",
        Code::HostNotTrusted => "if you trust that host, list it under `trusted` in `~/.config/artifact/hosts.yaml`",
        Code::RegistryUnreachable => "check the address, and whether the registry is running",
        Code::NotARegistry => "check host and port; a registry answers at `/v2/`",
        Code::PlainHttpAnswered => "`--plain-http` uses http: nothing is encrypted, passwords included",
        Code::HttpsExpected => {
            "if the registry uses https, omit `--plain-http`; for a loopback address, pass `--plain-http=false`"
        }
        Code::CertificateNotNow => "check the clock; if it is right, the registry needs a new certificate",
        Code::CertificateForAnother => "use a host name that the certificate is for",
        Code::CertificateNotTrusted => "`--ca-file FILE` trusts the authority that signed it, or this one certificate",
        Code::NoCertificate => "a file of certificates is in PEM: it has `-----BEGIN CERTIFICATE-----`",
        Code::ProxyUnsupported => {
            "set an http proxy in `HTTPS_PROXY` or `ALL_PROXY`; `NO_PROXY=HOST` bypasses every proxy for a host"
        }
        Code::ProxyMalformed => {
            "it is set in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, or in the configuration: `http://[USER:PASSWORD@]HOST:PORT`"
        }
        Code::ProxyWantsLogin => "put user name and password into the proxy's URL: `http://USER:PASSWORD@HOST:PORT`",
        Code::ProxyFailed => "check the proxy, and whether a captive portal wants a login; `NO_PROXY=HOST` bypasses it",
        Code::AddressInUse => "`--listen 127.0.0.1:0` picks a free port",
        // The message names the path, and nothing more is known.
        Code::NoSuchFile | Code::NoSuchConfiguration | Code::PermissionDenied => return None,
        Code::ReadOnlyDisk => "choose a destination on a file system that can be written",
        Code::DiskFull if facts.path.as_deref().is_some_and(environment::is_temporary) => {
            "free some space there, or set `TMPDIR` to a directory on a larger disk"
        }
        Code::DiskFull => "free some space there",
        Code::Bug => "this is a bug in artifact; please report it",
    };
    Some(advice.into())
}
