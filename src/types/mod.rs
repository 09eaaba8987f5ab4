//! Artifact types as data: a definition reads a source into a [`Plan`](crate::plan::Plan), recognises manifests, and says which files they
//! become.
//!
//! * [`Catalog`]: the types there are, by name, by source ([`Catalog::detect`]) and by manifest
//!   ([`Catalog::recognise`]).
//! * [`Detected`]: what a source is, and why; [`Detected::plan`].
//! * [`ArtifactType`]: one of them; [`ArtifactType::named`] and [`ArtifactType::unpacking`].
//! * [`plugin`]: types that need code, programs that print a plan.
//! * [`lint`], [`mod@test`], [`schema`], [`skeleton`]: for those who write definitions.
//!
//! A definition can name files, but reads only those in its declared sets, below the source; its expressions cannot
//! reach files, the network, the environment or another program.

// Each of these uses only those in front of it: `language`, `definition`, `check`, `probe`, `planning`, `unpacking`,
// `artifact_type`, then `schema`, `skeleton`, `test`, `plugin` and `catalog`.
mod artifact_type;
mod catalog;
mod check;
mod definition;
mod language;
mod planning;
pub mod plugin;
mod probe;
mod schema;
mod skeleton;
pub mod test;
mod unpacking;

pub use self::{
    artifact_type::{ArtifactType, Detected, MAX_CONFIG, Origin},
    catalog::{Broken, Catalog},
    check::lint,
    definition::{API_VERSION, Definition, MAX_DEFINITION, unpack::View},
    planning::{
        annotations::{UNPACK, UNPACK_DIGEST},
        inputs::{Inputs, Reference},
    },
    schema::{plan_schema, schema},
    skeleton::skeleton,
    unpacking::{
        accept::{Evidence, Identity},
        generic,
    },
};
