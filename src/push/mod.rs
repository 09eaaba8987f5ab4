//! Push: an artifact type reads a source, the result is packed and copied to a store. Attach pushes an artifact that
//! refers to another.

mod several;
#[cfg(feature = "sign")]
mod signing;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

pub use self::several::SourceFile;
#[cfg(feature = "sign")]
pub use self::signing::Signing;
use crate::{
    copy::{self, Destination, EarlyUpload, Report},
    error::{Context as _, Error, Result},
    graph::Root,
    location::{Context, Location, Place, name_in},
    oci::{Descriptor, Parsed, RefName},
    pack::{self, Outlet, Packed, Summary},
    plan::{Plan, Stored},
    source::Source,
    store::{self, ReadStore, Store, compare},
    types::{Detected, Inputs, Origin, Reference, plugin::Plugin},
};

/// Options for pushing a source.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The artifact type; if `None`, detected from the source.
    pub type_name: Option<String>,
    /// Parameters of the type, as text.
    pub set: BTreeMap<String, String>,
    /// Annotations of the manifest; they override those of the type.
    pub annotations: BTreeMap<String, String>,
    /// The artifact type in the manifest, instead of the type's own.
    pub artifact_type: Option<String>,
    /// The file that is the config of a file bundle, instead of the empty one.
    pub config: Option<SourceFile>,
    /// Media types for layers, each with a glob for their titles; the last one that fits counts.
    pub media_types: Vec<(String, String)>,
    /// The artifact that this one refers to, in the same place. If the location has no tag, the new artifact gets none
    /// and is reachable only as a referrer.
    pub subject: Option<Location>,
    /// Additional names.
    pub names: Vec<RefName>,
    /// Signs the artifact: the signature is there before a name stands for it.
    #[cfg(feature = "sign")]
    pub sign: Option<Signing>,
    /// Checks for all content, even if the name already stands for the artifact.
    pub recheck: bool,
    /// In a layout or archive, unlists the manifest that a name stood for before.
    pub replace: bool,
    /// Resolves every name again at the end and checks the digest.
    pub read_back: bool,
    /// How many blobs move at a time; chosen automatically if `None`.
    pub concurrency: Option<usize>,
}

/// What turned a source into a plan.
#[derive(Debug, Clone)]
pub enum Planner {
    /// The definition of a type, detected or named, in one of its forms.
    Definition(Detected),
    /// The definition of file bundles, for what is no bundle by itself.
    Bundle {
        /// The form of all sources, if it is the same.
        form: Option<String>,
        /// Where the definition comes from.
        origin: Origin,
        /// Why they are a bundle.
        why: String,
    },
    /// A program that is a type.
    Program(Plugin),
}

impl Planner {
    /// The form of the source in its type; programs have no forms, and several sources may have different ones.
    #[must_use]
    pub fn form(&self) -> Option<&str> {
        match self {
            Self::Definition(detected) => Some(&detected.form),
            Self::Bundle { form, .. } => form.as_deref(),
            Self::Program(_) => None,
        }
    }

    /// Where the definition of the type comes from; programs have none.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Definition(detected) => Some(detected.kind.origin()),
            Self::Bundle { origin, .. } => Some(origin),
            Self::Program(_) => None,
        }
    }

    /// How the type was chosen, in words.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Definition(detected) => detected.why.clone(),
            Self::Bundle { why, .. } => why.clone(),
            Self::Program(plugin) => format!("the program `{}`", plugin.program().display()),
        }
    }
}

/// The plan for a source, and its planner.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan. Its warnings are for the user.
    pub plan: Plan,
    /// What made the plan.
    pub planner: Planner,
}

/// A planned push: nothing is packed or written yet.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The plan. Its warnings are for the user.
    pub plan: Plan,
    /// What made the plan.
    pub planner: Planner,
    /// The target, with the first of its names.
    pub target: Location,
    /// All names at the target.
    pub names: Vec<RefName>,
    /// Places of index members that are already stored.
    places: Vec<Place>,
    options: Options,
}

