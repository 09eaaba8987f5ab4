//! Probes of a source: detection rules, and decks of slides.
//!
//! Probes read small parts of a source, within limits. Planning is elsewhere.

pub(super) mod deck;
pub(super) mod detect;
