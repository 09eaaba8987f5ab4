//! What is moved.

use std::{
    cell::OnceCell,
    fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use crate::{place::Place, run::shell, text::text};

/// Mean size of the files in a [`Kind::Tree`], in bytes.
const TREE_FILE: usize = 6 << 10;

/// What the files are like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Files side by side that do not compress, each of them one layer.
    Blobs,
    /// A directory of text that is packed into one layer.
    Tree,
}

/// Files of which no two are alike, made when they are first asked for.
pub(crate) struct Sample<'a> {
    /// In paths and in the names of cases.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) count: usize,
    /// Bytes of one file.
    pub(crate) size: usize,
    place: &'a Place,
    made: OnceCell<()>,
    packed: OnceCell<()>,
}

impl<'a> Sample<'a> {
    pub(crate) fn new(place: &'a Place, name: &'static str, kind: Kind, count: usize, size: usize) -> Self {
        Self { name, kind, count, size, place, made: OnceCell::new(), packed: OnceCell::new() }
    }

    /// For people: `1 x 1 GiB`.
    pub(crate) fn title(&self) -> String {
        let size = match self.size {
            size if size >= 1 << 30 => format!("{} GiB", size >> 30),
            size if size >= 1 << 20 => format!("{} MiB", size >> 20),
            size => format!("{} KiB", size >> 10),
        };
        match (self.kind, self.count) {
            (Kind::Tree, count) => format!("directory of {count} files"),
            (Kind::Blobs, 1) => size,
            (Kind::Blobs, count) => format!("{count} × {size}"),
        }
    }

    /// The directory with the files.
    pub(crate) fn files(&self) -> PathBuf {
        let dir = self.place.join(self.name);
        self.made.get_or_init(|| match self.kind {
            Kind::Blobs => blobs(&dir, self.count, self.size),
            Kind::Tree => tree(&dir, self.count),
        });
        dir
    }

    /// The files of [`Kind::Blobs`], in so many directories with as many in each; for nothing else after that.
    pub(crate) fn shares(&self, directories: usize) -> Vec<PathBuf> {
        let files = self.files();
        let share = |i: usize| files.join(format!("d{i:02}"));
        for i in 0..self.count {
            let (name, dir) = (format!("f{i:05}"), share(i % directories));
            fs::create_dir_all(&dir).unwrap();
            let _ = fs::rename(files.join(&name), dir.join(&name));
        }
        (0..directories).map(share).collect()
    }

    /// The same as a layout, with the tag `v1`. All layouts are in one directory.
    pub(crate) fn layout(&self) -> PathBuf {
        let files = self.files();
        let dir = self.place.join("layouts").join(self.name);
        self.packed.get_or_init(|| {
            fs::create_dir_all(dir.parent().unwrap()).unwrap();
            let (program, files, layout) = (&self.place.program, files.display(), dir.display());
            shell(self.place, &format!("{program} -q push --set layout=files {files} oci:{layout}:v1"));
        });
        dir
    }

    /// The digests of the layers, in hexadecimal.
    pub(crate) fn layers(&self) -> Vec<String> {
        let blobs = fs::read_dir(self.layout().join("blobs/sha256")).unwrap().map(Result::unwrap);
        let layers = blobs.filter(|blob| blob.metadata().unwrap().len() == self.size as u64);
        layers.map(|blob| blob.file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Sample<'_> {
    fn drop(&mut self) {
        self.place.remove(self.name);
        self.place.remove(&format!("layouts/{}", self.name));
    }
}

fn blobs(dir: &Path, count: usize, size: usize) {
    fs::create_dir_all(dir).unwrap();
    let mut state = size as u64 + 1;
    for i in 0..count {
        let mut file = BufWriter::new(fs::File::create(dir.join(format!("f{i:05}"))).unwrap());
        for _ in 0..size / 8 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes()).unwrap();
        }
    }
}

fn tree(dir: &Path, count: usize) {
    for i in 0..count {
        let folder = dir.join(format!("d{:03}", i / 100));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("f{i:05}.txt")), text(i, TREE_FILE / 2 + (i * 7919) % TREE_FILE)).unwrap();
    }
}
