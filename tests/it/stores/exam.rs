//! The exam, as our stores sit it: each behaviour is a test.
//!
//! A new store takes part with a function that makes a [`Candidate`], and with its name in the module above.

use std::sync::Arc;

pub(crate) use artifact::exam::Candidate;
use artifact::{
    exam::{BEHAVIOURS, Outcome},
    serve::{self, Remote},
    store::Store,
    stores::{
        Archive, Layout, Memory,
        registry::{Options, Registry},
    },
};

use crate::support::server;

pub(crate) fn memory() -> Candidate {
    let memory = Memory::new();
    Candidate::new(Arc::new(memory.clone()), move || Arc::new(memory.clone()))
}

pub(crate) fn layout() -> Candidate {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    let store = Arc::new(Layout::create(&path).unwrap());
    Candidate::new(store, move || Arc::new(Layout::open(&path).unwrap())).in_local_files().keeping(dir)
}

pub(crate) fn archive() -> Candidate {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tar");
    let open = move || Arc::new(Archive::create(&path).unwrap()) as Arc<dyn Store>;
    Candidate::new(open(), open).in_local_files().keeping(dir)
}

/// A repository of a registry, which does not exist before the first push.
pub(crate) fn repository(host: &str, keep: impl Send + Sync + 'static) -> Candidate {
    let (host, options) = (host.to_owned(), Options::default());
    let open = move || {
        let registry = Registry::new(&host, &options).unwrap();
        Arc::new(registry.repository("exam/store").unwrap()) as Arc<dyn Store>
    };
    Candidate::new(open(), open).keeping(keep)
}

/// The client against the embedded registry.
pub(crate) fn registry() -> Candidate {
    let server = server::Background::start();
    repository(&server.host(), server)
}

/// The client against the embedded registry, in front of another one.
pub(crate) fn front() -> Candidate {
    let behind = server::Background::start();
    let repositories = Arc::new(Remote::new(Registry::new(&behind.host(), &Options::default()).unwrap()));
    let front = server::Background::with(serve::Options { repositories, ..serve::Options::in_memory() });
    repository(&front.host(), (front, behind))
}

/// Puts a store to the test, and prints what does not apply to it.
pub(crate) async fn sit(name: &str, candidate: Candidate) {
    let store = candidate.store.to_string();
    let behaviour = BEHAVIOURS.iter().find(|behaviour| behaviour.name == name);
    let outcome = behaviour.expect("a behaviour of the exam").run(candidate).await;
    if outcome != Outcome::Passed {
        eprintln!("{store}: {name}: {outcome}");
    }
}

macro_rules! exam {
    ($($store:ident),+) => {
        $crate::stores::exam::exam! { @ [$($store)+] {
            what_is_delivered_is_there_for_every_reader
            a_manifest_is_found_by_tag_and_by_digest
            a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest
            content_is_read_from_any_offset
            the_size_of_content_is_known_by_digest
            a_local_slice_holds_the_content
            tags_are_sorted_and_each_is_listed_once
            names_in_parts_are_all_names_in_order
            a_tag_moves_and_its_old_manifest_stays
            a_tag_is_set_on_what_is_there_and_on_nothing_else
            a_handle_after_a_failed_copy_is_as_good_as_a_new_one
            a_tag_is_removed_and_its_manifest_stays
            a_deleted_manifest_takes_its_tags_along
            what_is_not_there_is_not_found
            a_blob_is_not_resolved_as_a_manifest
            wrong_content_is_refused_and_leaves_nothing
            a_stream_that_breaks_leaves_nothing_and_the_next_attempt_succeeds
            pushing_twice_is_fine
            one_blob_pushed_by_many_at_once_is_one_blob
            nothing_is_content_too
            sha512_works_from_end_to_end
            one_manifest_is_published_under_several_tags
            referrers_are_listed_by_subject_with_type_and_annotations
            a_referrer_stays_one_when_its_tag_moves_or_goes
            a_deleted_referrer_is_no_longer_listed
            a_referrer_may_come_before_its_subject
            content_of_unknown_digest_is_uploaded_in_pieces
            an_upload_of_other_content_than_promised_leaves_nothing
            a_tag_that_cannot_be_stored_is_an_error
            many_tags_in_one_copy_are_all_there
            a_stream_that_is_dropped_leaves_nothing
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
        } }
    };
    (@ [$($store:ident)+] $behaviours:tt) => {
        $(
            mod $store {
                $crate::stores::exam::exam! { @ $store $behaviours }
            }
        )+
        $crate::stores::exam::exam! { @ names $behaviours }
    };
    (@ names { $($behaviour:ident)+ }) => {
        #[test]
        fn every_behaviour_of_the_exam_is_a_test() {
            let mut tests = vec![$(stringify!($behaviour)),+];
            let mut behaviours: Vec<_> = artifact::exam::BEHAVIOURS.iter().map(|behaviour| behaviour.name).collect();
            tests.sort_unstable();
            behaviours.sort_unstable();
            assert_eq!(tests, behaviours);
        }
    };
    (@ $store:ident { $($behaviour:ident)+ }) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            super::exam::sit(stringify!($behaviour), super::exam::$store()).await;
        }
    )+ };
}
pub(crate) use exam;
