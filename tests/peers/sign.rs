//! Signatures together with other programs that verify them, and on registries of others.

mod openssl;
mod packages;
mod travel;
mod vectors;

use std::sync::Arc;

use artifact::{
    copy,
    store::{Name, ReadStore, Store},
};

use crate::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    [openssl::tests(), packages::tests(), travel::tests(), vectors::tests()].into_iter().flatten().collect()
}

/// Copies an artifact with all that refers to it, and its companions.
async fn carry(from: &Arc<dyn ReadStore>, name: &Name, to: &Arc<dyn Store>, as_name: &str) -> artifact::Result<()> {
    let names = vec![as_name.parse().unwrap()];
    let options = copy::Options { names, referrers: true, ..copy::Options::default() };
    copy::between(from, name, to, &options).await.map(drop)
}
