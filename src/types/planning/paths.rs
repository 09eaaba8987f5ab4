//! Paths of layers: what is packed can be unpacked.

use crate::{
    error::{Context as _, Error, Result},
    source::relative,
};

/// The shortest form of a relative path: `./a//b/` becomes `a/b`; `.` and the empty path are the destination itself, `.`.
///
/// Errors: kind `Escape` if it is absolute or contains `..`; kind `Invalid` for a name that is not packed
/// either. Limits: 4096 bytes, 255 per component.
pub(in crate::types) fn shortest(path: &str) -> Result<String> {
    let short = if path.is_empty() { String::new() } else { relative(path)? };
    Ok(if short.is_empty() { ".".into() } else { short })
}

/// Checks the title of a planned layer: a relative path in its shortest form.
pub(super) fn checked_title(title: &str) -> Result<()> {
    match shortest(title).context(|| "title")? {
        short if short == "." => Err(Error::invalid(format!("the title `{title}` is not the name of a file"))),
        short if short == title => Ok(()),
        short => Err(Error::invalid(format!("the title `{title}` is not in its shortest form, `{short}`"))),
    }
}
