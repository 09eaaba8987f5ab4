//! Artifact types as data: a definition turns a source into a [`Plan`](crate::plan::Plan), recognises manifests, and
//! turns them back into files.
//!
//! * [`Catalog`]: the known types, by name, by source ([`Catalog::detect`]) and by manifest ([`Catalog::recognise`]).
//! * [`Detected`]: the type and form of a source, with the reason; [`Detected::plan`].
//! * [`ArtifactType`]: one type; [`ArtifactType::named`] and [`ArtifactType::unpacking`].
//! * [`plugin`]: types that need code, as programs that print a plan.
//! * [`Template`]: the language of definitions over a document of any kind.
//! * [`lint`], [`mod@test`], [`schema`], [`skeleton`]: tools for authors of definitions.
//!
//! A definition reads only the files in its declared sets, below the source. Its expressions have no access to files,
//! the network, the environment or other programs.

// Each of these uses only those in front of it: `language`, `template`, `definition`, `check`, `probe`, `planning`, `unpacking`,
// `artifact_type`, then `summary`, `schema`, `skeleton`, `test`, `plugin` and `catalog`.
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
mod summary;
mod template;
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
    summary::Section,
    template::Template,
    unpacking::{
        accept::{Evidence, Identity},
        generic,
    },
};
