//! One test binary: one file per room, the instruments in `support`.

mod support;

mod architecture;
mod check;
mod cli;
mod conformance;
mod copy;
mod examples;
mod pack;
mod registry;
mod serve;
mod source;
mod stores;
mod types;
mod unpack;
