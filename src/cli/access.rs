//! Connection and login flags: for all registries of a command, or for one side of a copy.

use std::{
    collections::HashSet,
    fmt,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use artifact::{
    Error, Result, environment,
    error::Context as _,
    fs,
    stores::registry::{AuthFiles, ClientCertificate, Credential, Credentials, Options, Origin, Protocol, check_roots},
};
use async_trait::async_trait;

use super::report::Report;

/// Size limit of a certificate or key file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// Length limit of a password, in bytes.
const MAX_PASSWORD: u64 = 64 << 10;

/// Connection and login flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct Access {
    /// Use HTTP instead of HTTPS; `=false` uses HTTPS for loopback addresses too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    plain_http: Option<bool>,
    /// Do not verify the registry's TLS certificate
    #[arg(long, alias = "insecure-skip-tls-verify")]
    insecure: bool,
    /// Also trust the certificates in this PEM file
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Client certificate for registries that request one, PEM
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// Private key of the client certificate, PEM; by default read from the certificate file
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
    /// Credentials file in Docker's format
    #[arg(long, value_name = "FILE", aliases = ["authfile", "registry-config"])]
    auth_file: Option<PathBuf>,
    /// User name; overrides the credentials file and prompts for the password
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    /// Read the password from stdin
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[arg(skip)]
    password: Password,
}

/// A password that is read once; `Debug` does not show it.
#[derive(Clone, Default)]
struct Password(Arc<Mutex<Option<String>>>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

macro_rules! side {
    ($name:ident, $side:literal, $other:literal, $place:literal) => {
        #[doc = concat!("Connection and login flags for ", $place, " alone.")]
        #[derive(Debug, Clone, Default, clap::Args)]
        #[command(next_help_heading = concat!("Registry of ", $place, ", if different"))]
        pub(crate) struct $name {
            /// Use HTTP instead of HTTPS; `=false` uses HTTPS for loopback addresses too
            #[arg(id = concat!($side, "-plain-http"), long = concat!($side, "-plain-http"))]
            #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
            plain_http: Option<bool>,
            /// Do not verify its TLS certificate
            #[arg(id = concat!($side, "-insecure"), long = concat!($side, "-insecure"))]
            insecure: bool,
            /// Also trust the certificates in this PEM file
            #[arg(id = concat!($side, "-ca-file"), long = concat!($side, "-ca-file"), value_name = "FILE")]
            ca_file: Option<PathBuf>,
            /// Client certificate, PEM
            #[arg(id = concat!($side, "-cert-file"), long = concat!($side, "-cert-file"), value_name = "FILE")]
            cert_file: Option<PathBuf>,
            /// Private key of the client certificate, PEM
            #[arg(id = concat!($side, "-key-file"), long = concat!($side, "-key-file"), value_name = "FILE")]
            #[arg(requires = concat!($side, "-cert-file"))]
            key_file: Option<PathBuf>,
            /// Credentials file in Docker's format
            #[arg(id = concat!($side, "-auth-file"), long = concat!($side, "-auth-file"), value_name = "FILE")]
            #[arg(alias = concat!($side, "-registry-config"))]
            auth_file: Option<PathBuf>,
            /// User name
            #[arg(id = concat!($side, "-username"), long = concat!($side, "-username"), value_name = "NAME")]
            username: Option<String>,
            /// Read the password from stdin
            #[arg(id = concat!($side, "-password-stdin"), long = concat!($side, "-password-stdin"))]
            #[arg(requires = concat!($side, "-username"), conflicts_with_all = ["password_stdin", concat!($other, "-password-stdin")])]
            password_stdin: bool,
        }

        impl From<$name> for Access {
            fn from(side: $name) -> Self {
                Self {
                    plain_http: side.plain_http,
                    insecure: side.insecure,
                    ca_file: side.ca_file,
                    cert_file: side.cert_file,
                    key_file: side.key_file,
                    auth_file: side.auth_file,
                    username: side.username,
                    password_stdin: side.password_stdin,
                    password: Password::default(),
                }
            }
        }
    };
}

side!(FromArgs, "from", "to", "FROM");
side!(ToArgs, "to", "from", "TO");

impl Access {
    /// Fills unset flags from `other`. Login flags go together, as do a certificate and its key.
    pub(crate) fn or(self, other: &Self) -> Self {
        let login = if self.auth_file.is_some() || self.username.is_some() { self.clone() } else { other.clone() };
        let certificate = if self.cert_file.is_some() { self.clone() } else { other.clone() };
        Self {
            plain_http: self.plain_http.or(other.plain_http),
            insecure: self.insecure || other.insecure,
            ca_file: self.ca_file.or_else(|| other.ca_file.clone()),
            cert_file: certificate.cert_file,
            key_file: certificate.key_file,
            ..login
        }
    }

    /// Applies the connection flags to `options`. Errors: an unreadable or invalid certificate or key file.
    pub(crate) fn apply(&self, options: &mut Options) -> Result<()> {
        if let Some(plain) = self.plain_http {
            options.protocol = if plain { Protocol::Http } else { Protocol::Https };
        }
        options.insecure_tls |= self.insecure;
        if let Some(file) = &self.ca_file {
            let roots = read_flag_file(file)?;
            let place = || format!("`{}`", file.display());
            check_roots(&roots).map_err(Error::of_configuration).context(place)?;
            options.roots.push(roots);
        }
        if let Some(file) = &self.cert_file {
            let key = self.key_file.as_ref().unwrap_or(file);
            let both = || format!("`{}` and `{}`", file.display(), key.display());
            let pair = ClientCertificate::from_pem(&read_flag_file(file)?, &read_flag_file(key)?);
            options.certificate = Some(pair.map_err(Error::of_configuration).context(both)?);
        }
        Ok(())
    }

    /// The named user's credentials, else those of the files. Errors: the named file does not exist.
    pub(crate) fn credentials(&self, report: &Report) -> Result<Arc<dyn Credentials>> {
        if self.username.is_some() {
            return Ok(Arc::new(self.clone()));
        }
        if let Some(file) = self.auth_file.as_ref().filter(|file| !file.exists()) {
            let message = format!("the credentials file `{}` does not exist", file.display());
            return Err(Error::not_found(message).of_configuration());
        }
        Ok(self.files(report))
    }

    /// The credentials of the files.
    pub(crate) fn files(&self, report: &Report) -> Arc<dyn Credentials> {
        let dirs = environment::program_dirs();
        let files = match &self.auth_file {
            Some(file) => AuthFiles::new(vec![file.clone()], dirs),
            None => {
                let given = environment::given_credentials();
                AuthFiles { given, ..AuthFiles::new(environment::credential_files(), dirs) }
            }
        };
        Arc::new(Files { files, report: report.clone(), warned: Mutex::default() })
    }

    /// Whether stdin holds the password and can serve nothing else.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.password_stdin
    }

    /// The file in which `login` stores credentials.
    pub(crate) fn login_file(&self) -> Result<PathBuf> {
        self.auth_file.clone().map_or_else(environment::login_file, Ok)
    }

    /// User name and password, from the flags, stdin or the terminal.
    pub(crate) fn login(&self, origin: &Origin) -> Result<Credential> {
        if !self.password_stdin && !io::stdin().is_terminal() {
            return Err(Error::misuse(
                "cannot prompt for the password: stdin is not a terminal; `--password-stdin` reads it from stdin",
            ));
        }
        let username = match &self.username {
            Some(name) => name.clone(),
            None => prompt("Username: ")?,
        };
        Ok(Credential::password(origin, username, self.password()?)?.found_in("the command line"))
    }

    /// The password, read once for all registries.
    fn password(&self) -> Result<String> {
        let mut known = self.password.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(password) = known.as_ref() {
            return Ok(password.clone());
        }
        let password = if self.password_stdin {
            let bytes = fs::up_to(io::stdin(), MAX_PASSWORD).context(|| "cannot read the password")?;
            let bytes =
                bytes.ok_or_else(|| Error::limit(format!("the password is longer than {MAX_PASSWORD} bytes")))?;
            let text = String::from_utf8(bytes).map_err(|_| Error::invalid("the password is not UTF-8"))?;
            text.trim_end_matches(['\n', '\r']).to_owned()
        } else {
            rpassword::prompt_password("Password: ").context(|| "cannot read the password")?
        };
        if password.is_empty() {
            return Err(Error::misuse("the password is empty"));
        }
        Ok(known.insert(password).clone())
    }
}

