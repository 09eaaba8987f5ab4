//! Tests of `stores` together with others: the exam for Debian's registry, other tools, small disks.

// The macro is for the standard harness; here some of the exam is sat, by one store.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../it/stores/exam.rs"]
mod exam;
mod full;
mod peers;
mod sharing;

use crate::harness::Test;

pub(crate) fn tests() -> Vec<Test> {
    [docker_registry::tests(), full::tests(), peers::tests(), sharing::tests()].into_iter().flatten().collect()
}

// What docker-registry 2.8 cannot do is left out: it removes no tags, knows no manifests by sha512, takes a blob that
// looks like a manifest for one, and shows the tags under which clients keep lists of referrers.
mod docker_registry {
    use artifact::{
        copy,
        oci::{Descriptor, Index, media_type},
    };
    use bytes::Bytes;

    use super::exam::{self, Candidate};
    use crate::{
        harness::{Test, tests},
        support::{
            docker_registry::{Access, DockerRegistry},
            samples::{Sample, deliver, named, names},
            writing::read,
        },
    };

    /// The client against Debian's registry.
    fn candidate() -> Candidate {
        let server = DockerRegistry::start(Access::Anyone);
        let host = server.host().to_owned();
        exam::repository(&host, server)
    }

    macro_rules! exam {
        ($($behaviour:ident)+) => {
            $(
                async fn $behaviour() {
                    exam::sit(stringify!($behaviour), candidate()).await;
                }
            )+

            pub(super) fn tests() -> Vec<Test> {
                tests![
                    ["docker-registry"]
                        $(multi $behaviour,)+
                        multi a_copy_of_its_own_manifest_as_an_attachment_goes_there_too,
                        multi an_index_may_call_a_manifest_a_file_first
                ]
            }
        };
    }

    async fn an_index_may_call_a_manifest_a_file_first() {
        let inner = Sample::of(&[b"inner"]);
        let manifest = inner.root();
        let as_a_file = Descriptor::new(media_type::OCTET_STREAM, manifest.digest.clone(), manifest.size);
        let bytes = Bytes::from(serde_json::to_vec(&Index::of(vec![as_a_file, manifest.clone()])).unwrap());
        let mut sample = inner.clone();
        sample.manifests.push((Descriptor::of(media_type::INDEX, &bytes), bytes));
        let (from, to) = (exam::memory(), candidate());
        deliver(&from.store, &sample, &["v1"]).await.unwrap();
        let options = copy::Options { names: names(&["v1"]), ..copy::Options::default() };
        copy::between(&from.again(), &named("v1"), &to.store, &options).await.unwrap();
        assert_eq!(to.again().resolve(&named("v1")).await.unwrap().digest, sample.root().digest);
    }

    async fn a_copy_of_its_own_manifest_as_an_attachment_goes_there_too() {
        let sample = Sample::of(&[b"original"]);
        let (desc, bytes) = &sample.manifests[0];
        let layer = Descriptor { media_type: "application/json".into(), ..desc.bare() };
        let attached = Sample::with_layers(vec![(layer, bytes.clone())], Some(desc.bare()));
        let (from, to) = (exam::memory(), candidate());
        deliver(&from.store, &sample, &["v1"]).await.unwrap();
        deliver(&from.store, &attached, &[]).await.unwrap();
        let options = copy::Options { names: names(&["v1"]), referrers: true, ..copy::Options::default() };
        copy::between(&from.again(), &named("v1"), &to.store, &options).await.unwrap();
        for (desc, bytes) in sample.all().chain(attached.all()) {
            assert_eq!(read(to.again().as_ref(), desc, 1 << 20).await.unwrap(), bytes);
        }
    }

    exam! {
        what_is_delivered_is_there_for_every_reader
        a_manifest_is_found_by_tag_and_by_digest
        a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest
        content_is_read_from_any_offset
        the_size_of_content_is_known_by_digest
        tags_are_sorted_and_each_is_listed_once
        names_in_parts_are_all_names_in_order
        a_tag_moves_and_its_old_manifest_stays
        a_tag_is_set_on_what_is_there_and_on_nothing_else
        a_deleted_manifest_takes_its_tags_along
        what_is_not_there_is_not_found
        wrong_content_is_refused_and_leaves_nothing
        a_stream_that_breaks_leaves_nothing_and_the_next_attempt_succeeds
        pushing_twice_is_fine
        one_blob_pushed_by_many_at_once_is_one_blob
        nothing_is_content_too
        one_manifest_is_published_under_several_tags
        a_deleted_referrer_is_no_longer_listed
        a_referrer_may_come_before_its_subject
        content_of_unknown_digest_is_uploaded_in_pieces
        a_tag_that_cannot_be_stored_is_an_error
        a_stream_that_is_dropped_leaves_nothing
        a_handle_is_as_good_as_new_after_a_session_that_failed
        a_handle_is_as_good_as_new_after_a_session_that_was_dropped
        a_handle_is_as_good_as_new_after_a_copy_that_was_dropped
        giving_up_while_content_is_on_its_way_frees_the_store
        two_sessions_at_once_both_have_their_way
        a_name_is_set_and_moved_without_a_copy
        what_was_announced_and_never_came_changes_nothing
        a_name_that_is_not_as_expected_changes_nothing
        one_digest_is_a_layer_here_and_a_manifest_there
    }
}
