//! Types whose artifacts are indexes.

use std::{fs, path::Path, sync::Arc};

use artifact::{
    Context, Kind,
    location::Location,
    oci::{Descriptor, Index, Parsed, media_type},
    pack::Packed,
    plan::Plan,
    pull, push,
    source::Source,
    types::{ArtifactType, Catalog, Evidence, Inputs, Origin},
};

use super::{define, definition, packed, tree};
use crate::support::examples::root;

/// The type of the examples, and what it makes of this source.
async fn programs(source: &Path, inputs: &Inputs) -> (Arc<ArtifactType>, artifact::Result<Packed>) {
    let file = root().join("examples/types/multi-platform.yaml");
    let kind = Arc::new(ArtifactType::parse(&fs::read_to_string(&file).unwrap(), Origin::File(file)).unwrap());
    let plan = Source::open(source).and_then(|source| kind.plan(&source, inputs));
    match plan {
        Ok(plan) => (kind, Ok(packed(&plan).await)),
        Err(e) => (kind, Err(e)),
    }
}

fn index(packed: &Packed) -> Index {
    serde_json::from_slice(packed.manifest()).unwrap()
}

#[tokio::test]
async fn a_directory_for_each_platform_becomes_an_index() {
    let inputs = Inputs { annotations: [("k".to_owned(), "v".to_owned())].into(), ..Inputs::default() };
    let (kind, packed) = programs(&root().join("examples/programs"), &inputs).await;
    let packed = packed.unwrap();
    let index = index(&packed);
    assert_eq!(packed.root().media_type, media_type::INDEX);
    assert_eq!(index.artifact_type.as_deref(), Some("application/vnd.example.programs.v1"));
    // What the user says is said of the whole.
    assert_eq!(index.annotations["k"], "v");
    let described: Vec<(String, Option<&str>)> = index
        .manifests
        .iter()
        .map(|member| (member.platform.as_ref().unwrap().to_string(), member.artifact_type.as_deref()))
        .collect();
    let programs = Some("application/vnd.example.programs.v1");
    assert_eq!(described, [("linux/amd64".to_owned(), programs), ("linux/arm64".to_owned(), programs)]);
    let [first, ..] = packed.documents() else { panic!() };
    assert_eq!(first.layers()[0].title(), Some("tool"));
    assert!(first.parsed.annotations().is_empty(), "{:?}", first.parsed.annotations());
    // Everything that a summary counts is there once: two manifests, two programs, the empty config, the index.
    let sizes: u64 =
        packed.documents().iter().map(|d| d.desc.size + d.layers().iter().map(|l| l.size).sum::<u64>()).sum();
    assert_eq!(packed.summary().total_size, sizes + 2);
    let mut catalog = Catalog::builtin().unwrap();
    catalog.add(Arc::unwrap_or_clone(kind)).unwrap();
    let document = Parsed::read(media_type::INDEX, packed.manifest()).unwrap();
    let (known, why) = catalog.recognise(&document).unwrap();
    assert_eq!((known.name(), why), ("multi-platform", Evidence::ArtifactType));
    assert_eq!(known.flaws(&index), Vec::<String>::new());
    let other = Index::of(vec![Descriptor { artifact_type: Some("a/b".into()), ..index.manifests[0].clone() }]);
    assert!(known.flaws(&other)[0].contains("is of type `a/b`, not a multi-platform"), "{:?}", known.flaws(&other));
}

#[test]
fn the_tests_of_the_definition_in_the_examples_pass() {
    let file = root().join("examples/types/multi-platform.yaml");
    let kind = Arc::new(ArtifactType::parse(&fs::read_to_string(&file).unwrap(), Origin::File(file)).unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let outcomes = artifact::types::test::run(&kind, scratch.path()).unwrap();
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.failure.as_ref()).collect();
    assert_eq!((outcomes.len(), failures), (2, Vec::<&String>::new()));
    assert_eq!(artifact::types::lint::lint(kind.text(), "t").unwrap(), []);
}

#[tokio::test]
async fn an_index_is_pushed_and_a_platform_of_it_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let mut context = Context::new(dir.path());
    context.types.files.push(root().join("examples/types/multi-platform.yaml"));
    let location = format!("oci:{}:v1", dir.path().join("layout").display());
    let mut options = push::Options::default();
    options.type_name = Some("multi-platform".into());
    push::push(root().join("examples/programs"), &location, &context, &options).await.unwrap();
    let from: Location = location.parse().unwrap();
    let mut options = pull::UnpackOptions::default();
    let files = dir.path().join("files");
    let error = pull::unpack(&from, &files, &context, &options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Ambiguous);
    assert!(error.to_string().contains("`linux/amd64`, `linux/arm64`"), "{error}");
    options.platform = Some("linux/arm64".parse().unwrap());
    pull::unpack(&from, &files, &context, &options).await.unwrap();
    let expected = fs::read(root().join("examples/programs/linux-arm64/tool")).unwrap();
    assert_eq!(fs::read(files.join("tool")).unwrap(), expected);
    options.platform = Some("linux/riscv64".parse().unwrap());
    let error = pull::unpack(&from, &dir.path().join("none"), &context, &options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
}

