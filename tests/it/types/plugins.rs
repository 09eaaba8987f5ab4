//! Types that are programs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use artifact::{
    Kind, Result,
    oci::{Digest, media_type},
    plan::{Document, Plan},
    source::Source,
    types::{
        View,
        plugin::{self, Plugin, Plugins, Timeouts},
    },
};

use super::{manifest, packed, set, tree};

/// A directory of programs.
struct Programs(tempfile::TempDir);

impl Programs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A program that answers each of its three questions by these lines of shell.
    fn of(describe: &str, plan: &str, unpack: &str) -> Self {
        let programs = Self::new();
        programs.add(&format!("case $1 in describe) {describe};; plan) {plan};; unpack) {unpack};; esac"));
        programs
    }

    fn add(&self, body: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.path().join("artifact-type-sh");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn plugins(&self, longest: Duration) -> Plugins {
        let timeouts = Timeouts { describe: longest, plan: longest, unpack: longest };
        Plugins::new(vec![self.0.path().join("none"), self.0.path().to_owned()], timeouts)
    }

    async fn plugin(&self) -> Result<Plugin> {
        self.plugins(Duration::from_secs(20)).get("sh").await.map(Option::unwrap)
    }

    async fn plan(&self, source: &Path) -> Result<Plan> {
        self.plugin().await?.plan(&Source::open(source).unwrap(), &set(&[("a", "b")])).await
    }
}

/// What a program says of itself.
const ABOUT: &str =
    r#"echo '{"apiVersion":"artifact-plan/v1","name":"sh","artifactTypes":["application/vnd.sh"],"unpacks":true}'"#;
const EMPTY: &str = r#"{"id":"config","mediaType":"application/vnd.oci.empty.v1+json","empty":{}}"#;

/// Prints a plan of one manifest with one layer.
fn printed(base: &str, file: &str) -> String {
    format!(
        r#"printf '{{"apiVersion":"artifact-plan/v1","type":"x","base":"%s","manifest":{{"config":{EMPTY},"artifactType":"application/vnd.sh","layers":[{{"mediaType":"text/plain","file":"{file}"}}]}}}}' "{base}""#
    )
}

#[tokio::test]
async fn a_program_can_be_a_type() {
    let source = tree(&[("a.txt", "a")]);
    let programs = Programs::of(
        ABOUT,
        &format!(
            "read -r question; case $question in *'\"a\":\"b\"'*) ;; *) exit 9;; esac\n{}",
            printed("$2", "a.txt")
        ),
        "exit 9",
    );
    assert_eq!(plugin::list(&[programs.0.path().to_owned()])[0].0, "sh");
    let plan = programs.plan(source.path()).await.unwrap();
    assert_eq!((plan.type_name.as_str(), plan.manifest().unwrap().layers.len()), ("sh", 1));
    assert_eq!(packed(&plan).await.layers()[0].digest, Digest::of(b"a"));
}

#[tokio::test]
async fn annotations_of_the_user_are_added_to_what_a_program_plans() {
    let source = tree(&[("a.txt", "a")]);
    let plugin = Programs::of(ABOUT, &printed("$2", "a.txt"), "exit 9");
    let mut inputs = set(&[]);
    inputs.annotations.insert("k".into(), "v".into());
    let source = Source::open(source.path()).unwrap();
    let plan = plugin.plugin().await.unwrap().plan(&source, &inputs).await.unwrap();
    assert_eq!(plan.manifest().unwrap().annotations["k"], "v");
}

