//! How many bytes an artifact may become.

use std::cell::Cell;

use crate::{
    error::{Code, Error, Result},
    tarball::decompress::allowance,
};

/// The bytes that an artifact may become, all its blobs together: one blob can be used many times, and many archives can
/// each stay below a limit of their own.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    /// The size of the blobs in bytes.
    blobs: u64,
    left: Cell<u64>,
}

impl Budget {
    /// This limit, or the default for blobs of this size.
    pub(super) fn new(limit: Option<u64>, blobs: u64) -> Self {
        let limit = limit.unwrap_or_else(|| allowance(blobs));
        Self { limit, blobs, left: Cell::new(limit) }
    }

    /// Counts bytes. Errors: kind `Limit`.
    pub(super) fn take(&self, bytes: usize) -> Result<()> {
        let Some(left) = self.left.get().checked_sub(bytes as u64) else {
            let Self { limit, blobs, .. } = self;
            let message =
                format!("the artifact expands to more than {limit} bytes, the limit for {blobs} bytes of blobs");
            return Err(Error::limit(message).with_code(Code::ExpandsTooFar));
        };
        self.left.set(left);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_for_all_together() {
        let budget = Budget::new(Some(10), 3);
        budget.take(6).unwrap();
        budget.take(4).unwrap();
        let error = budget.take(1).unwrap_err().to_string();
        assert_eq!(error, "the artifact expands to more than 10 bytes, the limit for 3 bytes of blobs");
    }

    #[test]
    fn without_a_limit_it_is_100_times_the_blobs_and_at_least_a_gibibyte() {
        assert_eq!(Budget::new(None, 1 << 20).limit, 1 << 30);
        assert_eq!(Budget::new(None, 1 << 30).limit, 100 << 30);
    }
}
