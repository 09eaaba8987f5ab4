//! A pair of key files: both are written, or none.

use std::{
    ffi::OsString,
    fs::Permissions,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::PrivateKey;
use crate::error::{Code, Context as _, Error, Kind, Result};

/// The files of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The private key, encrypted: `PREFIX.key`, which its owner alone can read.
    pub private: PathBuf,
    /// The public key: `PREFIX.pub`.
    pub public: PathBuf,
}

impl Pair {
    /// The files with this prefix.
    #[must_use]
    pub fn new(prefix: &Path) -> Self {
        let with = |end: &str| {
            let mut name = OsString::from(prefix);
            name.push(end);
            PathBuf::from(name)
        };
        Self { private: with(".key"), public: with(".pub") }
    }

    /// Errors: kind `Exists` if one of the files is there.
    pub fn check_absent(&self) -> Result<()> {
        let there = [&self.private, &self.public].into_iter().find(|path| path.symlink_metadata().is_ok());
        there.map_or(Ok(()), |path| Err(exists(path)))
    }

    /// Writes both files; if one cannot be written, none is, and those that were there stay.
    ///
    /// Errors: kind `Exists` if one of the files is there, unless `force`; a directory that cannot be written to.
    pub fn write(&self, key: &PrivateKey, password: &str, force: bool) -> Result<()> {
        if !force {
            self.check_absent()?;
        }
        let private = temporary(&self.private, key.to_encrypted_pem(password)?.as_bytes(), 0o600)?;
        let public = temporary(&self.public, key.public().to_pem().as_bytes(), 0o644)?;
        let before = std::fs::read(&self.public).ok();
        keep(public, &self.public, force)?;
        keep(private, &self.private, force).inspect_err(|_| {
            // What was there before is put back; a failure of this changes nothing for the caller.
            let _ = match before {
                Some(content) => std::fs::write(&self.public, content),
                None => std::fs::remove_file(&self.public),
            };
        })
    }
}

fn temporary(path: &Path, content: &[u8], mode: u32) -> Result<NamedTempFile> {
    let written = || {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let permissions = Permissions::from_mode(mode);
        let mut file = tempfile::Builder::new().prefix(".artifact-").permissions(permissions).tempfile_in(dir)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        Ok::<_, std::io::Error>(file)
    };
    written().map_err(Error::from).context(|| format!("write `{}`", path.display()))
}

fn keep(file: NamedTempFile, path: &Path, force: bool) -> Result<()> {
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => Ok(()),
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(e) => Err(Error::from(e.error).context(format!("write `{}`", path.display()))),
    }
}

fn exists(path: &Path) -> Error {
    Error::new(Kind::Exists, format!("`{}` is there already", path.display()))
        .with_code(Code::FileExists)
        .with_path(path)
}
