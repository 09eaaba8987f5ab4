//! Checks names of files: what is packed can be unpacked.

use std::ffi::OsStr;

use super::escapes;
use crate::error::{Error, Result};
pub use crate::fs::escape;
use crate::fs::name_fault;

/// Length limit of a relative path, in bytes.
const MAX_PATH: usize = 4096;

/// Length limit of a path component, in bytes.
const MAX_COMPONENT: usize = 255;

/// Checks a component of a path. Errors: not UTF-8, longer than 255 bytes, or a fault that unpacking refuses.
pub(super) fn component(name: &OsStr) -> Result<&str> {
    let reject = |why: &str| Err(Error::invalid(format!("the file name `{}` {why}", escape(name))));
    match name.to_str() {
        None => reject("is not UTF-8"),
        Some(text) if text.len() > MAX_COMPONENT => reject("is longer than 255 bytes"),
        Some(text) => name_fault(text).map_or(Ok(text), reject),
    }
}

/// Normalises a relative path: `./a//b/` becomes `a/b`, and `.` the empty path.
///
/// Errors: kind `Escape` if it is absolute or contains `..`; kind `Invalid` if it is empty, longer than 4096 bytes, or
/// has an invalid component.
pub fn relative(path: &str) -> Result<String> {
    if path.is_empty() {
        return Err(Error::invalid("the path is empty"));
    }
    if path.len() > MAX_PATH {
        return Err(Error::invalid(format!("the path has {} bytes; the limit is {MAX_PATH}", path.len())));
    }
    if path.starts_with('/') {
        return Err(escapes(format!("`{}` is an absolute path", escape(path))));
    }
    let mut short: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            return Err(escapes(format!("`{}` leads upwards", escape(path))));
        }
        short.push(component(OsStr::new(part))?);
    }
    Ok(short.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_path_is_brought_to_its_shortest_form() {
        for (given, short) in [("a", "a"), ("./a//b/", "a/b"), (".", ""), ("a/./b", "a/b"), ("...", "..."), ("~", "~")]
        {
            assert_eq!(relative(given).unwrap(), short, "{given}");
        }
    }

    #[test]
    fn a_path_that_leaves_is_told_apart_from_one_that_is_none() {
        for path in ["/a", "..", "a/../b", "a/..", "//x"] {
            assert_eq!(relative(path).unwrap_err().kind(), Kind::Escape, "{path}");
        }
        for path in ["", "a\nb", "a\u{1b}[2J", "a\u{202e}b", "a/.artifact-x/b", &"x".repeat(256), &"x/".repeat(3000)] {
            assert_eq!(relative(path).unwrap_err().kind(), Kind::Invalid, "{path}");
        }
    }
}
