//! Fault injection for registries: faults and the requests that they affect, as data.
//!
//! For authors and users of clients. The registry is a real one and processes all unaffected requests correctly:
//! [`Faults::around`] wraps an [`App`](crate::serve::App). The language is YAML:
//!
//! ```yaml
//! faults:
//!   - on: GET blob                    # the first download of a blob
//!     lose: {what: answer, after: 1500000, by: reset}
//!   - on: GET|HEAD manifest
//!     nth: 1-3
//!     refuse: {status: 429, headers: {Retry-After: "2"}}
//!   - on: PUT|PATCH upload            # a proxy that accepts at most ten mebibytes at once
//!     nth: all
//!     longer: 10485760
//!     refuse: {status: 413, early: true}
//! tokens: 3                           # every token can be used three times
//! ```
//!
//! [`Fault`] documents the keys. All matching faults apply to a request: each changes headers; of those that answer it
//! or lose its connection, the first one wins. A [`Scenario`] adds the required behaviour of a client.
//!
//! Nothing here depends on a registry's answers, except for the paths in patterns.

mod body_limit;
mod connection;
mod faults;
mod faulty;
mod injection;
mod language;
mod loss;
mod pattern;
mod record;
mod response;
mod rule;
mod scenario;
mod tokens;

pub use self::{
    faults::Faults,
    language::{Change, Fault, Loss, Means, Refusal, Seconds, What},
    pattern::{Nth, Pattern},
    record::Seen,
    scenario::{Client, End, Must, Operation, Sample, Scenario},
};
