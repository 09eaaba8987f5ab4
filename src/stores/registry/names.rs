//! The grammar of names: repositories and tags.

/// The grammar of `<reference>` as a tag (distribution-spec, "Pulling manifests").
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=128).contains(&text.len()) && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// The grammar of `<name>` (distribution-spec, "Pulling manifests"): components of lower-case letters and digits, with
/// `.`, `_`, `__` or any number of `-` between them; at most 255 characters.
pub(crate) fn is_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(alphanumeric).filter(|s| !s.is_empty());
    part.starts_with(alphanumeric) && part.ends_with(alphanumeric) && { separators }
        .all(|s| matches!(s, "." | "_" | "__") || s.chars().all(|c| c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H19.
    #[test]
    fn repositories_and_tags_are_those_of_the_specification() {
        for good in ["a", "a/b", "a.b/c_d/e__f/g--h", "library/x1"] {
            assert!(is_repository(good), "{good}");
        }
        let long = "a/".repeat(128) + "a";
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "A", "a_", "-a", "a___b", "a._b", "a%2fb", "a b", &long] {
            assert!(!is_repository(bad), "{bad}");
        }
        for good in ["v1", "_x", "1.0-rc.1_a", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", "-x", ".x", "a b", "a/b", "a:b", "ä", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}