/// The credentials of files; warns, once, of files that other users can read, and of helpers that are missing.
struct Files {
    files: AuthFiles,
    report: Report,
    warned: Mutex<HashSet<String>>,
}

#[async_trait]
impl Credentials for Files {
    async fn get(&self, origin: &Origin, repository: &str) -> Result<Option<Credential>> {
        if let Some(missing) = self.files.missing_helper(origin) {
            self.warn_once(missing.to_string(), format!("{missing}; going on without it"));
        }
        let found = self.files.get(origin, repository).await?;
        if let Some(file) = found.as_ref().filter(|found| found.is_exposed()).and_then(Credential::source) {
            let warning = format!("other users can read the credentials in {file}; `chmod 600` prevents it");
            self.warn_once(file.to_owned(), warning);
        }
        Ok(found)
    }
}

impl Files {
    fn warn_once(&self, about: String, warning: String) {
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(about) {
            self.report.warn(warning);
        }
    }
}

/// The named user logs in to every registry of the command.
#[async_trait]
impl Credentials for Access {
    async fn get(&self, origin: &Origin, _: &str) -> Result<Option<Credential>> {
        self.login(origin).map(Some)
    }
}

fn prompt(question: &str) -> Result<String> {
    let mut err = io::stderr().lock();
    err.write_all(question.as_bytes()).and_then(|()| err.flush()).context(|| "cannot write the prompt")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context(|| "cannot read the user name")?;
    Ok(answer.trim().to_owned())
}

/// Reads a file named by a flag. A missing one is a configuration error, not a missing artifact.
fn read_flag_file(file: &Path) -> Result<Vec<u8>> {
    fs::read(file, MAX_FILE).map_err(Error::of_configuration)
}
