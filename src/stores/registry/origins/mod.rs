//! Trust between hosts: origins, which of them may receive credentials, names and addresses that belong together,
//! quirks of single registries, and the redaction of messages.
//!
//! Pure rules over values: nothing here opens a connection or sends a request.

pub(super) mod address;
pub(super) mod address_scope;
pub(super) mod origin;
pub(super) mod quirks;
pub(super) mod redact;
mod registrable_domain;
