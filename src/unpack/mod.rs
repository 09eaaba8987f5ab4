//! Unpacks artifacts into files: the only code that writes files with names from artifacts.
//!
//! Files are first written to a staging directory, and moved to the destination after all content is verified. On any
//! error the destination is unchanged.

mod blob_reader;
mod budget;
mod extract;
mod name;
mod publish;
mod same;
mod select;
mod staging;
mod taken_names;
mod writer;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::mpsc;

use self::{
    blob_reader::BlobReader,
    budget::Budget,
    extract::Extract,
    name::Name,
    select::Select,
    staging::Staging,
    taken_names::{NameUse, TakenNames},
    writer::Writer,
};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    fs::Room,
    oci::{Descriptor, Digest},
    plan::{Action, Compression, Step, Unpacking},
    progress::{Event, Observer},
    store::ReadStore,
    tarball::read::{Limits, quoted_name},
};

/// Options for [`unpack`].
#[derive(Clone, Default)]
pub struct Options {
    /// Whether to replace existing files that differ.
    pub overwrite: bool,
    /// Patterns for paths of files or directories to unpack; if empty, everything is unpacked.
    pub include: Vec<String>,
    /// Limits of archives; that of entries is also the limit of the names in the whole artifact.
    pub limits: Limits,
    /// Limit of the bytes that all blobs together become, archives uncompressed, each blob as often as it is used;
    /// default: 100 times the sum of the blobs, at least 1 GiB.
    pub allowance: Option<u64>,
    /// Observer of progress.
    pub progress: Observer,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { overwrite, include, limits, .. } = self;
        let mut f = f.debug_struct("Options");
        f.field("overwrite", overwrite).field("include", include).field("limits", limits).finish_non_exhaustive()
    }
}

/// The result of [`unpack`]: counts of written files.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Report {
    /// Regular files.
    pub files: u64,
    /// Directories, not counting the destination.
    pub directories: u64,
    /// Symbolic and hard links.
    pub links: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Notes for the user: dropped permissions and attributes, unchanged files.
    pub notes: Vec<String>,
}

/// Writes the files of an artifact below `dest`, which is created if missing.
///
/// An existing file with the same content and permissions is kept and is not a conflict.
///
/// If the process is killed, an existing destination may have some of the files, each complete, and a new one all or
/// none; the next run completes the work. Files are not synced to disk, as `tar` and `oras pull` do not sync either
/// (GNU tar 1.34, oras 1.3.3, by strace): they can be unpacked again, and a sync also waits for writes of other
/// programs. After a power failure, files may therefore be empty or damaged. Unpacking again reports these as
/// conflicts, and [`Options::overwrite`] repairs them. For durable storage, use a layout, whose content is synced.
///
/// The work stops before the file system is full: 5 % of it stay free, at most 1 GiB, and at most half of what was free.
///
/// Errors leave the destination unchanged: kind `Exists` for conflicting files or duplicate names, `Escape` for paths
/// outside the destination, `Mismatch` for content that differs from its descriptor, `Limit`, `NoSpace`, and those of
/// the store. Dropping the future stops the work and cleans up.
pub async fn unpack(
    store: Arc<dyn ReadStore>,
    unpacking: &Unpacking,
    dest: &Path,
    options: &Options,
) -> Result<Report> {
    let job = Job::new(unpacking, dest, options)?;
    let blobs: Vec<Descriptor> = job.tasks.iter().map(|task| task.step.blob.clone()).collect();
    let bytes = blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
    options.progress.tell(Event::Planned { items: blobs.len(), bytes });
    let (to, from) = mpsc::channel(blob_reader::WAITING);
    let writing = tokio::task::spawn_blocking(move || job.run(from));
    blob_reader::send(store, blobs, to, options.progress.clone()).await;
    writing.await.map_err(|e| Error::caused(Kind::Internal, "the writing thread failed", e))?
}

/// The work of the writing thread.
struct Job {
    tasks: Vec<Task>,
    dest: PathBuf,
    overwrite: bool,
    select: Select,
    limits: Limits,
    budget: Budget,
}

struct Task {
    step: Step,
    place: Name,
}

