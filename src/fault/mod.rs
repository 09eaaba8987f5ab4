//! A registry on a bad day: what goes wrong with which of its requests, as data.
//!
//! An instrument for those who write or choose a client. The registry behind it is a real one, and does what it should
//! with every request that no fault is about: [`Faults::around`] makes an [`App`](crate::serve::App) of another app. The
//! language is YAML:
//!
//! ```yaml
//! faults:
//!   - on: GET blob                    # the first download of a blob
//!     lose: {what: answer, after: 1500000, by: reset}
//!   - on: GET|HEAD manifest
//!     nth: 1-3
//!     refuse: {status: 429, headers: {Retry-After: "2"}}
//!   - on: PUT|PATCH upload            # a proxy that takes no more than ten mebibytes at once
//!     nth: all
//!     longer: 10485760
//!     refuse: {status: 413, early: true}
//! tokens: 3                           # every token can be used three times
//! ```
//!
//! [`Fault`] lists the keys. All faults that are about a request happen to it: headers are changed by each, and of those
//! that answer it or lose its connection the first counts. A [`Scenario`] adds what a client must make of it.
//!
//! Nothing here knows what a registry answers, except for the paths that patterns name.

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
