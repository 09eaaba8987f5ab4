//! One test binary: one file per room, the instruments in `support`.
// Clippy allows these in test functions only, and not in the functions that they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

mod architecture;
mod check;
mod cli;
mod context;
mod copy;
mod costs;
mod dependencies;
mod describe;
mod digests;
mod examples;
mod fuzz;
mod limits;
mod pack;
mod progress;
mod readme;
mod registry;
mod serve;
mod sign;
mod source;
mod stores;
mod tree;
mod types;
mod unpack;
mod verbs;