impl Job {
    fn new(unpacking: &Unpacking, dest: &Path, options: &Options) -> Result<Self> {
        let select = Select::new(&options.include)?;
        let mut tasks = Vec::new();
        for step in &unpacking.steps {
            let place = place(step, &options.limits).context(|| quoted_name(&step.path))?;
            if matches!(step.action, Action::Extract { .. }) || select.includes(&place)? {
                tasks.push(Task { step: step.clone(), place });
            }
        }
        let (dest, limits) = (dest.to_owned(), options.limits.clone());
        let budget = Budget::new(options.allowance, distinct(tasks.iter().map(|task| &task.step.blob)));
        Ok(Self { tasks, dest, overwrite: options.overwrite, select, limits, budget })
    }

    fn run(self, from: mpsc::Receiver<Result<Bytes>>) -> Result<Report> {
        let staging = Staging::new(&self.dest)?;
        let root = || staging.fd.try_clone().context(|| "cannot open the staging directory");
        let mut room = Room::below(&self.dest, root()?);
        room.expect(self.needed())?;
        let claims = TakenNames::new(self.limits.entries);
        let mut writer = Writer::new(root()?.into(), staging.allowed, claims, room);
        for Task { step, place } in &self.tasks {
            let claim = if is_file(step) { NameUse::File } else { NameUse::Directory };
            writer.claims.claim(place.as_str(), claim).context(|| quoted_name(&step.path))?;
        }
        if !self.overwrite {
            let files = self.tasks.iter().filter(|task| is_file(&task.step));
            publish::refuse_existing(&staging, files.map(|task| (task.place.as_str(), &task.step.blob)))?;
        }
        let mut blobs = BlobReader::new(from);
        for task in &self.tasks {
            self.task(task, &mut blobs, &mut writer).context(|| format!("unpack {}", task.step.blob.digest))?;
        }
        let mut report = writer.finish()?;
        if self.select.is_partial() && report == Report::default() {
            return Err(Error::not_found("no file matches the patterns").with_code(Code::NothingMatches));
        }
        let same = publish::publish(staging, self.overwrite)?;
        if same > 0 {
            report.notes.push(format!("unchanged files, already at the destination: {same}"));
        }
        Ok(report)
    }

    fn task(&self, task: &Task, blobs: &mut BlobReader, writer: &mut Writer) -> Result<()> {
        match &task.step.action {
            Action::Write { mode } => {
                self.write(&task.place, *mode, blobs, writer).context(|| quoted_name(&task.step.path))
            }
            Action::Extract { compress, root, strip, links, diff_id } => {
                let extract = Extract {
                    compress: *compress,
                    root: Name::parse(root.as_deref().unwrap_or_default(), &self.limits)?,
                    strip: *strip,
                    links: *links,
                    diff_id: diff_id.as_ref(),
                    place: &task.place,
                    limits: &self.limits,
                    budget: &self.budget,
                    select: &self.select,
                };
                extract.run(blobs, writer)
            }
        }
    }

    /// Writes a blob as one file.
    fn write(&self, place: &Name, mode: u32, blobs: &mut BlobReader, writer: &mut Writer) -> Result<()> {
        let mut file = writer.file(place, mode)?;
        while let Some(chunk) = blobs.next()? {
            self.budget.take(chunk.len())?;
            writer.write(&mut file, &chunk)?;
        }
        blobs.end()
    }

    /// Minimum number of bytes to write.
    fn needed(&self) -> u64 {
        if self.select.is_partial() {
            return 0;
        }
        let certain = |step: &&Step| match &step.action {
            Action::Write { .. } => true,
            Action::Extract { compress, .. } => *compress == Compression::None,
        };
        self.tasks.iter().map(|t| &t.step).filter(certain).fold(0, |sum, step| sum.saturating_add(step.blob.size))
    }
}

fn is_file(step: &Step) -> bool {
    matches!(step.action, Action::Write { .. })
}

fn place(step: &Step, limits: &Limits) -> Result<Name> {
    let name = Name::parse(&step.path, limits)?;
    if is_file(step) && (name.is_empty() || step.path.ends_with('/')) {
        return Err(Error::invalid("the path is not a file name"));
    }
    Ok(name)
}

/// The sum of the sizes of blobs, each counted once.
fn distinct<'a>(blobs: impl Iterator<Item = &'a Descriptor>) -> u64 {
    let sizes: BTreeMap<&Digest, u64> = blobs.map(|blob| (&blob.digest, blob.size)).collect();
    sizes.values().fold(0, |sum, size| sum.saturating_add(*size))
}
