//! Tests of `unpack` together with other programs.

mod compression;
mod destination;
mod peers;

use crate::{
    harness::Test,
    support::{
        tree,
        unpacking::{Job, World},
    },
};

pub(crate) fn tests() -> Vec<Test> {
    [compression::tests(), destination::tests(), peers::tests()].into_iter().flatten().collect()
}
