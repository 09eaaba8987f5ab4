//! Locations as other programs write them: read where they mean a registry, else refused with the right spelling.

use std::{fs, path::Path};

use super::split;
use crate::{
    error::{Error, Result},
    stores::is_named_compressed,
};

/// Prefixes of other programs that are no locations here, and what to write instead.
const OTHERS: [(&str, &str); 9] = [
    ("oci-layout://", "write `oci:DIR`"),
    ("oci-layout:", "write `oci:DIR`"),
    ("ocidir://", "write `oci:DIR`"),
    ("file://", "write `./PATH`, `/PATH` or `oci:DIR`"),
    (
        "docker-archive:",
        "Docker archives are not read yet; `skopeo copy docker-archive:FILE oci:DIR` makes a layout of one",
    ),
    ("docker-daemon:", "the Docker daemon is not read yet; `skopeo copy docker-daemon:NAME oci:DIR` makes a layout"),
    ("containers-storage:", "it is not read yet; `skopeo copy containers-storage:NAME oci:DIR` makes a layout"),
    ("dir:", "skopeo's directories are not read yet; `skopeo copy dir:DIR oci:DIR` makes a layout of one"),
    ("tarball:", "write `oci-archive:FILE`"),
];

/// What of a text names a repository in a registry as Helm, Flux (`oci://`) and skopeo (`docker://`) write it; `None` for
/// a text without such a scheme.
///
/// Errors: the prefix of another kind of store.
pub(super) fn registry_url(text: &str) -> Result<Option<&str>> {
    if let Some(rest) = ["oci://", "docker://"].into_iter().find_map(|scheme| text.strip_prefix(scheme)) {
        return Ok(Some(rest));
    }
    // `dir:5000/a` is a registry's port.
    let port = |rest: &str| rest.split_once('/').is_some_and(|(port, _)| port.parse::<u16>().is_ok());
    match OTHERS.into_iter().find(|(prefix, _)| text.strip_prefix(prefix).is_some_and(|rest| !port(rest))) {
        Some((prefix, advice)) => Err(Error::misuse(format!("`{prefix}` is not a location: {advice}"))),
        None => Ok(None),
    }
}

/// How a text is written that names a directory or a file and is taken for a name in a registry: `./shop.tar:v1`.
pub(super) fn local_path(text: &str) -> Option<String> {
    let path = Path::new(split(text).0);
    let is_archive = path.extension().is_some_and(|end| end == "tar") || is_named_compressed(path);
    match fs::metadata(path).ok()? {
        found if found.is_dir() || (found.is_file() && is_archive) => Some(format!("./{text}")),
        found => found.is_file().then(|| format!("oci-archive:{text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Kind, location::Location};

    #[test]
    fn a_registry_may_have_the_scheme_of_other_programs() {
        for scheme in ["oci://", "docker://"] {
            for text in ["localhost:5000/a/b:v1", "ghcr.io/a/b", "[::1]:5000/a:v1"] {
                assert_eq!(format!("{scheme}{text}").parse::<Location>().unwrap().to_string(), text);
            }
            for bad in ["", "dir", "//host/a", "/a/b", "./x", "host/a b"] {
                assert!(format!("{scheme}{bad}").parse::<Location>().is_err(), "{scheme}{bad}");
            }
        }
    }

    #[test]
    fn a_word_that_is_on_the_disk_is_told_as_it_is_written() {
        let whole = format!("Cargo.toml@{}", crate::oci::Digest::of(b""));
        for (text, meant) in [
            ("src", Some("./src")),
            ("src:v1", Some("./src:v1")),
            ("Cargo.toml", Some("oci-archive:Cargo.toml")),
            (&whole, Some(format!("oci-archive:{whole}").as_str())),
            ("nothing", None),
        ] {
            assert_eq!(local_path(text).as_deref(), meant, "{text}");
        }
        let error = "src/location".parse::<Location>().unwrap_err().to_string();
        assert!(error.ends_with("; did you mean `./src/location`"), "{error}");
    }

    #[test]
    fn a_registry_may_be_called_as_a_prefix_of_another_store_is() {
        assert!("dir:5000/a:v1".parse::<Location>().is_ok());
    }

    #[test]
    fn the_prefix_of_another_store_is_refused_with_what_to_write() {
        for (prefix, _) in OTHERS {
            let error = format!("{prefix}x:v1").parse::<Location>().unwrap_err();
            let text = error.to_string();
            assert!(
                error.kind() == Kind::Misuse
                    && text.contains(prefix)
                    && (text.contains("rite `") || text.contains("skopeo copy")),
                "{text}"
            );
        }
    }
}
