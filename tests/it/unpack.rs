//! Tests of `unpack`: what it writes, what it refuses, and that it then leaves no trace.

mod compression;
mod destination;
mod hostile;

use crate::support::{
    tree,
    unpacking::{Job, World, extract, extract_checked},
};
