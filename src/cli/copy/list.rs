//! The sources and destinations of a copy of many artifacts: list files, and whole registries.

use std::{fmt, io, path::Path, str::FromStr};

use artifact::{
    Error, Result,
    error::Context as _,
    fs,
    location::{Location, ReadLocation},
    oci::RegistryName,
};

use super::super::session::is_on_disk;

/// Size limit of a list, in bytes.
const MAX_LIST: u64 = 4 << 20;

/// A source or destination: a location, for many artifacts a whole registry, or for one source a range of versions.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Registry(RegistryName),
    At(Location),
    Newest(ReadLocation),
}

impl End {
    /// The location. Errors: it is a whole registry, or a range of versions.
    pub(super) fn location(&self) -> Result<Location> {
        match self {
            Self::Registry(registry) => registry.parse(),
            Self::At(location) => Ok(location.clone()),
            Self::Newest(wanted) => wanted.to_string().parse(),
        }
    }

    /// The location to read from. Errors: it is a whole registry.
    pub(super) fn source(&self) -> Result<ReadLocation> {
        match self {
            Self::Newest(wanted) => Ok(wanted.clone()),
            other => other.location().map(Into::into),
        }
    }

    /// Errors: it is a range of versions, which could become a destination or many artifacts.
    pub(super) fn refuse_range(&self) -> Result<()> {
        match self {
            Self::Newest(wanted) => Err(Error::misuse(format!(
                "`{wanted}` ends in a range of versions, which only the FROM of one artifact may have"
            ))),
            Self::Registry(_) | Self::At(_) => Ok(()),
        }
    }
}

impl FromStr for End {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(ReadLocation { location, range: None }) => Ok(Self::At(location)),
            Ok(wanted) => Ok(Self::Newest(wanted)),
            // A word that could also be a file name is more likely a path without its `./`.
            Err(e) if is_on_disk(text) || text.ends_with(".tar") || !RegistryName::is_meant_by(text) => Err(e),
            Err(e) => text.parse().map(Self::Registry).map_err(|_| e),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => registry.fmt(f),
            Self::At(location) => location.fmt(f),
            Self::Newest(wanted) => wanted.fmt(f),
        }
    }
}

/// A line of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ListLine {
    pub(super) from: ReadLocation,
    pub(super) to: Option<Location>,
}

/// Reads a list; `-` is stdin. Errors name every invalid line.
pub(super) fn read_list(path: &Path) -> Result<Vec<ListLine>> {
    if path != Path::new("-") {
        let text = fs::read_text(path, MAX_LIST).map_err(|e| Error::invalid(e.to_string()))?;
        return parse_list(&text).context(|| format!("`{}`", path.display()));
    }
    let bytes = fs::up_to(io::stdin(), MAX_LIST).context(|| "cannot read the list from stdin")?;
    let bytes = bytes.ok_or_else(|| Error::limit(format!("the list on stdin is larger than {MAX_LIST} bytes")))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid("the list on stdin is not UTF-8"))?;
    parse_list(&text).context(|| "the list on stdin")
}

fn parse_list(text: &str) -> Result<Vec<ListLine>> {
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for (at, text) in text.lines().enumerate() {
        match line(text) {
            Ok(line) => lines.extend(line),
            Err(e) => wrong.push(format!("line {}: {e}", at.saturating_add(1))),
        }
    }
    match (wrong.is_empty(), lines.is_empty()) {
        (false, _) => Err(Error::misuse(wrong.join("; "))),
        (true, true) => Err(Error::misuse("no line names an artifact")),
        (true, false) => Ok(lines),
    }
}

/// Parses `FROM` or `FROM -> TO`; a `#` at the start of a word begins a comment.
fn line(text: &str) -> Result<Option<ListLine>> {
    let comment = text.char_indices().find(|(at, c)| {
        let before = text.get(..*at).unwrap_or_default();
        *c == '#' && before.chars().next_back().is_none_or(char::is_whitespace)
    });
    let text = comment.map_or(text, |(at, _)| text.get(..at).unwrap_or_default()).trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (from, to) = match text.split_once("->") {
        Some((from, to)) => (from.trim(), Some(to.trim())),
        None => (text, None),
    };
    Ok(Some(ListLine { from: from.parse()?, to: to.map(str::parse).transpose()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_sources_and_destinations_comments_and_empty_lines() {
        let text = "# images\n\n ghcr.io/a/b:v1 \nghcr.io/a/c:v1 ->  oci:dir:c # the third\r\n\toci:x#y:v1->localhost:5000/z\n";
        let lines: Vec<String> =
            parse_list(text).unwrap().iter().map(|line| format!("{:?}", line_text(line))).collect();
        let expected = [
            r#"("ghcr.io/a/b:v1", None)"#,
            r#"("ghcr.io/a/c:v1", Some("oci:dir:c"))"#,
            r#"("oci:x#y:v1", Some("localhost:5000/z"))"#,
        ];
        assert_eq!(lines, expected);
    }

    fn line_text(line: &ListLine) -> (String, Option<String>) {
        (line.from.to_string(), line.to.as_ref().map(ToString::to_string))
    }

    #[test]
    fn all_lines_that_are_wrong_are_named() {
        let error = parse_list("ghcr.io/a:v1\nnginx\n\nghcr.io/b ->\n").unwrap_err().to_string();
        assert!(error.contains("line 2: ") && error.contains("line 4: ") && !error.contains("line 1: "), "{error}");
        assert!(parse_list("# nothing\n").unwrap_err().to_string().contains("no line"));
    }

    #[test]
    fn a_bare_host_is_a_registry_and_a_bare_file_is_not() {
        assert!(matches!("localhost:5000".parse(), Ok(End::Registry(_))));
        assert!(matches!("ghcr.io".parse(), Ok(End::Registry(_))));
        assert!(matches!("oci:5000".parse(), Ok(End::At(_))));
        assert!(matches!("ghcr.io/a".parse(), Ok(End::At(_))));
        for bad in ["shop.tar", "shop", ""] {
            assert!(bad.parse::<End>().is_err(), "{bad}");
        }
    }
}
