//! Reading files that no user named, such as configuration.

use std::path::Path;

use super::read::{all, open_regular};
use crate::error::Result;

/// The bytes of a configured or discovered regular file; anything else is refused and never waited for.
pub(crate) fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    all(open_regular(path)?.0, path, limit)
}

#[cfg(test)]
mod tests {
    use super::{super::read_text, *};
    use crate::error::Kind;

    #[test]
    fn a_regular_file_over_the_limit_is_an_error_that_names_it_and_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "abc").unwrap();
        let error = read_regular(&path, 2).unwrap_err();
        assert_eq!(error.kind(), Kind::Limit);
        assert!(error.to_string().ends_with("notes.txt` is larger than 2 bytes, the maximum"), "{error}");
    }

    #[test]
    fn a_pipe_is_read_where_a_user_names_it_and_refused_without_waiting_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mode = rustix::fs::Mode::from_bits_truncate(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(read_regular(&path, 9).unwrap_err().kind(), Kind::Invalid);
        let (other, text) = (path.clone(), "piped");
        let writer = std::thread::spawn(move || std::fs::write(other, text));
        assert_eq!(read_text(&path, 9).unwrap(), text);
        writer.join().unwrap().unwrap();
    }
}
