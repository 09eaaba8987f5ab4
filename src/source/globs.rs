//! Globs for relative paths below a directory.

use super::{escapes, names::escape};
use crate::{error::Result, glob::Globs};

/// Compiles globs. Errors: kind `Escape` for an absolute glob or one with `..`, kind `Invalid` for a malformed one, kind
/// `Limit` for too many.
pub(crate) fn relative_globs(globs: &[String]) -> Result<Globs> {
    let tidied = globs.iter().map(|glob| tidied(glob)).collect::<Result<Vec<_>>>()?;
    Globs::new(tidied.iter().map(String::as_str))
}

/// A glob without a leading `./`; one that ends in `/` matches everything below.
fn tidied(glob: &str) -> Result<String> {
    let shown = escape(glob);
    if glob.starts_with('/') || glob.starts_with("~/") {
        return Err(escapes(format!("the glob `{shown}` is absolute")));
    }
    if glob.split(['/', '{', '}', ',']).any(|part| part == "..") {
        return Err(escapes(format!("the glob `{shown}` leads upwards")));
    }
    let mut rest = glob;
    while let Some(short) = rest.strip_prefix("./") {
        rest = short;
    }
    Ok(match rest.strip_suffix('/') {
        Some(dir) => format!("{dir}/**"),
        None if rest == "." || rest.is_empty() && !glob.is_empty() => "**".to_owned(),
        None => rest.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, glob::Effort};

    #[test]
    fn a_glob_is_relative_to_the_directory_and_may_say_so() {
        for (glob, path, yes) in [
            ("d/", "d/e", true),
            ("d/", "d", false),
            ("./d/*.md", "d/x.md", true),
            (".", "any/thing", true),
            ("./", "any/thing", true),
            ("a..b", "a..b", true),
        ] {
            let globs = relative_globs(&[glob.to_owned()]).unwrap();
            assert_eq!(globs.matches(path, &Effort::default()).unwrap(), yes, "{glob} {path}");
        }
    }

    #[test]
    fn a_glob_that_leaves_is_refused() {
        for glob in ["../x", "a/../../b", "/etc/*", "../../**", "~/x", "{..,a}/x", "./../x"] {
            assert_eq!(relative_globs(&[glob.to_owned()]).unwrap_err().kind(), Kind::Escape, "{glob}");
        }
        assert_eq!(relative_globs(&[String::new()]).unwrap_err().kind(), Kind::Invalid);
    }
}
