//! The exam: the required behaviours of every store. Feature `exam`.
//!
//! A store runs it in its own tests. For each behaviour, create a [`Candidate`], an empty store, and test it with
//! [`Behaviour::run`]. A violation is a panic, as in any test. If a behaviour does not apply to a store, by its
//! [`crate::store::Abilities`], the [`Outcome`] has the reason.
//!
//! ```
//! use std::sync::Arc;
//! use artifact::{exam::{BEHAVIOURS, Candidate}, stores::Memory};
//!
//! # #[tokio::main]
//! # async fn main() {
//! for behaviour in BEHAVIOURS {
//!     let memory = Memory::new();
//!     let candidate = Candidate::new(Arc::new(memory.clone()), move || Arc::new(memory.clone()));
//!     println!("{}: {}", behaviour.name, behaviour.run(candidate).await);
//! }
//! # }
//! ```
//!
//! It needs a tokio runtime with several threads.

// A violation is a panic, and so is a failure to create a sample.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

mod contents;
mod failing;
mod names;
mod questions;
mod referrers;
pub mod samples;
mod sessions;
mod uploads;

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use crate::store::{ReadStore, Store};

/// A store for the exam, initially empty.
pub struct Candidate {
    /// The handle for writes.
    pub store: Arc<dyn Store>,
    open: Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>,
    local: bool,
    _kept: Box<dyn Send + Sync>,
}

impl Candidate {
    /// A candidate from a store and a function that opens another handle for the same content, as another process
    /// would.
    pub fn new(store: Arc<dyn Store>, open: impl Fn() -> Arc<dyn Store> + Send + Sync + 'static) -> Self {
        Self { store, open: Box::new(open), local: false, _kept: Box::new(()) }
    }

    /// Declares that the content is in local files, which can be read in place: [`ReadStore::local`].
    #[must_use]
    pub fn in_local_files(self) -> Self {
        Self { local: true, ..self }
    }

    /// Adds a value that must live as long as the store: a directory, a server.
    #[must_use]
    pub fn keeping(self, kept: impl Send + Sync + 'static) -> Self {
        Self { _kept: Box::new(kept), ..self }
    }

    /// Opens another handle for the same content.
    #[must_use]
    pub fn open(&self) -> Arc<dyn Store> {
        (self.open)()
    }

    /// Opens another handle for reading.
    #[must_use]
    pub fn again(&self) -> Arc<dyn ReadStore> {
        self.open()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.store)
    }
}

/// A required behaviour of a store.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// Name, a sentence with `_` between the words.
    pub name: &'static str,
    run: fn(Candidate) -> BoxFuture<'static, Outcome>,
}

impl Behaviour {
    /// Tests a store.
    ///
    /// # Panics
    ///
    /// The store violates the behaviour.
    #[must_use]
    pub fn run(&self, candidate: Candidate) -> BoxFuture<'static, Outcome> {
        (self.run)(candidate)
    }
}

/// The outcome of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Passed completely.
    Passed,
    /// Passed except for a part that does not apply to this store, by its abilities.
    InPart(&'static str),
    /// Does not apply to this store, by its abilities.
    DoesNotApply(&'static str),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::InPart(why) => write!(f, "passed in part: {why}"),
            Self::DoesNotApply(why) => write!(f, "does not apply: {why}"),
        }
    }
}

/// The outcome of a behaviour that applies to every store.
impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::Passed
    }
}

async fn outcome(shown: impl Future<Output = impl Into<Outcome>>) -> Outcome {
    shown.await.into()
}

macro_rules! behaviours {
    ($($module:ident: $($name:ident)+);+) => {
        &[$($(
            Behaviour { name: stringify!($name), run: |candidate| Box::pin(outcome($module::$name(candidate))) },
        )+)+]
    };
}

/// All behaviours of the exam.
pub const BEHAVIOURS: &[Behaviour] = behaviours! {
    contents:
        what_is_delivered_is_there_for_every_reader
        content_is_read_from_any_offset
        the_size_of_content_is_known_by_digest
        a_local_slice_holds_the_content
        what_is_not_there_is_not_found
        a_blob_is_not_resolved_as_a_manifest
        wrong_content_is_refused_and_leaves_nothing
        a_stream_that_breaks_leaves_nothing_and_the_next_attempt_succeeds
        pushing_twice_is_fine
        one_blob_pushed_by_many_at_once_is_one_blob
        nothing_is_content_too
        sha512_works_from_end_to_end;
    names:
        a_manifest_is_found_by_tag_and_by_digest
        a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest
        tags_are_sorted_and_each_is_listed_once
        names_in_parts_are_all_names_in_order
        a_tag_moves_and_its_old_manifest_stays
        a_tag_is_set_on_what_is_there_and_on_nothing_else
        a_handle_after_a_failed_copy_is_as_good_as_a_new_one
        a_tag_is_removed_and_its_manifest_stays
        a_deleted_manifest_takes_its_tags_along
        one_manifest_is_published_under_several_tags
        a_tag_that_cannot_be_stored_is_an_error
        many_tags_in_one_copy_are_all_there;
    referrers:
        referrers_are_listed_by_subject_with_type_and_annotations
        a_referrer_stays_one_when_its_tag_moves_or_goes
        a_deleted_referrer_is_no_longer_listed
        a_referrer_may_come_before_its_subject;
    uploads:
        content_of_unknown_digest_is_uploaded_in_pieces
        an_upload_of_other_content_than_promised_leaves_nothing
        a_stream_that_is_dropped_leaves_nothing;
    sessions:
        nothing_shows_before_a_commit_and_all_of_it_afterwards
        a_commit_that_was_left_alone_may_be_asked_for_again
        a_handle_is_as_good_as_new_after_a_session_that_failed
        a_handle_is_as_good_as_new_after_a_session_that_was_dropped
        a_handle_is_as_good_as_new_after_a_copy_that_was_dropped
        giving_up_while_content_is_on_its_way_frees_the_store
        two_sessions_at_once_both_have_their_way
        a_name_is_set_and_moved_without_a_copy
        what_was_announced_and_never_came_changes_nothing
        a_name_that_is_not_as_expected_changes_nothing
        one_digest_is_a_layer_here_and_a_manifest_there
        an_index_that_calls_one_digest_a_file_and_a_manifest_is_followed
};