/// A type with an index over a set that is this.
fn over(set: &str, layer: &str) -> Arc<ArtifactType> {
    let sections = format!(
        "detect: [{{form: tree, dir: {{}}}}]\nsource: {{sets: {{all: {set}}}}}\nindex: {{each: all}}\nlayers: {{items: [{layer}]}}\n\
         manifest: {{artifactType: application/vnd.test}}\n"
    );
    define(&definition(&sections)).unwrap()
}

/// The names of the tar entries, or the titles, of each member.
async fn members(kind: &Arc<ArtifactType>, source: &Path) -> Vec<Vec<String>> {
    let plan = kind.plan(&Source::open(source).unwrap(), &Inputs::default()).unwrap();
    packed(&plan).await;
    let names = |part: &artifact::plan::Part| match &part.content {
        artifact::plan::Content::Tar { entries, .. } => entries.iter().map(|entry| entry.path.clone()).collect(),
        _ => vec![part.annotations["org.opencontainers.image.title"].as_str().unwrap().to_owned()],
    };
    plan.manifests().iter().map(|manifest| manifest.layers.iter().flat_map(names).collect()).collect()
}

#[tokio::test]
async fn a_member_is_a_file_or_directory_right_in_the_set_and_has_what_belongs_to_it() {
    let source = tree(&[("a/deep/x", "1"), ("a/y", "2"), ("a.txt", "3"), ("ab/z", "4")]);
    let tar = "{id: all, tar: {set: all, entries: files}, title: \"{{ member.name }}\"}";
    let found = members(&over("{dir: \".\"}", tar), source.path()).await;
    assert_eq!(found, [vec!["a/deep/x", "a/y"], vec!["a.txt/a.txt"], vec!["ab/z"]]);
    let each = "{id: all, each: all, title: \"{{ file.path }}\"}";
    let found = members(&over("{dir: a}", each), source.path()).await;
    assert_eq!(found, [vec!["a/deep/x"], vec!["a/y"]]);
    let found = members(&over("{globs: [\"**/x\", \"*.txt\"]}", each), source.path()).await;
    assert_eq!(found, [vec!["a.txt"], vec!["a/deep/x"]]);
}

#[test]
fn a_large_index_takes_steps_for_each_of_its_members_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..12_000 {
        fs::write(dir.path().join(i.to_string()), "").unwrap();
    }
    let kind = over("{dir: \".\"}", "{id: all, each: all, mediaType: a/b}");
    let plan = kind.plan(&Source::open(dir.path()).unwrap(), &Inputs::default()).unwrap();
    assert_eq!(plan.manifests().len(), 12_000);
    assert!(plan.manifests().iter().all(|manifest| manifest.layers.len() == 1));
}

#[tokio::test]
async fn what_cannot_become_an_index_is_an_error_that_names_the_member() {
    let (_, found) = programs(tree(&[("x/y", "")]).path(), &Inputs::default()).await;
    assert!(found.unwrap_err().to_string().contains("member `x`: platform `x`: expected OS/ARCH"));
    let empty = over("{globs: [\"*.none\"]}", "{id: all, each: all}");
    let error = empty.plan(&Source::open(tree(&[("x", "")]).path()).unwrap(), &Inputs::default()).unwrap_err();
    assert!(error.to_string().contains("the set `all` is empty"), "{error}");
    for (sections, message) in [
        (
            "index: {each: al}\nsource: {sets: {all: {dir: \".\"}}}\n",
            "t.yaml:4:15: the set `al` does not exist; did you mean `all`",
        ),
        ("manifest: {artifactType: \"{{ member.name }}\"}\n", "the name `member` does not exist"),
        (
            "index: {each: all, platform: \"{{ member.nam }}\"}\nsource: {sets: {all: {dir: \".\"}}}\n",
            "did you mean `name`",
        ),
        ("index: {every: all}\n", "unknown key `every`"),
    ] {
        let error = define(&definition(sections)).unwrap_err().to_string();
        assert!(error.contains(message), "{error}\n{message}");
    }
}

