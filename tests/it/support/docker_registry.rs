//! Debian's `docker-registry` on a free loopback port, its content in a directory of its own, gone with its handle.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{peer, tls::Identity};

/// A running registry.
pub(crate) struct DockerRegistry {
    child: Child,
    host: String,
    dir: TempDir,
}

/// Who may come in.
pub(crate) enum Access<'a> {
    Anyone,
    /// `USER:BCRYPT-HASH` lines.
    Htpasswd(&'a str),
    /// The URL of a token service, and the certificate of the key that it signs with.
    Token(&'a str, &'a Path),
    /// Anyone who speaks https.
    Https(&'a Identity),
}

/// The user of [`HTPASSWD`].
pub(crate) const USER: &str = "ann";
/// The password of [`HTPASSWD`]: no test may ever find it where it does not belong.
pub(crate) const PASSWORD: &str = "canary-password-7f3a";
/// What `htpasswd -nbB` makes of the two.
pub(crate) const HTPASSWD: &str = "ann:$2y$05$i69IDXKtct8XZObW2x.jGuP5cYEMztTlgqjarPmi1dR2yhX7L8b1a";

impl DockerRegistry {
    /// Starts one.
    pub(crate) fn start(access: Access<'_>) -> Self {
        let program = peer("docker-registry");
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let file = dir.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            file
        };
        // `auth` stands beside `http`, `tls` in it.
        let more = match access {
            Access::Anyone => String::new(),
            Access::Htpasswd(lines) => {
                let file = put("htpasswd", lines.as_bytes());
                format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
            }
            Access::Token(realm, certificate) => format!(
                "auth:\n  token:\n    realm: {realm}\n    service: test-registry\n    issuer: test-issuer\n    \
                 rootcertbundle: {}\n",
                certificate.display()
            ),
            Access::Https(identity) => {
                let (cert, key) = (put("cert.pem", &identity.pem.0), put("key.pem", &identity.pem.1));
                format!("  tls:\n    certificate: {}\n    key: {}\n", cert.display(), key.display())
            }
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    \
             enabled: true\nhttp:\n  addr: 127.0.0.1:0\n{more}",
            dir.path().join("data").display()
        );
        let file = put("config.yml", config.as_bytes());
        let mut child = Command::new(program)
            .args(["serve".as_ref(), file.as_os_str()])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(dir.path().join("access.log")).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let host = loop {
            let Some(Ok(line)) = log.next() else { panic!("docker-registry does not start:\n{}", seen.join("\n")) };
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split(['"', ' ', ',']).next().unwrap().to_owned();
            }
            seen.push(line);
        };
        // Whoever does not read the log stops the writer.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, host, dir }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A line for every request that was answered, in Apache's format.
    pub(crate) fn access_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("access.log")).unwrap()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
