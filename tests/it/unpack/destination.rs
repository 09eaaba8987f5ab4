//! Placeholder