#[tokio::test]
async fn a_program_is_asked_what_it_is_once_and_again_when_it_changed() {
    let programs = Programs::new();
    let asked = programs.0.path().join("asked");
    let body = format!("echo x >>{}; {ABOUT}", asked.display());
    programs.add(&body);
    let plugins = programs.plugins(Duration::from_secs(20));
    for _ in 0..3 {
        assert!(plugins.get("sh").await.unwrap().unwrap().about().unpacks);
    }
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x\n");
    programs.add(&format!("{body} # another"));
    plugins.get("sh").await.unwrap();
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn a_program_that_does_not_say_what_it_is_is_not_asked_again_before_it_changed() {
    let programs = Programs::new();
    let asked = programs.0.path().join("asked");
    programs.add(&format!("echo x >>{}; echo usage >&2; exit 2", asked.display()));
    let plugins = programs.plugins(Duration::from_secs(20));
    let first = plugins.get("sh").await.unwrap_err();
    let (found, broken) = plugins.recognise(&manifest(Some("application/vnd.sh"), "a/b", &[])).await;
    assert!(found.is_none() && first.to_string().contains("usage"), "{first}");
    assert_eq!(
        broken.iter().map(|e| (e.kind(), e.to_string())).collect::<Vec<_>>(),
        [(first.kind(), first.to_string())]
    );
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x\n");
    programs.add(ABOUT);
    assert!(plugins.get("sh").await.is_ok());
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_asked_again() {
    let programs = Programs::new();
    let interpreter = programs.0.path().join("interpreter");
    let path = programs.add(ABOUT);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("/bin/sh", &interpreter.display().to_string())).unwrap();
    let plugins = programs.plugins(Duration::from_secs(20));
    assert!(plugins.get("sh").await.unwrap_err().to_string().contains("cannot start"));
    std::os::unix::fs::symlink("/bin/sh", interpreter).unwrap();
    assert!(plugins.get("sh").await.is_ok());
}

#[tokio::test]
async fn the_base_of_a_plan_is_relative_to_the_source() {
    let source = tree(&[("sub/a.txt", "a")]);
    let plan = Programs::of(ABOUT, &printed("sub", "a.txt"), "exit 9").plan(source.path()).await.unwrap();
    assert_eq!(packed(&plan).await.layers()[0].digest, Digest::of(b"a"));
}

#[tokio::test]
async fn a_program_is_known_by_the_artifact_type_before_the_config_and_only_where_it_unpacks() {
    let programs = Programs::of(ABOUT, "exit 9", "exit 9");
    let add = |name: &str, types: &str, unpacks: bool| {
        let about = format!(
            r#"echo '{{"apiVersion":"artifact-plan/v1","name":"{name}","artifactTypes":[{types}],"unpacks":{unpacks}}}'"#
        );
        let path = programs.add(&about);
        fs::rename(path, programs.0.path().join(format!("artifact-type-{name}"))).unwrap();
    };
    add("aaa", r#""application/vnd.sh""#, false);
    add("bbb", r#""application/vnd.config+json","application/vnd.oci.empty.v1+json""#, true);
    add("ccc", r#""application/vnd.ours""#, true);
    let plugins = programs.plugins(Duration::from_secs(20));
    for (artifact_type, config, expected) in [
        (Some("application/vnd.ours"), "application/vnd.config+json", Some("ccc")),
        (None, "application/vnd.config+json", Some("bbb")),
        (Some("application/vnd.sh"), media_type::EMPTY, None),
    ] {
        let (found, broken) = plugins.recognise(&manifest(artifact_type, config, &[])).await;
        assert_eq!(found.map(|plugin| plugin.about().name.clone()).as_deref(), expected);
        assert!(broken.is_empty(), "{broken:?}");
    }
}

#[tokio::test]
async fn a_program_plans_an_index_and_unpacks_a_manifest_that_it_knows() {
    let source = tree(&[("a.txt", "a")]);
    let member = format!(
        r#"{{"manifest":{{"config":{EMPTY},"artifactType":"application/vnd.sh"}},"platform":{{"os":"linux","architecture":"arm64"}}}}"#
    );
    let index = format!(
        r#"printf '{{"apiVersion":"artifact-plan/v1","type":"x","base":"%s","index":{{"members":[{member}]}}}}' "$2""#
    );
    let layer = r#"sed 's/.*\("layers":\[{[^}]*}\)\].*/\1/; s/"layers":\[/{"steps":[{"path":"d\/f","action":{"write":{}},"blob":/; s/$/}]}/'"#;
    let programs = Programs::of(ABOUT, &index, layer);
    let plan = programs.plan(source.path()).await.unwrap();
    let Document::Index(index) = &plan.root else { panic!("{plan:?}") };
    assert_eq!(index.members[0].platform.as_ref().unwrap().to_string(), "linux/arm64");
    assert_eq!(packed(&plan).await.documents().len(), 2);
    let known = manifest(Some("application/vnd.sh"), media_type::EMPTY, &[("text/plain", &[])]);
    let plugins = programs.plugins(Duration::from_secs(20));
    let (plugin, broken) = plugins.recognise(&known).await;
    assert!(broken.is_empty(), "{broken:?}");
    let unpacking = plugin.unwrap().unpacking(&known, b"{}", View::Native).await.unwrap();
    assert_eq!((unpacking.steps[0].path.as_str(), &unpacking.steps[0].blob), ("d/f", &known.layers[0]));
    let other = manifest(Some("application/vnd.other"), media_type::EMPTY, &[]);
    assert!(plugins.recognise(&other).await.0.is_none());
}

#[tokio::test]
async fn what_a_program_wants_unpacked_stays_below_the_destination_and_is_of_the_manifest() {
    let known = manifest(Some("application/vnd.sh"), media_type::EMPTY, &[("text/plain", &[])]);
    let (own, other) = (known.layers[0].digest.to_string(), Digest::of(b"other").to_string());
    for (path, digest, message) in
        [("../x", &own, "leads upwards"), ("/x", &own, "is an absolute path"), ("x", &other, "is not in this manifest")]
    {
        let answer = format!(
            r#"echo '{{"steps":[{{"path":"{path}","action":{{"write":{{}}}},"blob":{{"mediaType":"a/b","digest":"{digest}","size":1}}}}]}}'"#
        );
        let programs = Programs::of(ABOUT, "exit 9", &answer);
        let error = programs.plugin().await.unwrap().unpacking(&known, b"", View::Native).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test]
async fn a_config_that_programs_in_other_languages_read_otherwise_is_given_to_none() {
    let known = manifest(Some("application/vnd.sh"), media_type::EMPTY, &[]);
    let programs = Programs::of(ABOUT, "exit 9", "touch $0.ran; exit 9");
    let config = br#"{"name":"good","Name":"evil"}"#;
    let error = programs.plugin().await.unwrap().unpacking(&known, config, View::Native).await.unwrap_err();
    assert!(error.to_string().contains("the keys `name` and `Name`"), "{error}");
    assert!(!programs.0.path().join("artifact-type-sh.ran").exists());
}

#[tokio::test]
async fn a_program_that_misbehaves_is_an_error_that_says_how() {
    for (body, kind, message) in [
        (
            "printf '\\033[31mno such deck\\nmore' >&2; exit 3".to_owned(),
            Kind::Invalid,
            "failed (exit status: 3): \u{1b}[31mno such deck",
        ),
        ("exit 1".to_owned(), Kind::Invalid, "no message on standard error"),
        (
            "echo hello".to_owned(),
            Kind::Invalid,
            "expected a plan of version `artifact-plan/v1` on stdout: expected value",
        ),
        ("yes 0123456789".to_owned(), Kind::Limit, "larger than 16777216 bytes"),
        (printed("/", "etc/passwd"), Kind::Escape, "is outside the source"),
        (printed("$2/..", "x"), Kind::Escape, "is outside the source"),
        (printed("$2", "../x"), Kind::Escape, "leads upwards"),
        (
            printed("$2", "a.txt").replace("plan/v1", "plan/v2"),
            Kind::Invalid,
            "the plan has version `artifact-plan/v2`",
        ),
        (
            printed("$2", "a.txt").replace("\"file\"", "\"fiel\""),
            Kind::Invalid,
            "`manifest.layers[0].fiel`: unknown field",
        ),
        (
            printed("$2", "a.txt").replace("\"file\"", "\"text\":\"t\",\"file\""),
            Kind::Invalid,
            "exactly one of `empty`",
        ),
    ] {
        let programs = Programs::of(ABOUT, &body, "exit 9");
        let error = programs.plan(tree(&[("a.txt", "a")]).path()).await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_say_what_it_is_is_an_error_that_says_how() {
    for (describe, kind, message) in [
        (ABOUT.replace("plan/v1", "plan/v2"), Kind::Unsupported, "it uses version `artifact-plan/v2`"),
        (ABOUT.replace("\"sh\"", "\"zsh\""), Kind::Invalid, "its description has the name `zsh`, not `sh`"),
        (ABOUT.replace("unpacks", "unpack"), Kind::Invalid, "`unpack`: unknown field"),
        ("echo usage >&2; exit 2".to_owned(), Kind::Invalid, "usage"),
    ] {
        let error = Programs::of(&describe, "exit 9", "exit 9").plugin().await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[tokio::test]
async fn a_program_that_is_still_being_written_is_tried_again() {
    let programs = Programs::of(ABOUT, "exit 9", "exit 9");
    let writer = fs::OpenOptions::new().append(true).open(programs.0.path().join("artifact-type-sh")).unwrap();
    let plugins = programs.plugins(Duration::from_secs(20));
    let (found, ()) = tokio::join!(plugins.get("sh"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(writer);
    });
    assert!(found.unwrap().is_some());
}

#[tokio::test]
async fn a_program_that_never_answers_is_given_up() {
    let programs = Programs::of("sleep 1000 & wait", "exit 9", "exit 9");
    let error = programs.plugins(Duration::from_millis(100)).get("sh").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[tokio::test]
async fn what_a_program_leaves_running_ends_with_it_and_does_not_hold_up_its_answer() {
    let programs = Programs::new();
    let pid = programs.0.path().join("pid");
    programs.add(&format!("sleep 1000 & echo $! >{}; {ABOUT}", pid.display()));
    programs.plugin().await.unwrap();
    let status = format!("/proc/{}/stat", fs::read_to_string(&pid).unwrap().trim());
    // One that leaves the group and keeps the pipes open holds nobody up; it ends by itself.
    let programs = Programs::new();
    programs.add(&format!("setsid sleep 60 & {ABOUT}"));
    programs.plugin().await.unwrap();
    // Whoever takes in orphans may need a moment.
    while fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
