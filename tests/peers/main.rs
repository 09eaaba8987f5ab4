//! Tests together with programs of others, in a binary of their own: here a test whose program is missing shows as
//! ignored, and why, which the standard harness cannot decide when it runs. The instruments are those of `tests/it`.
// As there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod harness;
#[path = "../it/support/mod.rs"]
mod support;

mod cli;
mod conformance;
mod costs;
mod examples;
mod ignore;
mod pack;
mod registry;
mod serve;
mod sign;
mod stores;
mod torture;
mod types;
mod unpack;

fn main() -> std::process::ExitCode {
    let tests = [
        cli::tests(),
        conformance::tests(),
        costs::tests(),
        examples::tests(),
        ignore::tests(),
        pack::tests(),
        registry::tests(),
        serve::tests(),
        sign::tests(),
        stores::tests(),
        torture::tests(),
        types::tests(),
        unpack::tests(),
    ];
    harness::run(tests.into_iter().flatten().collect())
}
