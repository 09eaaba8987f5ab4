//! From an artifact to files: the only code that writes under names that came from elsewhere.
//!
//! Files are first written to a staging directory that nobody else reads, and become visible once every byte has been
//! verified. On any error the destination is as it was.

mod blob_reader;
mod extract;
mod name;
mod publish;
mod same;
mod select;
mod staging;
mod taken_names;
mod writer;

use std::{
    fmt,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::mpsc;

use self::{
    blob_reader::BlobReader, extract::Extract, name::Name, select::Select, staging::Staging, taken_names::NameUse,
    writer::Writer,
};
use crate::{
    error::{Code, Context as _, Error, Kind, Result},
    oci::Descriptor,
    plan::{Action, Compression, Step, Unpacking},
    progress::{Event, Observer},
    store::ReadStore,
    tarball::{
        decompress::allowance,
        read::{Limits, quote},
    },
};

/// What [`unpack`] does beyond writing everything to a new place.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether files that are at the destination already, and differ, are replaced.
    pub overwrite: bool,
    /// Only files whose path matches one of these patterns, or that lie in a directory that does; all, when empty.
    pub include: Vec<String>,
    /// What an archive may demand.
    pub limits: Limits,
    /// How many bytes one archive may have uncompressed; otherwise 100 times the blob, at least 1 GiB.
    pub allowance: Option<u64>,
    /// Who is told what happens.
    pub progress: Observer,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { overwrite, include, limits, .. } = self;
        let mut f = f.debug_struct("Options");
        f.field("overwrite", overwrite).field("include", include).field("limits", limits).finish_non_exhaustive()
    }
}

/// What was written.
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
    /// What the user should know: permissions that were not given, attributes that were not read, files that stayed.
    pub notes: Vec<String>,
}

/// Writes the files of an artifact below `dest`, which is made when it is not there.
///
/// A file that is there already with the same content and permissions stays, and is not in the way.
///
/// When the process is killed, some of the files may be in an existing destination, each of them whole, and all or
/// nothing of a new one; the next run finishes. After a power cut, files may be empty or damaged: they are not synced,
/// as `tar` and `oras pull` do not sync them either (GNU tar 1.34, oras 1.3.3, by strace), since they can be unpacked
/// again, and to wait for the disk means to wait for what everybody else writes to it. Unpacking once more then names
/// the files that are damaged, as they are in the way, and [`Options::overwrite`] mends them. What must not be lost
/// belongs into a layout, whose content is synced.
///
/// Errors, after which the destination is as it was: kind `Exists` for files that are in the way or names that are
/// there twice, `Escape` for what would be written elsewhere, `Mismatch` for content that is not what was described,
/// `Limit`, `NoSpace`, and those of the store. Dropping the future stops the work and cleans up.
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

/// All that the writing thread has to know.
struct Job {
    tasks: Vec<Task>,
    dest: PathBuf,
    overwrite: bool,
    select: Select,
    limits: Limits,
    allowance: Option<u64>,
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
            let place = place(step, &options.limits).context(|| quote(&step.path))?;
            if matches!(step.action, Action::Extract { .. }) || select.includes(&place) {
                tasks.push(Task { step: step.clone(), place });
            }
        }
        let (dest, limits) = (dest.to_owned(), options.limits.clone());
        Ok(Self { tasks, dest, overwrite: options.overwrite, select, limits, allowance: options.allowance })
    }

    fn run(self, from: mpsc::Receiver<Result<Bytes>>) -> Result<Report> {
        let staging = Staging::new(&self.dest, self.needed())?;
        let root = staging.fd.try_clone().context(|| "cannot open the staging directory")?;
        let mut writer = Writer::new(root.into(), staging.allowed);
        for Task { step, place } in &self.tasks {
            let claim = if is_file(step) { NameUse::File } else { NameUse::Directory };
            writer.claims.claim(place.as_str(), claim).context(|| quote(&step.path))?;
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
            report.notes.push(format!("files that were there already, with the same content: {same}"));
        }
        Ok(report)
    }

    fn task(&self, task: &Task, blobs: &mut BlobReader, writer: &mut Writer) -> Result<()> {
        match &task.step.action {
            Action::Write { mode } => write(&task.place, *mode, blobs, writer).context(|| quote(&task.step.path)),
            Action::Extract { compress, root, links, diff_id } => {
                let extract = Extract {
                    compress: *compress,
                    root: Name::parse(root.as_deref().unwrap_or_default(), &self.limits)?,
                    links: *links,
                    diff_id: diff_id.as_ref(),
                    place: &task.place,
                    limits: &self.limits,
                    allowance: self.allowance.unwrap_or_else(|| allowance(task.step.blob.size)),
                    select: &self.select,
                };
                extract.run(blobs, writer)
            }
        }
    }

    /// How many bytes will certainly be written.
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
        return Err(Error::invalid("not the name of a file"));
    }
    Ok(name)
}

/// Writes a blob that is one file.
fn write(place: &Name, mode: u32, blobs: &mut BlobReader, writer: &mut Writer) -> Result<()> {
    let mut file = writer.file(place, mode)?;
    while let Some(chunk) = blobs.next()? {
        file.write_all(&chunk).context(|| "cannot write")?;
        writer.report.bytes = writer.report.bytes.saturating_add(chunk.len() as u64);
    }
    blobs.end()
}
