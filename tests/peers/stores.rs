//! Tests of `stores` together with others: the exam for Debian's registry, other tools, small disks.

// Debian's registry sits not all of the exam.
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
    use super::exam::{self, Candidate};
    use crate::{
        harness::{Test, tests},
        support::docker_registry::{Access, DockerRegistry},
    };

    /// The client against Debian's registry.
    fn candidate() -> Candidate {
        let server = DockerRegistry::start(Access::Anyone);
        let host = server.host().to_owned();
        exam::repository(&host, Box::new(server))
    }

    macro_rules! exam {
        ($($behaviour:ident)+) => {
            $(
                async fn $behaviour() {
                    exam::$behaviour(candidate()).await;
                }
            )+

            pub(super) fn tests() -> Vec<Test> {
                tests![["docker-registry"] $(multi $behaviour),+]
            }
        };
    }

    exam! {
        what_is_delivered_is_there_for_every_reader
        a_manifest_is_found_by_tag_and_by_digest
        a_manifest_without_tag_and_the_children_of_an_index_are_found_by_digest
        content_is_read_from_any_offset
        the_size_of_content_is_known_by_digest
        tags_are_sorted_and_each_is_listed_once
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
    }
}
