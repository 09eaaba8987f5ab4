//! The exam: what every store must do, as a list of behaviours. Feature `exam`.
//!
//! A store sits it from its own tests. For each behaviour a [`Candidate`] is made, an empty store of its own, and
//! [`Behaviour::run`] puts it to the test. A behaviour that the store does not show is a panic, as in any test; one that
//! cannot be asked of it, by its [`crate::store::Abilities`], is an [`Outcome`] that says so.
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
//! It runs on a runtime of tokio with more than one thread.

// A behaviour that is not shown is a panic, and so is a sample that cannot be made.
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

/// A store that sits the exam, empty at first.
pub struct Candidate {
    /// The handle that is written through.
    pub store: Arc<dyn Store>,
    open: Box<dyn Fn() -> Arc<dyn Store> + Send + Sync>,
    local: bool,
    _kept: Box<dyn Send + Sync>,
}

impl Candidate {
    /// A store, and how another handle on the same content is opened, as another process would open it.
    pub fn new(store: Arc<dyn Store>, open: impl Fn() -> Arc<dyn Store> + Send + Sync + 'static) -> Self {
        Self { store, open: Box::new(open), local: false, _kept: Box::new(()) }
    }

    /// The same, whose content lies in files of this machine, to be read where it is: [`ReadStore::local`].
    #[must_use]
    pub fn in_local_files(self) -> Self {
        Self { local: true, ..self }
    }

    /// The same, together with what must live as long: a directory, a server.
    #[must_use]
    pub fn keeping(self, kept: impl Send + Sync + 'static) -> Self {
        Self { _kept: Box::new(kept), ..self }
    }

    /// Another handle on the same content.
    #[must_use]
    pub fn open(&self) -> Arc<dyn Store> {
        (self.open)()
    }

    /// The same, to read from.
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

/// One thing that a store must do.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// What it is, a sentence with `_` between the words.
    pub name: &'static str,
    run: fn(Candidate) -> BoxFuture<'static, Outcome>,
}

impl Behaviour {
    /// Puts a store to the test.
    ///
    /// # Panics
    ///
    /// The store does not behave so.
    #[must_use]
    pub fn run(&self, candidate: Candidate) -> BoxFuture<'static, Outcome> {
        (self.run)(candidate)
    }
}

/// How a behaviour was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of it.
    Passed,
    /// All but what does not apply to this store, by what it says that it can do.
    InPart(&'static str),
    /// It does not apply to this store, by what it says that it can do.
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

/// A behaviour that applies to every store has nothing to say.
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

/// All of the exam.
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
