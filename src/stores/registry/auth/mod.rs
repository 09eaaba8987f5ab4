//! Proving who asks: credentials and where they come from, challenges, and tokens (distribution-spec, "Authentication"; the
//! token protocol of the distribution project's `token` specification).
//!
//! It asks token services by `http`, and decides which of them may see a secret. Where a request goes and what it asks of a
//! registry is not for here.

pub(super) mod authenticator;
mod authorization;
mod challenge;
pub(super) mod credential_files;
pub(super) mod credentials;
mod docker_auths;
mod helper;
pub(super) mod scope;
mod token;
