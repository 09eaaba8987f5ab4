//! The longest request body that a registry accepts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Largest chunk, in bytes.
const LARGEST: u64 = 64 << 20;
/// Smallest chunk, in bytes, except for the last: a registry with a lower limit cannot store useful blobs.
const SMALLEST: u64 = 5 << 20;

/// The longest accepted body, as far as known; shared by all pushes to a registry.
pub(super) struct MaxBody(AtomicU64);

impl Default for MaxBody {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl MaxBody {
    /// In bytes.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Records that a body of this length was refused in an upload with this smallest chunk; `false` if shorter ones
    /// make no sense.
    pub(super) fn refuse(&self, length: u64, smallest: u64) -> bool {
        self.0.fetch_min(length.div_ceil(2).clamp(SMALLEST, LARGEST), Ordering::Relaxed);
        length > SMALLEST.max(smallest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_halved_down_to_five_mebibytes_or_what_the_registry_takes() {
        let (max_body, mut length, mut lengths) = (MaxBody::default(), 1 << 30, Vec::new());
        while max_body.refuse(length, 0) {
            length = max_body.get();
            lengths.push(length >> 20);
        }
        assert_eq!(lengths, [64, 32, 16, 8, 5]);
        assert!(!max_body.refuse(6 << 20, 6 << 20));
    }
}
