//! How to fix what failed: the only place that turns errors into advice about commands and flags.

use artifact::{Code, Error, error::Facts};

use super::environment;

/// One line of advice, if there is any. It depends on the code alone, and on what else the command was to do: messages can hold text of servers and files,
/// and are not searched. Facts only fill in names.
pub(crate) fn for_error(error: &Error) -> Option<String> {
    let of_this = error.code().and_then(|code| by_code(code, error.facts()));
    let of_others = error.facts().others.map(|_| "`--keep-going` copies the other artifacts".to_owned());
    let advice: Vec<String> = of_this.into_iter().chain(of_others).collect();
    (!advice.is_empty()).then(|| advice.join("; "))
}

fn by_code(code: Code, facts: &Facts) -> Option<String> {
    let registry = facts.registry.as_deref().unwrap_or("REGISTRY");
    let repository = facts.repository.as_deref().unwrap_or("REPOSITORY");
    let advice = match code {
        Code::ReferenceFixed => "omit the tag to let the type choose it, or pass `--set strict=false`",
        Code::NoSuchType => "`artifact types list` shows the types",
        Code::SeveralTypes => "select one with `--type NAME`",
        Code::NoTypeFits => "`artifact types list` shows the types; `--type NAME` selects one",
        Code::TypeUndecided => "name its type with `--type NAME`; `--type file-bundle` packs any file",
        Code::TypeOnlyPacks => {
            "without `--type`, `--unpack` uses the layers' titles as file names; without `--unpack`, `pull` writes a layout"
        }
        Code::NotATypeName => "use lower-case letters, digits and dashes, as in `font-pack`",
        Code::NoSuchParameter => "`artifact types show TYPE` lists the parameters of a type",
        Code::LinkAsLayer => "`--set layout=tree` keeps links; `--set exclude=PATH` excludes one",
        Code::TitleTaken => "rename one of the files",
        Code::NotARegularFile => "write its content to a regular file first",
        Code::SourceChanged => "push again while no program writes to the source",
        Code::NameTwice => {
            "`--keep-host` adds the registry's name; `--map FROM=TO`, or `FROM -> TO` in a list, sets another destination"
        }
        Code::ManifestTooLarge => "use fewer layers; `--set layout=tree` packs the files of a file-bundle into one",
        Code::ContentMissing => "the registry lost content or is deleting it: run the command again later",
        Code::PartialIndexRefused => {
            "copy one platform, or all of them, or make a new index of those that you copy with `--new-index`"
        }
        Code::MembersMissing => {
            let there = facts.name.as_deref().unwrap_or("OS/ARCH");
            return Some(format!(
                "`--platform {there}` copies what is there; if attestations are missing, `--no-attestations` leaves them out"
            ));
        }
        Code::ReferrersRefused => "`artifact copy --no-referrers` leaves behind what refers to the artifact",
        Code::DestinationTaken => "`--overwrite` replaces existing files",
        Code::ExpandsTooFar => "`--max-size SIZE` allows more, if you trust the artifact",
        Code::DestinationIsFile => {
            "a layout is a directory: choose another name, or write an archive with `oci-archive:FILE`"
        }
        Code::FileExists => "choose another name, or remove the file first",
        Code::PlatformWanted => {
            "`--platform OS/ARCH`, or `@DIGEST` at the end of the location, selects one; `artifact inspect` lists them"
        }
        Code::NoSuchPlatform => "`artifact inspect LOCATION` lists the platforms",
        Code::NoSuchPart => "`artifact inspect LOCATION` lists the layers with their titles",
        Code::NothingMatches => "`*` stops at `/`; `**/*.md` matches in every directory",
        Code::NotAStore => {
            "an OCI layout is a directory with the files `oci-layout` and `index.json`; an OCI archive is a tar file of such a directory"
        }
        Code::DockerArchive => {
            let file = facts.path.as_deref().map_or_else(|| "FILE".into(), |path| path.display().to_string());
            return Some(format!("`skopeo copy docker-archive:{file} oci-archive:NEW.tar` makes an OCI archive of it"));
        }
        Code::StoreBusy => "run the command again after the other process has ended",
        Code::StoreWithName => "`serve` takes whole stores: remove the tag or digest",
        Code::SeveralTags => "add the tag, as in `LOCATION:TAG`; `artifact copy --all-tags` copies all tags",
        Code::NoTags => "`LOCATION@DIGEST` names an artifact without a tag",
        Code::ListIncomplete => "`artifact check LOCATION` shows what is wrong with the list",
        Code::NoSuchTag => return Some(format!("`artifact ls {repository}` lists the tags")),
        Code::TagExpected => "give the tag alone, as in `v9`; it is set in the same repository, layout or archive",
        Code::NotATag => {
            "a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with a letter, digit or `_`; Helm writes `+` as `_`"
        }
        Code::TagsNotRemovable => {
            return Some(format!("`artifact delete {repository}@DIGEST` removes the manifest and all its tags"));
        }
        Code::TagImmutable => "this registry never moves a tag: choose another tag",
        Code::RegistryFull => "delete artifacts with `artifact delete`, or ask for a larger quota",
        Code::RefusedForGood => return None,
        Code::MethodRefused => "this registry does not support the operation; `artifact serve --writable` does",
        Code::RequestsUsedUp => {
            return Some(format!("`artifact login {registry}` may raise the limit; otherwise wait until it resets"));
        }
        Code::CredentialsWanted => return Some(format!("`artifact login {registry}` stores credentials for it")),
        Code::CredentialsRefused => {
            return Some(format!("check user name and password; `artifact login {registry}` replaces them"));
        }
        Code::AccessDenied => {
            return Some(format!(
                "this user lacks the permission; `artifact login {registry}` stores credentials of another user"
            ));
        }
        Code::HelperFailed | Code::HelperMissing => {
            "`credsStore` or `credHelpers` in the credentials file names the helper; `--auth-file` uses another file"
        }
        Code::LoginRefused => "check user name and password",
        Code::SchemeGiven => "remove `http://` or `https://`; `--plain-http` uses HTTP",
        Code::Blocked => "see `~/.config/artifact/hosts.yaml` and podman's `registries.conf`",
        Code::RealmNotTrusted => "if you trust it, list its host under `trusted` in `~/.config/artifact/hosts.yaml`",
        Code::HostNotTrusted => "if you trust that host, list it under `trusted` in `~/.config/artifact/hosts.yaml`",
        Code::RegistryUnreachable => "check the address and that the registry is running",
        Code::NotARegistry => "check host and port; a registry responds at `/v2/`",
        Code::PlainHttpAnswered => "`--plain-http` uses HTTP, without encryption, even of passwords",
        Code::HttpsExpected => {
            "if the registry uses HTTPS, omit `--plain-http`; for a loopback address, pass `--plain-http=false`"
        }
        Code::CertificateNotNow => "check this machine's clock; if it is right, the registry needs a new certificate",
        Code::CertificateForAnother => "use a host name that the certificate lists",
        Code::CertificateNamesNoHost => "the registry needs a certificate with its host name in `subjectAltName`",
        Code::CertificateNotTrusted => {
            "`--ca-file FILE` takes the certificate of the authority that signed it, or exactly the one that the registry shows"
        }
        Code::ClientCertificateWanted => {
            "`--cert-file FILE --key-file FILE` shows one; so do files `NAME.cert` and `NAME.key` in `certs.d/HOST`"
        }
        Code::ClientCertificateRefused => {
            "use one that the registry accepts; in its file, the certificates between it and its authority follow it"
        }
        Code::NoCertificate => "a certificate file is in PEM format: it contains `-----BEGIN CERTIFICATE-----`",
        Code::ProxyUnsupported => {
            "set an HTTP proxy in `HTTPS_PROXY` or `ALL_PROXY`; `NO_PROXY=HOST` bypasses every proxy for a host"
        }
        Code::ProxyMalformed => {
            "set `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` or the configuration to `http://[USER:PASSWORD@]HOST:PORT`"
        }
        Code::ProxyWantsLogin => "add user name and password to the proxy's URL: `http://USER:PASSWORD@HOST:PORT`",
        Code::ProxyFailed => {
            "check the proxy, and whether a captive portal requires a login; `NO_PROXY=HOST` bypasses the proxy"
        }
        Code::AddressInUse => "`--listen 127.0.0.1:0` selects a free port",
        // The message names the path; there is nothing to add.
        Code::NoSuchFile | Code::NoSuchConfiguration | Code::PermissionDenied => return None,
        Code::ReadOnlyDisk => "choose a destination on a writable file system",
        Code::PasswordWrong => {
            "the password is that of `--password-file`, else of `COSIGN_PASSWORD`, else what you type"
        }
        Code::DiskFull if facts.path.as_deref().is_some_and(environment::is_temporary) => {
            "free some disk space, or set `TMPDIR` to a directory on a larger disk"
        }
        Code::DiskFull => "free some disk space",
        Code::Bug => "this is a bug in artifact; please report it",
    };
    Some(advice.into())
}
