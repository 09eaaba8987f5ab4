//! Tests of `examples`.
