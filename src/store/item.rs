//! Content and what it is in a store.

use crate::oci::{Descriptor, Role};

/// Content and what it is here. One digest may have both roles: a manifest that is a layer of another artifact is also
/// a blob, and a registry keeps the two apart.
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

/// Whether content is in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is here and has this size in bytes.
    Here {
        /// How many bytes are here.
        size: u64,
    },
    /// It is not here.
    Absent,
    /// Not asked, or the question was refused.
    Unknown,
}

impl Presence {
    /// Here, with so many bytes.
    #[must_use]
    pub fn here(size: u64) -> Self {
        Self::Here { size }
    }

    /// Here, with the size that it is described with.
    #[must_use]
    pub fn fits(self, desc: &Descriptor) -> bool {
        self == Self::Here { size: desc.size }
    }
}
