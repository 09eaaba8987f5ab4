//! What small files of the benchmarks hold.

/// Text that compresses about as well as source code does, different in every file.
pub(crate) fn text(seed: usize, len: usize) -> Vec<u8> {
    let mut state = seed as u64;
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (word, next) = ((state >> 33) % 3000, (state >> 60) % 8);
        let mark = ["\n", " ", " ", "(", "_", ".", ", ", " = "][next as usize];
        out.extend_from_slice(format!("{word:x}{mark}").as_bytes());
    }
    out.truncate(len);
    out
}
