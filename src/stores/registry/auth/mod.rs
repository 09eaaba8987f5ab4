//! Authentication: credentials and their sources, challenges, and tokens (distribution-spec, "Authentication"; the
//! token protocol of the distribution project's `token` specification).
//!
//! This module sends requests to token services with `http`, and decides which of them are trusted with a secret. The
//! targets and content of requests to a registry are left to other modules.

pub(super) mod authenticator;
mod authorization;
pub(super) mod challenge;
pub(super) mod credential_files;
pub(super) mod credentials;
mod docker_auths;
mod helper;
pub(super) mod scope;
mod token;
