//! Packs an index after its members.

use std::sync::Arc;

use super::{MadeDocument, document, layer::Packing};
use crate::{
    error::{Context as _, Error, Result},
    oci::{Descriptor, Index, Parsed, media_type},
    plan::{IndexPlan, Member, MemberContent},
};

/// Packs the planned members, then the index.
pub(super) async fn pack(
    packing: &Arc<Packing>,
    planned: IndexPlan,
    made: &mut Vec<MadeDocument>,
) -> Result<MadeDocument> {
    let mut manifests = Vec::with_capacity(planned.members.len());
    for (at, member) in planned.members.into_iter().enumerate() {
        let name = named(at, &member);
        let Member { content, platform, annotations } = member;
        let desc = match content {
            MemberContent::Planned(member) => {
                let desc = document(packing, member, made).await.context(|| name)?;
                // image-spec descriptor.md, `artifactType`: as in the manifest itself.
                let artifact_type = made.last().and_then(|made| made.parsed.own_artifact_type());
                Descriptor { artifact_type: artifact_type.map(Into::into), ..desc }
            }
            MemberContent::Stored(stored) => stored.descriptor.ok_or_else(|| {
                Error::invalid(format!("{name}: `{}` was not resolved before packing", stored.location))
            })?,
        };
        manifests.push(Descriptor { platform: platform.map(Box::new), annotations, ..desc });
    }
    let index = Index {
        artifact_type: planned.artifact_type,
        subject: planned.subject,
        annotations: planned.annotations,
        ..Index::of(manifests)
    };
    let bytes = planned.encoding.encode(&index)?;
    MadeDocument::of(media_type::INDEX, bytes, Parsed::Index(Box::new(index)))
}

/// The name of a member in errors.
pub(super) fn named(at: usize, member: &Member) -> String {
    match &member.platform {
        Some(platform) => format!("member {at} ({platform})"),
        None => format!("member {at}"),
    }
}
