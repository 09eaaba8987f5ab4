//! Blocking file operations, off the async threads.

use crate::error::{Error, Kind, Result};

/// Runs file operations on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::caused(Kind::Internal, "file operation aborted", e))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_outcome_of_blocking_work_is_its_own_and_a_panic_is_an_error() {
        assert_eq!(blocking(|| Ok(7)).await.unwrap(), 7);
        assert_eq!(blocking::<()>(|| Err(Error::invalid("no"))).await.unwrap_err().kind(), Kind::Invalid);
        assert_eq!(blocking::<()>(|| panic!("on purpose")).await.unwrap_err().kind(), Kind::Internal);
    }
}
