//! The command line with what openssl makes, on a terminal, and in bash.

mod access;
mod completions;
mod progress;

use crate::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    [access::tests(), completions::tests(), progress::tests()].into_iter().flatten().collect()
}
