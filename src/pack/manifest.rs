//! Packs a manifest after its blobs.

use std::sync::Arc;

use super::{
    MadeDocument, check,
    layer::{self, Made, Packing},
    quote,
};
use crate::{
    error::{Context as _, Result},
    oci::{Annotations, Descriptor, Manifest, Parsed, media_type},
    plan::{Content, ManifestPlan, Order, Part},
};

/// Packs the blobs, then the manifest.
pub(super) async fn pack(packing: &Arc<Packing>, mut planned: ManifestPlan) -> Result<MadeDocument> {
    // There may be very many; they are freed as soon as the descriptors are complete.
    let parts = Arc::new(std::mem::take(&mut planned.layers));
    let mut layers = layer::all(packing, &parts).await?;
    let packing = Arc::clone(packing);
    let rest = move || {
        let annotations: Vec<_> =
            parts.iter().map(|part| quote::annotations(&part.annotations, &layers)).collect::<Result<_>>()?;
        for (made, annotations) in layers.iter_mut().zip(annotations) {
            made.desc.annotations = annotations;
        }
        check::titles(layers.iter().map(|made| made.desc.title()))?;
        drop(parts);
        let config = config(&packing, &planned.config, &layers).context(|| "config")?;
        let annotations = quote::annotations(&planned.annotations, &layers)?;
        finish(planned, annotations, layers, config)
    };
    layer::working(rest).await
}

/// Packs the config; only a JSON config can contain quotes.
fn config(packing: &Packing, part: &Part, layers: &[Made]) -> Result<Made> {
    let mut made = match &part.content {
        Content::Json { value, encoding } => {
            Made::of(&part.media_type, encoding.encode(&quote::fill(value, layers)?)?.into())
        }
        _ => layer::one(packing, part, packing.threads())?,
    };
    made.desc.annotations = quote::annotations(&part.annotations, layers)?;
    Ok(made)
}

/// The layers in manifest order and, if different, in plan order.
fn ordered(planned: Vec<Descriptor>, order: Order) -> (Vec<Descriptor>, Option<Vec<Descriptor>>) {
    if planned.is_empty() {
        // The schema of the image specification needs at least one layer (manifest.md, "Guidance for an Empty
        // Descriptor").
        return (vec![Descriptor::empty()], Some(planned));
    }
    if order != Order::Digest {
        return (planned, None);
    }
    let mut sorted = planned.clone();
    sorted.sort_by(|a, b| a.digest.cmp(&b.digest));
    (sorted, Some(planned))
}

fn finish(wanted: ManifestPlan, annotations: Annotations, layers: Vec<Made>, config: Made) -> Result<MadeDocument> {
    let (mut blobs, mut descriptors) = (Vec::with_capacity(layers.len() + 1), Vec::with_capacity(layers.len()));
    for made in layers {
        blobs.push((made.desc.digest.clone(), made.held));
        descriptors.push(made.desc);
    }
    blobs.push((config.desc.digest.clone(), config.held));
    let (layers, planned) = ordered(descriptors, wanted.order);
    let manifest = Manifest {
        schema_version: 2,
        media_type: (!wanted.omit_media_type).then(|| media_type::MANIFEST.into()),
        artifact_type: wanted.artifact_type,
        config: config.desc,
        layers,
        subject: wanted.subject,
        annotations,
    };
    let bytes = wanted.encoding.encode(&manifest)?;
    let made = MadeDocument::of(media_type::MANIFEST, bytes, Parsed::Manifest(Box::new(manifest)))?;
    Ok(MadeDocument { planned, blobs, ..made })
}
