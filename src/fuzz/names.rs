//! Names: locations, references, digests, platforms, files.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use crate::{
    fs::{fold, name_fault},
    location::Location,
    oci::{Digest, DigestPrefix, Platform, RefName, Reference, RegistryName, RepositoryName, Tag, without_userinfo},
    store::Name,
};

/// Every grammar of names. What is accepted is shown as text that is read as the same.
pub(super) fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    shown_and_read::<Location>(text);
    shown_and_read::<Reference>(text);
    shown_and_read::<RegistryName>(text);
    shown_and_read::<RepositoryName>(text);
    shown_and_read::<RefName>(text);
    shown_and_read::<Tag>(text);
    shown_and_read::<Digest>(text);
    shown_and_read::<DigestPrefix>(text);
    shown_and_read::<Platform>(text);
    shown_and_read::<Name>(text);
    let shown = without_userinfo(text);
    assert_eq!(without_userinfo(&shown), shown);
}

fn shown_and_read<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    let Ok(first) = text.parse::<T>() else { return };
    let shown = first.to_string();
    let second = shown.parse::<T>().ok();
    assert_eq!(second.as_ref(), Some(&first), "{text:?} is shown as {shown:?}");
    assert_eq!(second.map(|second| second.to_string()), Some(shown));
}

/// The name of a file: without a fault, it is one component, none of ours, and shows no other order of characters.
pub(super) fn file_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let form = fold(text);
    assert_eq!(fold(&form), form, "a form is its own form");
    if name_fault(text).is_none() {
        assert!(!text.contains(['/', '\0']) && !text.contains(char::is_control));
        assert!(!matches!(text, "" | "." | "..") && !form.starts_with(".artifact-"));
        let hides = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(hides));
    }
}
