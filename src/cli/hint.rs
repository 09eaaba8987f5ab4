//! How to fix what failed: the only place that turns errors into advice about commands and flags.

use artifact::{Error, Kind};

/// One sentence of advice, where there is any.
pub(crate) fn for_error(error: &Error) -> Option<String> {
    let text = error.to_string();
    let advice = match error.kind() {
        _ if text.contains("the tag must be") || text.contains("must end in") || text.contains("must have the tag") => {
            "leave the tag away to have it filled in, or pass `--set strict=false`"
        }
        Kind::UnknownType => "`artifact types list` shows the types; `--type NAME` picks one",
        Kind::Misuse if text.contains("there is no artifact type") => "`artifact types list` shows the types",
        Kind::Ambiguous if text.contains("tags") => {
            "name one of them: `LOCATION:TAG`; `artifact copy --all-tags` takes all"
        }
        Kind::Ambiguous if text.contains("could be") => "pick one with `--type NAME`",
        Kind::Unauthorized if text.contains("which is not its own") => {
            "if it is, list its host under `trusted` in `~/.config/artifact/hosts.yaml`"
        }
        Kind::Unauthorized if text.starts_with("log in to") => "is the user name or the password wrong?",
        Kind::Unauthorized => "`artifact login REGISTRY` keeps credentials for it",
        Kind::Denied if text.contains("by the configuration") => {
            "look into `~/.config/artifact/hosts.yaml` and podman's `registries.conf`"
        }
        Kind::Denied if text.to_ascii_lowercase().contains("immutable") => {
            "this registry never moves a tag: choose another one"
        }
        Kind::Denied if text.to_ascii_lowercase().contains("quota") => {
            "make room with `artifact delete`, or ask for a larger quota"
        }
        Kind::Denied => "the credentials in use do not allow this; `artifact login REGISTRY` changes them",
        _ if text.contains("of a kind that is not supported: `socks") => {
            "name an http proxy in `HTTPS_PROXY` or `ALL_PROXY`; `NO_PROXY=HOST` goes around all of them"
        }
        _ if text.contains("the proxy for http") => {
            "it is in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, or in the configuration: `http://[USER:PASSWORD@]HOST:PORT`"
        }
        Kind::Unreachable if text.contains("user name and a password") && text.contains("proxy") => {
            "`http://USER:PASSWORD@HOST:PORT` is the form of a proxy's URL with both"
        }
        Kind::Unreachable if text.contains("through the proxy") => {
            "is the proxy right, and does a captive portal want a log-in first? `NO_PROXY=HOST` goes around it"
        }
        _ if text.contains("sends us to") || text.contains("leads to no address") => {
            "if that is as it should be, list the host under `trusted` in `~/.config/artifact/hosts.yaml`"
        }
        Kind::Unreachable if text.contains("answers in plain http") => {
            "`--plain-http` speaks http to it: nothing is encrypted, passwords included"
        }
        Kind::Unreachable if text.contains("this machine's clock") => {
            "is the clock right? then the registry needs a new certificate"
        }
        Kind::Unreachable if text.contains("not valid for name") => {
            "call the registry by a name that its certificate is for"
        }
        Kind::Unreachable if text.contains("the certificate of") => {
            "`--ca-file FILE` trusts the authority that signed it, or this one certificate"
        }
        // The answer to a HEAD has no text that says so.
        _ if text.contains("HTTP request to an HTTPS server")
            || text.contains(" http://") && text.ends_with("400 Bad Request") =>
        {
            "does this registry speak https? leave `--plain-http` away; `--plain-http=false` for a loopback address"
        }
        _ if text.contains("405 Method Not Allowed") => {
            "this registry does not take that; `artifact serve` does with `--writable`"
        }
        Kind::Unavailable if text.contains("the quota is used up") => {
            "`artifact login REGISTRY` may give a larger quota; else come back when it is renewed"
        }
        Kind::Unreachable => "is the address right, and is the registry running?",
        Kind::NotARegistry => "check host and port; a registry answers at `/v2/`",
        Kind::Changed => "push again once nothing writes to the source",
        Kind::NoSpace => "free some space, or set `TMPDIR` to a larger disk for temporary files",
        Kind::Exists if text.contains("the title") || text.contains("are named") => "rename one of the files",
        Kind::Exists if text.contains("there already") => "`--overwrite` replaces what is there",
        Kind::Limit if text.contains("the manifest has") => {
            "make fewer layers; `--set layout=tree` packs the files of a file-bundle into one"
        }
        Kind::Invalid if text.contains("file-bundle") && text.contains("layer of its own") => {
            "`--set layout=tree` keeps links; `--set exclude=PATH` leaves one out"
        }
        Kind::Unsupported if text.contains("cannot remove a tag") => {
            "`artifact delete REPOSITORY@DIGEST` removes the manifest, with all its tags"
        }
        Kind::NotFound if text.ends_with("has no tags") => "`LOCATION@DIGEST` names what has no tag",
        Kind::NotFound if text.contains("/manifests/") && !text.contains("/manifests/sha256:") => {
            "`artifact ls REPOSITORY` lists the tags that are there"
        }
        Kind::Internal => "this is a bug in artifact; please report it",
        _ => return None,
    };
    Some(advice.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_about_what_failed() {
        for (kind, text, advice) in [
            (Kind::Unavailable, "the quota is used up (ratelimit-limit 100;w=21600): GET x: 429", "larger quota"),
            (Kind::Unreachable, "https was tried, and `r` answers in plain http", "--plain-http"),
            (Kind::Unreachable, "the certificate of `r` is not accepted", "--ca-file"),
            (Kind::Unreachable, "the certificate of `r` is not accepted: by this machine's clock it is 1970", "clock"),
            (Kind::Unreachable, "cannot reach `r`", "running"),
            (Kind::Unreachable, "GET r through the proxy `p`: cannot reach `r`", "captive portal"),
            (Kind::Unreachable, "GET r through the proxy `p`: the proxy `p` wants a user name and a password", "USER"),
            (Kind::Invalid, "the proxy for https is not a URL", "HTTPS_PROXY"),
            (Kind::Denied, "PUT x: 409 Conflict: TAG_IMMUTABLE", "another one"),
            (Kind::Denied, "PUT x: 413 Payload Too Large: DENIED: Quota exceeded", "larger quota"),
            (Kind::Denied, "PUT x: 403 Forbidden", "artifact login"),
            (Kind::Denied, "r is blocked by the configuration", "hosts.yaml"),
            (Kind::Unauthorized, "r sends credentials to `x`, which is not its own", "trusted"),
            (Kind::Invalid, "https://r sends us to https://x: that address is not public", "trusted"),
            (Kind::Invalid, "HEAD http://127.0.0.1:1/v2/: 400 Bad Request", "--plain-http=false"),
            (Kind::Invalid, "400 Bad Request: Client sent an HTTP request to an HTTPS server.", "https"),
            (Kind::Unsupported, "`r` cannot remove a tag (DELETE: 405 Method Not Allowed)", "does not take"),
            (Kind::Unsupported, "`r` cannot remove a tag (DELETE: 400 Bad Request)", "REPOSITORY@DIGEST"),
            (Kind::Unauthorized, "log in to r: 401", "wrong"),
            (Kind::Unauthorized, "push: 401", "artifact login"),
            (Kind::Limit, "the manifest has 6000000 bytes", "layout=tree"),
        ] {
            let given = for_error(&Error::new(kind, text)).unwrap_or_default();
            assert!(given.contains(advice), "{text}: {given}");
        }
        let digest = "`sha256:0` is not in r/x: HEAD http://r/v2/x/manifests/sha256:0: 404 Not Found";
        assert_eq!(for_error(&Error::not_found(digest)), None);
        assert_eq!(for_error(&Error::new(Kind::Exists, "cannot make `x`: File exists")), None);
    }
}
