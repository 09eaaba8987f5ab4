//! Reading input that no user named: configuration files and the output of programs.

#[cfg(feature = "registry")]
use std::io;
use std::path::Path;

#[cfg(feature = "registry")]
use tokio::io::{AsyncRead, AsyncReadExt as _};

#[cfg(feature = "registry")]
use super::read::within;
use super::read::{all, open_regular};
use crate::error::Result;

/// The bytes of a configured or discovered regular file; anything else is refused and never waited for.
pub(crate) fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    all(open_regular(path)?.0, path, limit)
}

/// All bytes of an asynchronous reader; `None` if they exceed `limit`.
#[cfg(feature = "registry")]
pub(crate) async fn up_to_async(from: impl AsyncRead + Unpin, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes).await?;
    Ok(within(bytes, limit))
}

#[cfg(test)]
mod tests {
    use super::{super::read_text, *};
    use crate::error::Kind;

    #[tokio::test]
    async fn as_many_bytes_as_are_allowed_are_waited_for_and_not_one_more() {
        for (len, fits) in [(0, true), (3, true), (4, false)] {
            let bytes = vec![7; len];
            let expected = fits.then(|| bytes.clone());
            assert_eq!(up_to_async(&bytes[..], 3).await.unwrap(), expected, "{len}");
        }
    }

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
