//! Content and its role in a store.

use crate::oci::{Descriptor, Role};

/// Content and its role. One digest may have both roles: a manifest that is a layer of another artifact is also a blob,
/// and a registry keeps the two apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Type, digest and size.
    pub desc: Descriptor,
    /// Blob or manifest.
    pub role: Role,
}

impl Item {
    /// Content in the role of a blob.
    #[must_use]
    pub fn blob(desc: Descriptor) -> Self {
        Self { desc, role: Role::Blob }
    }

    /// Content in the role of a manifest.
    #[must_use]
    pub fn manifest(desc: Descriptor) -> Self {
        Self { desc, role: Role::Manifest }
    }
}

/// Presence of content in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Present, with this size in bytes.
    Here {
        /// Size of the content in bytes.
        size: u64,
    },
    /// Not present.
    Absent,
    /// Not queried, or the query was refused.
    Unknown,
}

impl Presence {
    /// Present, with this size in bytes.
    #[must_use]
    pub fn here(size: u64) -> Self {
        Self::Here { size }
    }

    /// True if present with the described size.
    #[must_use]
    pub fn fits(self, desc: &Descriptor) -> bool {
        self == Self::Here { size: desc.size }
    }
}
