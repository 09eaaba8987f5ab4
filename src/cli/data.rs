//! Where the content goes that `cat`, `manifest get` and `blob get` read: to stdout, or to a file.

use std::{
    io::{self, IsTerminal as _, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use artifact::{
    Error, Kind, Result, blob::ByteStream, error::Context as _, fs::escape, location::Pin, oci::Digest, store::collect,
    text::is_harmful,
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;

use super::report::Report;

/// Most bytes that are indented.
const MAX_PRETTY: u64 = 64 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct DataArgs {
    /// Write to this file instead of stdout; it is replaced when all is there
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Indent JSON; of a key that is there twice, the last is printed
    #[arg(long)]
    pretty: bool,
}

impl DataArgs {
    /// Writes all of a stream. A terminal gets text only, with a line break at the end.
    ///
    /// Errors: the stream fails; with `--pretty`, it is no JSON; it is binary and stdout is a terminal.
    pub(crate) async fn write(&self, stream: ByteStream, report: &Report) -> Result<()> {
        let stream = if self.pretty { indented(stream).await? } else { stream };
        match self.output.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => to_file(stream, path).await,
            None if io::stdout().is_terminal() => to_terminal(stream, report).await,
            None => to_stdout(stream, report).await,
        }
    }
}

async fn indented(stream: ByteStream) -> Result<ByteStream> {
    let bytes = collect(stream, MAX_PRETTY).await?;
    let no_json = |e| Error::caused(Kind::Invalid, "`--pretty` is for JSON, which this is not", e);
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(no_json)?;
    let mut text = serde_json::to_vec_pretty(&json).map_err(no_json)?;
    text.push(b'\n');
    Ok(artifact::blob::once(text.into()))
}

async fn to_stdout(mut stream: ByteStream, report: &Report) -> Result<()> {
    while let Some(chunk) = stream.try_next().await? {
        report.bytes(&chunk)?;
    }
    Ok(())
}

async fn to_terminal(mut stream: ByteStream, report: &Report) -> Result<()> {
    let (mut rest, mut last) = (BytesMut::new(), b'\n');
    while let Some(chunk) = stream.try_next().await? {
        rest.extend_from_slice(&chunk);
        let text = rest.split_to(shown_part(&rest)?);
        last = text.last().copied().unwrap_or(last);
        report.bytes(&text)?;
    }
    match (rest.is_empty(), last) {
        (false, _) => Err(binary()),
        (true, b'\n') => Ok(()),
        (true, _) => report.bytes(b"\n"),
    }
}

/// The length of the text at the start; what remains is less than a character. Errors: it is not text, or has characters
/// that do harm on a terminal.
fn shown_part(bytes: &[u8]) -> Result<usize> {
    let len = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(e) if e.error_len().is_none() => e.valid_up_to(),
        Err(_) => return Err(binary()),
    };
    let text = bytes.get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let harms = |c: char| is_harmful(c) && !matches!(c, '\n' | '\t' | '\r');
    if text.contains(harms) { Err(binary()) } else { Ok(len) }
}

fn binary() -> Error {
    Error::misuse("this is binary, which is not printed on a terminal: `-o FILE` writes it to a file")
}

/// Writes a file that is there when all of it is, with the permissions of the one before, or of a new one. A link stays,
/// and its target is replaced; into a pipe or a device, it is written as it comes.
pub(crate) async fn to_file(stream: ByteStream, path: &Path) -> Result<()> {
    let fail = || format!("cannot write `{}`", escape(path));
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let before = std::fs::metadata(&path).ok();
    if before.as_ref().is_some_and(|before| !before.is_file()) {
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).context(fail)?;
        return write_all(stream, &mut file, fail).await;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = before.map_or_else(|| std::fs::Permissions::from_mode(0o666), |before| before.permissions());
    let mut file =
        tempfile::Builder::new().prefix(".artifact-tmp-").permissions(mode).tempfile_in(parent).context(fail)?;
    write_all(stream, &mut file, fail).await?;
    file.persist(&path).map_err(|e| e.error).context(fail).map(drop)
}

async fn write_all(mut stream: ByteStream, to: &mut impl io::Write, fail: impl Fn() -> String) -> Result<()> {
    while let Some(chunk) = stream.try_next().await? {
        to.write_all(&chunk).context(&fail)?;
    }
    Ok(())
}

/// Errors: content that is pushed by hand has another digest than the one that it is pushed to.
pub(crate) fn check_pin(pin: Option<&Pin>, own: &Digest) -> Result<()> {
    match pin {
        None => Ok(()),
        Some(Pin::Prefix(prefix)) => Err(Error::misuse(format!("`{prefix}` is not a whole digest"))),
        Some(Pin::Digest(wanted)) if wanted.algorithm() != own.algorithm() => {
            let message = format!("content is pushed under its {} digest, not {wanted}", own.algorithm().name());
            Err(Error::misuse(message))
        }
        Some(Pin::Digest(wanted)) if wanted != own => {
            Err(Error::mismatch(format!("the content has the digest {own}, not {wanted}")))
        }
        Some(Pin::Digest(_)) => Ok(()),
    }
}

/// All of stdin, in a temporary file.
pub(crate) async fn spooled() -> Result<tempfile::NamedTempFile> {
    blocking(|| {
        let mut file = tempfile::Builder::new().prefix(".artifact-tmp-").tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file).map(|_| file)
    })
    .await
    .context(|| "cannot keep stdin in a temporary file")
}

/// All of stdin, in a file of this name in a temporary directory.
pub(crate) async fn spooled_as(name: &str) -> Result<(tempfile::TempDir, PathBuf)> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Err(Error::misuse(format!("`{}` is not the name of a file", escape(name))));
    }
    let name = name.to_owned();
    let spooled = blocking(move || {
        let dir = tempfile::Builder::new().prefix(".artifact-tmp-").tempdir()?;
        let path = dir.path().join(name);
        io::copy(&mut io::stdin().lock(), &mut std::fs::File::create_new(&path)?)?;
        Ok((dir, path))
    });
    spooled.await.context(|| "cannot keep stdin in a temporary file")
}

/// Reads a file, or stdin for `-`. Errors: more than `limit` bytes.
pub(crate) async fn read(path: &Path, limit: u64) -> Result<Bytes> {
    let (from, most) = (path.to_owned(), limit.saturating_add(1));
    let bytes = blocking(move || {
        let mut bytes = Vec::new();
        match from == Path::new("-") {
            true => io::stdin().lock().take(most).read_to_end(&mut bytes),
            false => std::fs::File::open(&from)?.take(most).read_to_end(&mut bytes),
        }
        .map(|_| bytes)
    });
    let bytes = bytes.await.context(|| format!("cannot read `{}`", escape(path)))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(Kind::Limit, format!("`{}` has more than {limit} bytes", escape(path))));
    }
    Ok(bytes.into())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::caused(Kind::Internal, "reading was aborted", e))?.map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_text_up_to_the_last_whole_character_and_nothing_that_controls_it() {
        assert_eq!(shown_part(b"a\tb\r\n").unwrap(), 5);
        assert_eq!(shown_part("aé".as_bytes()).unwrap(), 3);
        assert_eq!(shown_part(&"aé".as_bytes()[..2]).unwrap(), 1);
        for binary in [&b"\x1f\x8b\x08"[..], b"a\x1b[2J", "a\u{202e}".as_bytes(), b"\0", b"\xff"] {
            assert_eq!(shown_part(binary).unwrap_err().kind(), Kind::Misuse, "{binary:?}");
        }
    }
}