#[tokio::test]
async fn two_members_for_one_platform_are_refused_and_so_are_none_and_half_a_platform() {
    let kind = over("{dir: \".\"}", "{id: all, each: all, title: \"{{ file.name }}\"}");
    let text = kind.text().replace("{each: all}", "{each: all, platform: linux/arm64}");
    let kind = define(&text).unwrap();
    let source = tree(&[("a/x", "1"), ("b/x", "2")]);
    let plan = kind.plan(&Source::open(source.path()).unwrap(), &Inputs::default()).unwrap();
    let error = artifact::pack(&plan, &artifact::pack::Options::new(source.path())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Exists);
    let index = |members: &str| -> Plan {
        let base = serde_json::to_string(source.path()).unwrap();
        let json = format!(
            r#"{{"apiVersion":"artifact-plan/v1","type":"t","base":{base},"index":{{"members":[{members}]}}}}"#
        );
        artifact::plan::parse(json.as_bytes()).unwrap()
    };
    let odd = r#"{"stored":{"location":"x"},"platform":{"os":"linux"}}"#;
    for (members, message) in
        [("", "the index has no members"), (odd, "the platform of member 0 (linux/): expected OS/ARCH")]
    {
        let refused = artifact::pack(&index(members), &artifact::pack::Options::new(source.path())).await.unwrap_err();
        assert!(refused.to_string().contains(message), "{refused}");
    }
    assert!(error.to_string().contains("members 0 and 1 have the same platform, linux/arm64"), "{error}");
}

#[tokio::test]
async fn a_member_that_is_stored_already_is_carried_along_from_where_it_is() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("f.txt"), "content").unwrap();
    let stored = format!("oci:{}:v1", at("stored").display());
    let mut context = Context::new(dir.path());
    let pushed = push::push(at("f.txt"), &stored, &context, &push::Options::default()).await.unwrap();
    let program = |location: &str| {
        let member = format!(r#"{{"stored":{{"location":"{location}"}},"annotations":{{"k":"v"}}}}"#);
        format!(
            "#!/bin/sh\ncase $1 in describe) echo '{{\"apiVersion\":\"artifact-plan/v1\",\"name\":\"all\"}}';;\nplan) echo \
             '{{\"apiVersion\":\"artifact-plan/v1\",\"type\":\"all\",\"base\":\"{}\",\"index\":{{\"members\":[{member}]}}}}';; esac\n",
            dir.path().display()
        )
    };
    let write = |text: String| {
        fs::write(at("artifact-type-all"), text).unwrap();
        fs::set_permissions(at("artifact-type-all"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    write(program(&stored));
    context.types.programs.push(dir.path().into());
    let mut options = push::Options::default();
    options.type_name = Some("all".into());
    let to = format!("oci:{}:all", at("to").display());
    let all = push::push(at("f.txt"), &to, &context, &options).await.unwrap();
    let blob = |digest: &artifact::oci::Digest| fs::read(at("to").join("blobs/sha256").join(digest.hex()));
    let index: Index = serde_json::from_slice(&blob(&all.report.root.digest).unwrap()).unwrap();
    assert_eq!(index.manifests[0].digest, pushed.report.root.digest);
    assert_eq!(index.manifests[0].annotations["k"], "v");
    let manifest: artifact::oci::Manifest = serde_json::from_slice(&blob(&index.manifests[0].digest).unwrap()).unwrap();
    assert_eq!(blob(&manifest.layers[0].digest).unwrap(), b"content");
    assert_eq!(index.manifests[0].artifact_type, manifest.artifact_type);
    // What the plan says of it must be so; what else it says is not taken over.
    let given = |desc: &Descriptor| {
        let mut lie = serde_json::to_value(desc).unwrap();
        lie["data"] = "AAAA".into();
        lie["artifactType"] = "a/lie".into();
        write(program(&stored).replace(r#""location""#, &format!(r#""descriptor":{lie},"location""#)));
    };
    let root = pushed.report.root.bare();
    given(&root);
    let again = push::push(at("f.txt"), &to, &context, &options).await.unwrap();
    assert_eq!(again.report.root.digest, all.report.root.digest);
    for wrong in [
        Descriptor { digest: artifact::oci::Digest::of(b"other"), ..root.clone() },
        Descriptor { size: root.size + 1, ..root.clone() },
        Descriptor { media_type: "a/b".into(), ..root.clone() },
    ] {
        given(&wrong);
        let error = push::push(at("f.txt"), &to, &context, &options).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch, "{error}");
    }
    // One that is not there is told before anything is written.
    write(program(&format!("oci:{}:v2", at("stored").display())));
    let to = format!("oci:{}:all", at("nowhere").display());
    let error = push::push(at("f.txt"), &to, &context, &options).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("member `oci:"), "{error}");
    assert!(!at("nowhere").exists());
}
