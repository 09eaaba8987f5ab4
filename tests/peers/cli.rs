//! The command line with what openssl makes, and on a terminal.

mod access;
mod progress;

use crate::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    [access::tests(), progress::tests()].into_iter().flatten().collect()
}
