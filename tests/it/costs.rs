//! What every command costs, exactly: requests, bytes on the line, bytes hashed. A figure changes with a reason or not at
//! all. What is read, synced and renamed is counted by strace, in `tests/peers/costs.rs`.
//!
//! Nothing here depends on how many blobs move at a time or on how fast: where a figure would, a comment says what is
//! asserted instead.

mod early;
mod hashing;
mod requests;
mod traffic;
