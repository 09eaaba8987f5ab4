//! Push: a source is read by an artifact type, packed, and carried to where it goes; attach is a push of something about
//! what is there.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use crate::{
    copy::{self, Destination, EarlyUpload, Report},
    error::{Context as _, Error, Result},
    graph::Root,
    location::{Context, Location, Place, name_in},
    oci::{Descriptor, Parsed, RefName},
    pack::{self, Outlet, Packed},
    plan::{Plan, Stored},
    source::Source,
    store::{self, ReadStore, Store, compare},
    types::{Detected, Inputs, Reference, plugin::Plugin},
};

/// How a source is pushed.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// The artifact type; found by looking at the source without it.
    pub type_name: Option<String>,
    /// Parameters of the type, as text.
    pub set: BTreeMap<String, String>,
    /// Annotations of the manifest; they win over those of the type.
    pub annotations: BTreeMap<String, String>,
    /// What the manifest gives as its artifact type, in the place of what the type says.
    pub artifact_type: Option<String>,
    /// The artifact that it is about, in the same place. Without a tag in the location, it is then reached through that
    /// only.
    pub subject: Option<Location>,
    /// Further names.
    pub names: Vec<RefName>,
    /// Looks for all content, also where a name says that it is there.
    pub recheck: bool,
    /// What a name of a layout or archive stood for leaves its list.
    pub replace: bool,
    /// Asks for every name again at the end: it must stand for what was stored.
    pub read_back: bool,
    /// How many blobs move at a time; as many as pay, without it.
    pub concurrency: Option<usize>,
}

/// What read a source into a plan.
#[derive(Debug, Clone)]
pub enum Planner {
    /// A definition: the type that was found or named, in a form of it.
    Definition(Detected),
    /// The program that is the type.
    Program(Plugin),
}

impl Planner {
    /// The form that the source has in its type; a program says nothing of forms.
    #[must_use]
    pub fn form(&self) -> Option<&str> {
        match self {
            Self::Definition(detected) => Some(&detected.form),
            Self::Program(_) => None,
        }
    }

    /// By what the source was known, in words.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Definition(detected) => detected.why.clone(),
            Self::Program(plugin) => format!("a program `{}`", plugin.program().display()),
        }
    }
}

/// What will be made of a source, and what said so.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What will be made. Its warnings are for the user.
    pub plan: Plan,
    /// What read the source.
    pub planner: Planner,
}

/// What will be pushed, and where: nothing is packed yet, and nothing written.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What will be made. Its warnings are for the user.
    pub plan: Plan,
    /// What read the source.
    pub planner: Planner,
    /// Where it goes, under the first of its names.
    pub target: Location,
    /// All names that it will have.
    pub names: Vec<RefName>,
    /// Where members of an index are that are stored already.
    places: Vec<Place>,
    options: Options,
}

/// What was pushed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pushed {
    /// Where it is, under the first of its names.
    pub location: Location,
    /// The artifact type that made it.
    pub type_name: String,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What moved, and what became of each name.
    pub report: Report,
}

impl Pushed {
    /// What stands for these very bytes wherever they go: the place with the digest, `registry.example/site@sha256:…`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}@{}", self.location.place, self.report.root.digest)
    }
}

/// Packs the file or directory at this path, and brings it to a location: `registry.example/team/site:v1`, `oci:dir`,
/// `oci-archive:x.tar:v1`. Without a tag, the type may supply one, else it is `latest`.
///
/// Errors: no such location; a source that no type fits, or several; whatever packing and copying can meet. No name has
/// moved then.
pub async fn push(source: impl Into<PathBuf>, location: &str, context: &Context, options: &Options) -> Result<Pushed> {
    prepare(source, &location.parse()?, context, options).await?.run(context).await
}

/// Packs the file or directory at this path, and attaches it to an artifact, in the same place: registries and layouts
/// list it among what refers to that. It gets no name, unless the options have some.
///
/// Errors: kind `NotFound` when the subject is not there; those of [`push`].
pub async fn attach(subject: &str, source: impl Into<PathBuf>, context: &Context, options: &Options) -> Result<Pushed> {
    let (location, options) = about(&subject.parse()?, options);
    prepare(source, &location, context, &options).await?.run(context).await
}

/// Where what is about an artifact goes, and how: the same place, without a name of its own.
fn about(subject: &Location, options: &Options) -> (Location, Options) {
    let location = Location { tag: None, digest: None, ..subject.clone() };
    (location, Options { subject: Some(subject.clone()), ..options.clone() })
}

/// Plans attachments to one artifact, each an artifact of its own: reads all sources, then finds the subject once.
///
/// Errors: those of [`prepare`]; names in the options where there are several sources, as a name stands for one artifact.
pub async fn prepare_attachments(
    subject: &Location,
    sources: &[PathBuf],
    context: &Context,
    options: &Options,
) -> Result<Vec<Prepared>> {
    if let ([_, _, ..], [name, ..]) = (sources, options.names.as_slice()) {
        let message = format!("`{name}` can be the name of one artifact, and {} sources are given", sources.len());
        return Err(Error::misuse(message));
    }
    let (location, options) = about(subject, options);
    let mut all = Vec::with_capacity(sources.len());
    for source in sources {
        all.push(planned(source, &location, context, &options).await?);
    }
    let found = find(subject, &location, context).await?;
    all.iter_mut().for_each(|prepared| prepared.plan.root.set_subject(found.clone()));
    Ok(all)
}

