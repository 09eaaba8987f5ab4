//! Push: a source is read by an artifact type, packed, and carried to where it goes; attach is a push of something about
//! what is there.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    copy::{self, Destination, EarlyUpload, Report},
    error::{Context as _, Error, Result},
    graph::Root,
    location::{Context, Location, Place, name_in},
    oci::{Descriptor, RefName},
    pack::{self, Outlet, Packed},
    plan::Plan,
    source::Source,
    store::{self, Name, ReadStore, Store},
    types::{Inputs, Reference, plugin},
};

/// How long a program that is a type may take to print its plan.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(600);

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

/// What will be pushed, and where: nothing is packed yet, and nothing written.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What will be made. Its warnings are for the user.
    pub plan: Plan,
    /// Where it goes, under the first of its names.
    pub target: Location,
    /// All names that it will have.
    pub names: Vec<RefName>,
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
    prepare_attachment(&subject.parse()?, source, context, options).await?.run(context).await
}

/// Plans an attachment: reads the source, and finds the subject.
pub async fn prepare_attachment(
    subject: &Location,
    source: impl Into<PathBuf>,
    context: &Context,
    options: &Options,
) -> Result<Prepared> {
    let location = Location { tag: None, digest: None, ..subject.clone() };
    prepare(source, &location, context, &Options { subject: Some(subject.clone()), ..options.clone() }).await
}

/// Plans several attachments to one artifact, each an artifact of its own: reads all sources, then finds the subject once.
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
    let location = Location { tag: None, digest: None, ..subject.clone() };
    let options = Options { subject: Some(subject.clone()), ..options.clone() };
    let mut all = Vec::with_capacity(sources.len());
    for source in sources {
        all.push(planned(source, &location, context, &options).await?);
    }
    let found = find(subject, &location, context).await?;
    all.iter_mut().for_each(|prepared| prepared.plan.manifest.subject = Some(found.clone()));
    Ok(all)
}

/// The plan that the chosen type, or the one that fits, makes of a source; `location` is where it would go.
///
/// A type that no definition has may be a program.
pub async fn plan(source: &Source, location: Option<&Location>, context: &Context, options: &Options) -> Result<Plan> {
    let reference = location.map(|l| Reference { repository: l.place.to_string(), tag: l.tag.clone() });
    let inputs =
        Inputs { set: options.set.clone(), annotations: options.annotations.clone(), now: context.now, reference };
    let catalog = context.types.catalog()?;
    let mut plan = match &options.type_name {
        None => catalog.detect(source)?.plan(source, &inputs)?,
        Some(name) => match (catalog.get(name), plugin::find(name, &context.types.programs)) {
            (Ok(kind), _) => kind.plan(source, &inputs)?,
            (Err(_), Some(program)) => plugin::run(&program, source, &inputs, PLUGIN_TIMEOUT).await?,
            (Err(unknown), None) => return Err(unknown.into_misuse()),
        },
    };
    plan.warnings.extend(catalog.broken().iter().map(ToString::to_string));
    if let Some(artifact_type) = &options.artifact_type {
        plan.manifest.artifact_type = Some(artifact_type.clone());
    }
    Ok(plan)
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
        prepared.plan.manifest.subject = Some(find(subject, &prepared.target, context).await?);
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
    let plan = plan(&Source::open(source)?, Some(location), context, options).await?;
    options.names.iter().try_for_each(|name| location.with_tag(name).map(drop))?;
    let mut target = location.fill(&plan.reference)?;
    if options.subject.is_some() && location.tag.is_none() {
        target.tag = None;
    }
    let names = target.tag.iter().chain(&options.names).cloned().collect();
    Ok(Prepared { plan, target, names, options: options.clone() })
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
    pack_with(plan, None, context).await
}

async fn pack_with(plan: &Plan, outlet: Option<Arc<dyn Outlet>>, context: &Context) -> Result<Packed> {
    let progress = context.progress.clone();
    pack::pack(plan, &pack::Options { outlet, progress, ..pack::Options::new(&context.scratch) }).await
}

impl Prepared {
    /// What the push would do, and what it would make: the destination is asked, and nothing is written.
    pub async fn foresee(self, context: &Context) -> Result<(Arc<Packed>, Report)> {
        let Self { plan, target, names, options } = self;
        let packed = Arc::new(packed(&plan, context).await?);
        let to = context.write_nothing(&target.place).await?;
        let roots = vec![Root::new(packed.root().clone(), names.clone())];
        let options = copy::Options { exact: true, ..copying(names, &options, context) };
        let from = Arc::clone(&packed) as Arc<dyn ReadStore>;
        let would = copy::plan(&[from], vec![Destination { store: to, roots }], &options).await;
        Ok((packed, would.context(|| format!("push to {target}"))?.foresee()))
    }

    /// Packs and carries it. To a registry, large files leave while they are hashed.
    pub async fn run(self, context: &Context) -> Result<Pushed> {
        let Self { plan, target, names, options } = self;
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
            let packed = pack_with(&plan, outlet, context).await?;
            // It may be large, and has served.
            drop(plan);
            carry(packed, to, &target, &copying, context).await
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
    packed: Packed,
    to: Option<Arc<dyn Store>>,
    target: &Location,
    options: &copy::Options,
    context: &Context,
) -> Result<(Arc<dyn Store>, Report)> {
    let from: Arc<dyn ReadStore> = Arc::new(packed);
    let to = match to {
        Some(to) => to,
        None => context.write(&target.place).await?,
    };
    let done = copy::copy(&from, &Name::Only, &to, options).await.context(|| format!("push to {target}"))?;
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
