//! What is looked into to know what a source is and what it says: the rules of detection, and decks of slides.
//!
//! It reads a little of a source, within limits. What is planned from what it finds is not for here.

pub(super) mod deck;
pub(super) mod detect;
