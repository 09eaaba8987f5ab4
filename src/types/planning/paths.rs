//! Paths of layers: a path that could not be unpacked is not packed.

use crate::error::{Error, Kind, Result};

/// Checks a relative path, which must stay below its base on every system: no empty, `.` or `..` component, no drive
/// letter, no separator but `/`, no character that controls a terminal. Limits: 4096 bytes, 255 per component.
pub(in crate::types) fn checked_path(path: &str) -> Result<String> {
    let shown: String = path.chars().take(100).collect();
    let component = |c: &str| !matches!(c, "" | "." | "..") && c.len() <= 255 && c.trim() == c;
    let drive = path.as_bytes().get(1) == Some(&b':');
    let harmful = |c: char| {
        c.is_control() || c == '\\' || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    if path.starts_with('/') || path.split('/').any(|c| c == "..") || drive || path.contains('\\') {
        return Err(Error::new(Kind::Escape, format!("`{shown}` is outside the destination")));
    }
    if path.len() > 4096 || !path.split('/').all(component) || path.chars().any(harmful) {
        return Err(Error::invalid(format!("`{shown}` is not a valid file name")));
    }
    Ok(path.into())
}
