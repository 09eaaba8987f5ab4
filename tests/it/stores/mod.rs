//! Tests of `stores`: the exam, and what only some of them can do.

mod compressed;
mod directory;
pub(crate) mod exam;
mod foreign;
mod tar;
mod together;

use self::exam::exam;
pub(crate) use self::exam::{Candidate, archive, layout, memory};
use crate::support::samples::Sample;

// A store joins the exam here, with a function of its name that makes a `Candidate` (for a registry, one that also
// keeps the server). Where the server is started asynchronously, it is started on a runtime of its own.
exam!(memory, layout, archive, registry, front);

/// The exam cannot show it: there, whoever holds the session refuses already.
#[tokio::test]
async fn a_session_that_was_given_up_takes_nothing_more_itself() {
    for candidate in [memory, layout, archive, exam::registry, exam::front] {
        let (candidate, sample) = (candidate(), Sample::of(&[b"hello"]));
        let session = candidate.store.begin(sample.intent(&["v1"])).await.unwrap();
        let (desc, bytes) = &sample.manifests[0];
        session.abandon().await;
        let error = session.manifest(desc, bytes).await.unwrap_err();
        assert_eq!(error.to_string(), "the session has already ended", "{candidate:?}");
    }
}
