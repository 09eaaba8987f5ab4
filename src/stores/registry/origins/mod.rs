//! Where a registry may send us, and what may be shown of it: origins, which of them may receive credentials, which names
//! and addresses belong together, what is known about single registries, and what a message must not repeat.
//!
//! Rules over values: nothing here opens a connection, sends a request, or knows what one is for.

pub(super) mod address_scope;
pub(super) mod origin;
pub(super) mod quirks;
pub(super) mod redact;
mod registrable_domain;
