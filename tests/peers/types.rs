//! Tests of `types` together with oras.

mod peers;

pub(crate) use self::peers::tests;
use crate::support::typed::{packed, plan_with, set, tree};
