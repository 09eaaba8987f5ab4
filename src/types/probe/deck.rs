//! Markdown decks as documents.

use serde_json::Value as Json;

use crate::{
    error::{Error, Kind, Result},
    source::{DECK_LIMIT, Deck, Source, relative},
};

/// Reads a deck, and checks which of its linked files exist.
pub(in crate::types) fn read(path: &str, source: &Source) -> Result<Json> {
    let deck: Deck = source.deck(path, DECK_LIMIT)?;
    let (mut local, mut missing, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for link in &deck.local_links {
        match relative(link).and_then(|short| source.resolve(&short)) {
            Ok(member) => local.push(member.path),
            Err(e) if e.kind() == Kind::Escape => outside.push(link.clone()),
            Err(e) if matches!(e.kind(), Kind::NotFound | Kind::Invalid) => missing.push(link.clone()),
            Err(e) => return Err(e),
        }
    }
    let theme_file = deck.theme.as_ref().filter(|theme| theme.contains('.') && !theme.contains("://"));
    let theme_file = match theme_file.map(|theme| (theme, relative(theme).and_then(|short| source.resolve(&short)))) {
        Some((_, Ok(member))) => Some(member.path),
        Some((theme, Err(e))) if e.kind() == Kind::Escape => {
            outside.push(theme.clone());
            None
        }
        _ => None,
    };
    let broken = |e| Error::caused(Kind::Internal, "cannot encode a deck", e);
    let mut value = serde_json::to_value(&deck).map_err(broken)?;
    if let Some(map) = value.as_object_mut() {
        for (key, links) in [("localLinks", local), ("missingLinks", missing), ("outsideLinks", outside)] {
            map.insert(key.into(), links.into());
        }
        map.insert("themeFile".into(), theme_file.into());
    }
    Ok(value)
}
