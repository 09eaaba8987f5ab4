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
        Kind::Ambiguous if text.contains("tags") => {
            "name one of them: `LOCATION:TAG`; `artifact copy --all-tags` takes all"
        }
        Kind::Ambiguous if text.contains("could be") => "pick one with `--type NAME`",
        Kind::Unauthorized if text.starts_with("log in to") => "is the user name or the password wrong?",
        Kind::Unauthorized => "`artifact login REGISTRY` keeps credentials for it",
        Kind::Denied => "the credentials in use do not allow this; `artifact login REGISTRY` changes them",
        Kind::Unreachable if text.contains("http") && text.contains("TLS") => {
            "if this registry speaks http only, add `--plain-http`"
        }
        Kind::Unreachable => "is the address right, and is the registry running?",
        Kind::NotARegistry => "check host and port; a registry answers at `/v2/`",
        Kind::Changed => "push again once nothing writes to the source",
        Kind::NoSpace => "free some space, or set `TMPDIR` to a larger disk for temporary files",
        Kind::ReadOnly if text.contains("405") => "the registry only reads; `artifact serve --writable` takes pushes",
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
        Kind::NotFound if text.contains("/manifests/") => "`artifact ls REPOSITORY` lists the tags that are there",
        Kind::Internal => "this is a bug in artifact; please report it",
        _ => return None,
    };
    Some(advice.into())
}