/// The result of a push.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pushed {
    /// Where the artifact is, under the first of its names.
    pub location: Location,
    /// Its artifact type.
    pub type_name: String,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// The manifest or index, in short.
    pub summary: Summary,
    /// What was transferred, and what became of each name.
    pub report: Report,
}

impl Pushed {
    /// The immutable reference: the place with the digest, `registry.example/site@sha256:…`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}@{}", self.location.place, self.report.root.digest)
    }
}

/// Packs the file or directory at this path and pushes it to a location: `registry.example/team/site:v1`, `oci:dir`,
/// `oci-archive:x.tar:v1`. Without a tag, the type may supply one, else it is `latest`.
///
/// Errors: a malformed location; a source that no type fits, or several; any failure of packing and copying. No name
/// has moved then.
pub async fn push(source: impl Into<PathBuf>, location: &str, context: &Context, options: &Options) -> Result<Pushed> {
    prepare(&[SourceFile::from(source.into())], &location.parse()?, context, options).await?.run(context).await
}

/// Packs the file or directory at this path and attaches it to an artifact in the same place: registries and layouts
/// list it among the referrers of that artifact. It gets no name, unless the options give one.
///
/// Errors: kind `NotFound` if the subject does not exist; those of [`push`].
pub async fn attach(subject: &str, source: impl Into<PathBuf>, context: &Context, options: &Options) -> Result<Pushed> {
    let (location, options) = about(&subject.parse()?, options);
    prepare(&[SourceFile::from(source.into())], &location, context, &options).await?.run(context).await
}

/// The target and options of an attachment: the same place, without a name of its own.
fn about(subject: &Location, options: &Options) -> (Location, Options) {
    let location = Location { tag: None, digest: None, ..subject.clone() };
    (location, Options { subject: Some(subject.clone()), ..options.clone() })
}

/// Plans attachments to one artifact, each an artifact of its own: reads all sources, then finds the subject once.
///
/// Errors: those of [`prepare`]; names in the options with several sources, since a name stands for one artifact.
pub async fn prepare_attachments(
    subject: &Location,
    sources: &[SourceFile],
    context: &Context,
    options: &Options,
) -> Result<Vec<Prepared>> {
    if let ([_, _, ..], [name, ..]) = (sources, options.names.as_slice()) {
        let message = format!("`{name}` can name only one artifact, but there are {} sources", sources.len());
        return Err(Error::misuse(message));
    }
    let (location, options) = about(subject, options);
    let mut all = Vec::with_capacity(sources.len());
    for source in sources {
        all.push(planned(std::slice::from_ref(source), &location, context, &options).await?);
    }
    let found = find(subject, &location, context).await?;
    all.iter_mut().for_each(|prepared| prepared.plan.root.set_subject(found.clone()));
    Ok(all)
}

/// Plans an artifact for `location` with the named type, or the one that fits the source; several sources make a file
/// bundle.
///
/// A type without a definition may be a program.
pub async fn plan(
    sources: &[SourceFile],
    location: Option<&Location>,
    context: &Context,
    options: &Options,
) -> Result<Planned> {
    several::plan(sources, location, context, options).await
}

async fn plan_one(
    source: &Source,
    location: Option<&Location>,
    context: &Context,
    options: &Options,
) -> Result<Planned> {
    let reference = location.map(|l| Reference { repository: l.place.to_string(), tag: l.tag.clone() });
    let inputs =
        Inputs { set: options.set.clone(), annotations: options.annotations.clone(), now: context.now, reference };
    let catalog = context.types.catalog()?;
    let by_definition =
        |detected: Detected| Ok::<_, Error>((detected.plan(source, &inputs)?, Planner::Definition(detected)));
    let (mut plan, planner) = match &options.type_name {
        None => by_definition(catalog.detect(source)?)?,
        Some(name) => match catalog.get(name) {
            Ok(kind) => by_definition(kind.named(source)?)?,
            Err(unknown) => match context.plugins().get(name).await? {
                Some(plugin) => (plugin.plan(source, &inputs).await?, Planner::Program(plugin)),
                None => return Err(unknown.into_misuse()),
            },
        },
    };
    plan.warnings.extend(catalog.broken().iter().map(ToString::to_string));
    if let Some(artifact_type) = &options.artifact_type {
        plan.root.set_artifact_type(artifact_type.clone());
    }
    for stored in plan.stored_mut() {
        look_up(stored, context).await.context(|| format!("member `{}`", stored.location))?;
    }
    Ok(Planned { plan, planner })
}