/// The plan that the chosen type, or the one that fits, makes of a source; `location` is where it would go.
///
/// A type that no definition has may be a program.
pub async fn plan(
    source: &Source,
    location: Option<&Location>,
    context: &Context,
    options: &Options,
) -> Result<Planned> {
    let reference = location.map(|l| Reference { repository: l.place.to_string(), tag: l.tag.clone() });
    let inputs =
        Inputs { set: options.set.clone(), annotations: options.annotations.clone(), now: context.now, reference };
    let catalog = context.types.catalog()?;
    let planner = match &options.type_name {
        None => Planner::Definition(catalog.detect(source)?),
        Some(name) => match catalog.get(name) {
            Ok(kind) => Planner::Definition(kind.named(source)?),
            Err(unknown) => match context.plugins().get(name).await? {
                Some(plugin) => Planner::Program(plugin),
                None => return Err(unknown.into_misuse()),
            },
        },
    };
    let mut plan = match &planner {
        Planner::Definition(detected) => detected.plan(source, &inputs)?,
        Planner::Program(plugin) => plugin.plan(source, &inputs).await?,
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

/// Finds out what is at the location of a member that is stored already. Errors (kind `Mismatch`): it is not what the plan
/// says.
async fn look_up(stored: &mut Stored, context: &Context) -> Result<()> {
    let location: Location = stored.location.parse()?;
    let store = context.read(&location.place).await?;
    let found = store.resolve(&name_in(store.as_ref(), &location).await?).await?.bare();
    if let Some(wanted) = stored.descriptor.as_ref().map(Descriptor::bare) {
        compare(&wanted.digest, found.digest.clone())?;
        if wanted != found {
            let Descriptor { media_type, size, .. } = &found;
            let message = format!("{} is `{media_type}` of {size} bytes, not what the plan says", found.digest);
            return Err(Error::mismatch(message));
        }
    }
    let bytes = store::read_manifest(store.as_ref(), &found).await?;
    let document = Parsed::read(&found.media_type, &bytes)?;
    stored.descriptor = Some(Descriptor { artifact_type: document.own_artifact_type().map(Into::into), ..found });
    Ok(())
}

/// Where the members are that are stored already, each place once.
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

/// What was packed, and where the rest of it is.
async fn origins(packed: Arc<dyn ReadStore>, places: &[Place], context: &Context) -> Result<Vec<Arc<dyn ReadStore>>> {
    let mut origins = vec![packed];
    for place in places {
        origins.push(context.read(place).await?);
    }
    Ok(origins)
}

/// Plans a push: reads the source, and finds the subject.
pub async fn prepare(
    source: impl Into<PathBuf>,
    location: &Location,
    context: &Context,
    options: &Options,
) -> Result<Prepared> {
    let mut prepared = planned(source, location, context, options).await?;
    if let Some(subject) = &options.subject {
        prepared.plan.root.set_subject(find(subject, &prepared.target, context).await?);
    }
    Ok(prepared)
}

/// Plans a push of what may have a subject, which is not looked for.
async fn planned(
    source: impl Into<PathBuf>,
    location: &Location,
    context: &Context,
    options: &Options,
) -> Result<Prepared> {
    let Planned { mut plan, planner } = plan(&Source::open(source)?, Some(location), context, options).await?;
    options.names.iter().try_for_each(|name| location.with_tag(name).map(drop))?;
    let mut target = location.fill(&plan.reference)?;
    if options.subject.is_some() && location.tag.is_none() {
        target.tag = None;
    }
    let names = target.tag.iter().chain(&options.names).cloned().collect();
    let places = stored_places(&mut plan)?;
    Ok(Prepared { plan, planner, target, names, places, options: options.clone() })
}

/// The descriptor of a subject, as a manifest quotes it.
async fn find(subject: &Location, target: &Location, context: &Context) -> Result<Descriptor> {
    if subject.place != target.place {
        let message = format!("the subject {subject} is not in {}, where this is pushed", target.place);
        return Err(Error::misuse(message));
    }
    let store = context.read(&subject.place).await?;
    Ok(store.resolve(&name_in(store.as_ref(), subject).await?).await?.bare())
}

/// Packs a plan; large results wait in a temporary file.
pub async fn packed(plan: &Plan, context: &Context) -> Result<Packed> {
    pack_with(plan.clone(), None, context).await
}

async fn pack_with(plan: Plan, outlet: Option<Arc<dyn Outlet>>, context: &Context) -> Result<Packed> {
    let progress = context.progress.clone();
    pack::pack_owned(plan, &pack::Options { outlet, progress, ..pack::Options::new(&context.scratch) }).await
}

impl Prepared {
    /// What the push would do, and what it would make: the destination is asked, and nothing is written.
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

    /// Packs and carries it. To a registry, large files leave while they are hashed.
    pub async fn run(self, context: &Context) -> Result<Pushed> {
        let Self { plan, target, names, places, options, .. } = self;
        // A layout is made when there is something to put into it.
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
            let root = packed.root().clone();
            carry(&origins(Arc::new(packed), &places, context).await?, root, to, &target, &copying, context).await
        };
        let carried = carried.await;
        if let Some(early) = early {
            early.stop().await;
        }
        let (to, report) = carried?;
        if options.read_back {
            store::read_back(to.as_ref(), &report.root, &copying.names).await?;
        }
        Ok(Pushed { location: target, type_name, warnings, report })
    }
}

async fn carry(
    from: &[Arc<dyn ReadStore>],
    root: Descriptor,
    to: Option<Arc<dyn Store>>,
    target: &Location,
    options: &copy::Options,
    context: &Context,
) -> Result<(Arc<dyn Store>, Report)> {
    let to = match to {
        Some(to) => to,
        None => context.write(&target.place).await?,
    };
    let roots = vec![Root::new(root, options.names.clone())];
    let done = copy::copy_roots(from, roots, &to, options).await.context(|| format!("push to {target}"))?;
    Ok((to, done))
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
