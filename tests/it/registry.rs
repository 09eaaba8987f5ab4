//! Tests of `registry`: the client against real registries, and against servers that mean harm.

mod addresses;
mod authentication;
mod downloads;
mod early_upload;
mod errors;
mod faults;
mod mirrors;
mod origins;
mod pieces;
mod ranges;
mod redirects;
mod referrers;
mod resuming;
mod scenarios;
mod uploads;

use crate::support::client::{CANARY, blob, canary, carry, guarded, kind, repository, saw_secret};