/// Fills in the descriptor of a member that is already stored. Errors: kind `Mismatch` if it does not match the plan.
async fn look_up(stored: &mut Stored, context: &Context) -> Result<()> {
    let location: Location = stored.location.parse()?;
    let store = context.read(&location.place).await?;
    let found = store.resolve(&name_in(store.as_ref(), &location).await?).await?.bare();
    if let Some(wanted) = stored.descriptor.as_ref().map(Descriptor::bare) {
        compare(&wanted.digest, found.digest.clone())?;
        if wanted != found {
            let Descriptor { media_type, size, .. } = &found;
            let message = format!("{} is `{media_type}` of {size} bytes, which does not match the plan", found.digest);
            return Err(Error::mismatch(message));
        }
    }
    let bytes = store::read_manifest(store.as_ref(), &found).await?;
    let document = Parsed::read(&found.media_type, &bytes)?;
    stored.descriptor = Some(Descriptor { artifact_type: document.own_artifact_type().map(Into::into), ..found });
    Ok(())
}

/// The places of members that are already stored, without duplicates.
fn stored_places(plan: &mut Plan) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for stored in plan.stored_mut() {
        let place = stored.location.parse::<Location>()?.place;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

/// The packed content and the stores of the rest.
async fn origins(packed: Arc<dyn ReadStore>, places: &[Place], context: &Context) -> Result<Vec<Arc<dyn ReadStore>>> {
    let mut origins = vec![packed];
    for place in places {
        origins.push(context.read(place).await?);
    }
    Ok(origins)
}

/// Plans a push: reads the sources and finds the subject.
pub async fn prepare(
    sources: &[SourceFile],
    location: &Location,
    context: &Context,
    options: &Options,
) -> Result<Prepared> {
    let mut prepared = planned(sources, location, context, options).await?;
    if let Some(subject) = &options.subject {
        prepared.plan.root.set_subject(find(subject, &prepared.target, context).await?);
    }
    Ok(prepared)
}

/// Plans a push without looking up the subject.
async fn planned(
    sources: &[SourceFile],
    location: &Location,
    context: &Context,
    options: &Options,
) -> Result<Prepared> {
    let Planned { mut plan, planner } = plan(sources, Some(location), context, options).await?;
    options.names.iter().try_for_each(|name| location.with_tag(name).map(drop))?;
    let mut target = location.fill(&plan.reference)?;
    if options.subject.is_some() && location.tag.is_none() {
        target.tag = None;
    }
    let mut names: Vec<RefName> = target.tag.iter().cloned().collect();
    for name in &options.names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let places = stored_places(&mut plan)?;
    Ok(Prepared { plan, planner, target, names, places, options: options.clone() })
}

/// The descriptor of a subject, as a manifest quotes it.
async fn find(subject: &Location, target: &Location, context: &Context) -> Result<Descriptor> {
    if subject.place != target.place {
        let message = format!("the subject {subject} is not in {}, the target of the push", target.place);
        return Err(Error::misuse(message));
    }
    let store = context.read(&subject.place).await?;
    Ok(store.resolve(&name_in(store.as_ref(), subject).await?).await?.bare())
}

/// Packs a plan; large results go to a temporary file.
pub async fn packed(plan: &Plan, context: &Context) -> Result<Packed> {
    pack_with(plan.clone(), None, context).await
}

async fn pack_with(plan: Plan, outlet: Option<Arc<dyn Outlet>>, context: &Context) -> Result<Packed> {
    let progress = context.progress.clone();
    pack::pack_owned(plan, &pack::Options { outlet, progress, ..pack::Options::new(&context.scratch) }).await
}

impl Prepared {
    /// Signs the artifact as well: see [`Options::sign`]. The name for a legacy signature is known only now, when the
    /// target is.
    #[cfg(feature = "sign")]
    pub fn sign(&mut self, signing: Signing) {
        self.options.sign = Some(signing);
    }

    /// A dry run: what the push would do and create. Queries the destination and writes nothing.
    pub async fn foresee(self, context: &Context) -> Result<(Arc<Packed>, Report)> {
        let Self { plan, target, names, places, options, .. } = self;
        let packed = Arc::new(pack_with(plan, None, context).await?);
        let from = origins(Arc::clone(&packed) as _, &places, context).await?;
        let to = context.write_nothing(&target.place).await?;
        let roots = vec![Root::new(packed.root().clone(), names.clone())];
        let options = copy::Options { exact: true, ..copying(names, &options, context) };
        let would = copy::plan(&from, vec![Destination { store: to, roots }], &options).await;
        Ok((packed, would.context(|| format!("push to {target}"))?.foresee()))
    }

    /// Packs the plan and copies the result. To a registry, large files are sent while they are hashed.
    pub async fn run(self, context: &Context) -> Result<Pushed> {
        let Self { plan, target, names, places, options, .. } = self;
        // A layout is created only once there is something to put into it.
        let to = match &target.place {
            Place::Registry { .. } => Some(context.write(&target.place).await?),
            Place::Layout(_) | Place::Archive(_) => None,
        };
        let early = to.as_ref().zip(target.tag.clone());
        let early = early.map(|(to, tag)| Arc::new(EarlyUpload::new(Arc::clone(to), tag, options.concurrency)));
        let outlet = early.clone().map(|early| early as Arc<dyn Outlet>);
        let (type_name, warnings) = (plan.type_name.clone(), plan.warnings.clone());
        let copying = copy::Options { early_upload: early.clone(), ..copying(names, &options, context) };
        let carried = async {
            let packed = pack_with(plan, outlet, context).await?;
            let (root, summary) = (packed.root().clone(), packed.summary());
            let from = origins(Arc::new(packed), &places, context).await?;
            let to = match to {
                Some(to) => to,
                None => context.write(&target.place).await?,
            };
            let report = Carry { from, root, target: &target, to: &to, copying: &copying }.run(&options).await?;
            Ok::<_, Error>((to, summary, report))
        };
        let carried = carried.await;
        if let Some(early) = early {
            early.stop().await;
        }
        let (to, summary, report) = carried?;
        if options.read_back {
            store::read_back(to.as_ref(), &report.root, &copying.names).await?;
        }
        Ok(Pushed { location: target, type_name, warnings, summary, report })
    }
}

/// A packed artifact on its way.
struct Carry<'a> {
    from: Vec<Arc<dyn ReadStore>>,
    root: Descriptor,
    target: &'a Location,
    to: &'a Arc<dyn Store>,
    copying: &'a copy::Options,
}

impl Carry<'_> {
    #[cfg(not(feature = "sign"))]
    async fn run(self, _: &Options) -> Result<Report> {
        self.copy(false).await
    }

    /// Copies the artifact, and its signature with it.
    #[cfg(feature = "sign")]
    async fn run(mut self, options: &Options) -> Result<Report> {
        let Some(signing) = &options.sign else { return self.copy(false).await };
        let (to, root) = (self.to, self.root.bare());
        self.from.push(signing.signatures_for(to, &root).await?);
        let report = self.copy(true).await?;
        signing.check(to, &root).await?;
        Ok(report)
    }

    async fn copy(self, referrers: bool) -> Result<Report> {
        let roots = vec![Root::new(self.root, self.copying.names.clone())];
        let options = copy::Options { referrers, ..self.copying.clone() };
        let done = copy::copy_roots(&self.from, roots, self.to, &options).await;
        done.context(|| format!("push to {}", self.target))
    }
}

fn copying(names: Vec<RefName>, options: &Options, context: &Context) -> copy::Options {
    copy::Options {
        names,
        recheck: options.recheck,
        replace: options.replace,
        concurrency: options.concurrency,
        progress: context.progress.clone(),
        ..copy::Options::default()
    }
}
