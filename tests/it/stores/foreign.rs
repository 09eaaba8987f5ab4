//! Layouts and archives as other programs write them.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use artifact::{
    Code, Kind,
    oci::Digest,
    progress::{Event, Observer, Progress},
    store::{ReadStore, Store},
    stores::{Archive, Layout},
};

use crate::support::{
    program::World,
    samples::{Sample, deliver, named},
    tar::{Entry, archive as tar},
    writing::read,
};

const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The members of an archive of this sample, tagged `v1`: the marker, the list, the content.
fn members(sample: &Sample) -> Vec<Entry> {
    let mut root = serde_json::to_value(sample.root()).unwrap();
    root["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "v1"});
    let list = serde_json::json!({"schemaVersion": 2, "manifests": [root]}).to_string();
    let blobs = sample.all().map(|(desc, bytes)| Entry::file(format!("blobs/sha256/{}", desc.digest.hex()), bytes));
    [Entry::file("oci-layout", MARKER), Entry::file("index.json", list)].into_iter().chain(blobs).collect()
}

fn write(dir: &Path, members: impl IntoIterator<Item = Entry>) -> std::path::PathBuf {
    let path = dir.join("x.tar");
    fs::write(&path, tar(members)).unwrap();
    path
}

async fn is_whole(archive: &Archive, sample: &Sample) {
    assert_eq!(archive.resolve(&named("v1")).await.unwrap(), *sample.root());
    for (desc, bytes) in sample.all() {
        assert!(read(archive, desc, 1 << 20).await.unwrap() == bytes);
    }
}

/// Members that have no place in an archive, as tar writes them of a directory with all sorts of files.
fn others() -> Vec<Entry> {
    let negative = [0xff; 12];
    vec![
        Entry::symlink("latest", "blobs"),
        Entry::hard("index.old", "index.json"),
        Entry::new(b'6', "queue", b""),
        Entry::new(b'3', "null", b""),
        Entry::file("note", b"of 1969").set(136, &negative),
        Entry::file(b"caf\xe9", b"in Latin-1"),
        Entry::file("manifest.json", b"[]"),
        Entry::file("repositories", b"{}"),
        Entry::file("blobs/sha256/README", b"hello"),
        Entry::dir("blobs/sha256/"),
        Entry::pax(&[("mtime", "-1.5"), ("comment", "none")]),
        Entry::file("old", b""),
    ]
}

#[tokio::test]
async fn what_is_neither_content_nor_part_of_the_format_may_be_anything() {
    let (dir, sample) = (tempfile::tempdir().unwrap(), Sample::of(&[b"hello"]));
    let path = write(dir.path(), members(&sample).into_iter().chain(others()));
    let archive = Archive::open(&path).unwrap();
    is_whole(&archive, &sample).await;
    let inventory = archive.inventory().await.unwrap().unwrap();
    assert_eq!(inventory.strays.len(), 10, "{:?}", inventory.strays);
    assert!(inventory.flaws.is_empty(), "{:?}", inventory.flaws);
}

#[tokio::test]
async fn in_the_place_of_what_is_read_it_is_refused() {
    let (dir, sample) = (tempfile::tempdir().unwrap(), Sample::of(&[b"hello"]));
    let blob = format!("./blobs/sha256/{}", Digest::of(b"other").hex());
    for name in [&blob, "oci-layout", "index.json", "blobs", "blobs/sha256"] {
        for other in [Entry::symlink(name, "x"), Entry::hard(name, "x"), Entry::new(b'6', name, b"")] {
            let path = write(dir.path(), members(&sample).into_iter().chain([other]));
            let error = Archive::open(&path).unwrap_err();
            assert!(error.kind() == Kind::Invalid && error.to_string().contains(name), "{name}: {error}");
        }
    }
    // What programs are known to read differently cannot be skipped.
    for other in [Entry::new(b'S', "x", b""), Entry::new(b'7', "x", b""), Entry::new(b'6', "x", b"").size(512)] {
        let path = write(dir.path(), members(&sample).into_iter().chain([other]));
        assert!(Archive::open(&path).is_err());
    }
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn event(&self, event: Event) {
        if let Event::Warning(message) = event {
            self.0.lock().unwrap().push(message);
        }
    }
}

fn told() -> (Arc<Told>, Observer) {
    let told = Arc::new(Told::default());
    (Arc::clone(&told), Observer::new(told as Arc<dyn Progress>))
}

#[tokio::test]
async fn what_rewriting_drops_is_told_once() {
    let (dir, sample) = (tempfile::tempdir().unwrap(), Sample::of(&[b"hello"]));
    let path = write(dir.path(), members(&sample).into_iter().chain(others()));
    let (told, observer) = told();
    let store: Arc<dyn Store> = Arc::new(Archive::create(&path).unwrap().observed(observer));
    deliver(&store, &sample, &["v1"]).await.unwrap();
    assert!(told.0.lock().unwrap().is_empty(), "nothing was written");
    deliver(&store, &Sample::of(&[b"more"]), &["v2"]).await.unwrap();
    deliver(&store, &Sample::of(&[b"even more"]), &["v3"]).await.unwrap();
    let told = told.0.lock().unwrap().clone();
    let dropped = "dropped `latest`, `index.old`, `queue` and 7 more, which are not part of an OCI archive";
    assert!(told.len() == 1 && told[0].ends_with(dropped), "{told:?}");
    is_whole(&Archive::open(&path).unwrap(), &sample).await;
}

#[tokio::test]
async fn a_docker_archive_is_refused_by_its_name_and_one_that_is_a_layout_too_is_read() {
    let (dir, sample) = (tempfile::tempdir().unwrap(), Sample::of(&[b"hello"]));
    let layer = format!("{}/layer.tar", Digest::of(b"layer").hex());
    let docker = || {
        [
            Entry::file("manifest.json", br#"[{"Config":"c.json","Layers":[]}]"#),
            Entry::file("repositories", b"{}"),
            Entry::symlink(&layer, "../other/layer.tar"),
        ]
    };
    let path = write(dir.path(), docker());
    for outcome in [Archive::open(&path), Archive::create(&path)] {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unsupported, Some(Code::DockerArchive)), "{error}");
        assert!(error.to_string().contains("a Docker archive (`manifest.json`)"), "{error}");
    }
    let path = write(dir.path(), docker().into_iter().chain(members(&sample)));
    is_whole(&Archive::open(&path).unwrap(), &sample).await;
}

#[test]
fn a_command_says_how_a_docker_archive_becomes_an_oci_archive() {
    let world = World::new();
    fs::write(world.path().join("saved.tar"), tar([Entry::file("manifest.json", b"[]")])).unwrap();
    let ran = world.run("ls ./saved.tar");
    let hint = "skopeo copy docker-archive:";
    assert!(
        ran.code == 1 && ran.stderr.contains(hint) && ran.stderr.contains("oci-archive:NEW.tar`"),
        "{}",
        ran.stderr
    );
    world.write("saved/manifest.json", "[]");
    world.fails("ls ./saved", 1, &["a Docker archive or a directory of skopeo", "`skopeo copy`"]);
}

#[tokio::test]
async fn an_archive_without_a_marker_is_read_and_gets_one_when_it_is_written() {
    let (dir, sample) = (tempfile::tempdir().unwrap(), Sample::of(&[b"hello"]));
    let path = write(dir.path(), members(&sample).into_iter().skip(1));
    let archive = Archive::open(&path).unwrap();
    assert!(archive.is_unmarked());
    is_whole(&archive, &sample).await;
    assert_eq!(archive.inventory().await.unwrap().unwrap().flaws[0].place, "oci-layout");
    let (told, observer) = told();
    let store: Arc<dyn Store> = Arc::new(Archive::create(&path).unwrap().observed(observer));
    deliver(&store, &Sample::of(&[b"more"]), &["v2"]).await.unwrap();
    assert!(told.0.lock().unwrap()[0].ends_with("added the missing `oci-layout`"));
    let archive = Archive::open(&path).unwrap();
    assert!(!archive.is_unmarked() && archive.inventory().await.unwrap().unwrap().flaws.is_empty());
    is_whole(&archive, &sample).await;
}

#[tokio::test]
async fn a_list_alone_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let list = br#"{"schemaVersion":2,"manifests":[]}"#;
    let error = Archive::open(write(dir.path(), [Entry::file("index.json", list)])).unwrap_err();
    assert_eq!(error.code(), Some(Code::NotAStore));
    fs::remove_file(dir.path().join("x.tar")).unwrap();
    fs::write(dir.path().join("index.json"), list).unwrap();
    assert_eq!(Layout::open(dir.path()).unwrap_err().code(), Some(Code::NotAStore));
    fs::create_dir(dir.path().join("blobs")).unwrap();
    assert!(Layout::open(dir.path()).unwrap().is_unmarked());
    fs::write(dir.path().join("index.json"), b"{}").unwrap();
    assert_eq!(Layout::open(dir.path()).unwrap_err().code(), Some(Code::NotAStore));
}

#[test]
fn a_layout_without_a_marker_is_read_with_one_warning_and_never_written() {
    let world = World::new();
    let digest = world.ok("push talk oci:store:v1 -q");
    fs::remove_file(world.path().join("store/oci-layout")).unwrap();
    for line in ["ls oci:store", "inspect oci:store:v1", "copy oci:store:v1 oci-archive:x.tar", "check oci:store"] {
        let ran = world.run(line);
        let warnings = ran.stderr.lines().filter(|line| line.starts_with("warning: ")).count();
        assert_eq!((ran.code, warnings), (0, 1), "{line}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("oci:store has no file `oci-layout`"), "{}", ran.stderr);
    }
    assert_eq!(world.ok("inspect oci-archive:x.tar:v1 -q"), digest);
    assert!(world.ok("check oci:store").contains("oci-layout"));
    let before = fs::read_dir(world.path().join("store")).unwrap().count();
    for line in [
        "tag oci:store:v1 v2",
        "push talk oci:store:v2",
        "push -n talk oci:store:v2",
        "delete oci:store:v1",
        "serve store --writable",
    ] {
        world.fails(line, 1, &["can be read, but not written", "`artifact copy --all-tags oci:"]);
    }
    assert_eq!(fs::read_dir(world.path().join("store")).unwrap().count(), before);
    let served = crate::support::program::Served::start(&world, "store");
    assert_eq!(world.ok(&format!("ls {}/store", served.addr)), "v1\n");
}

/// A store as Hauler 2 leaves it: an image with a signature, and a chart, of which the list has the kinds.
fn hauler(world: &World) -> (String, String) {
    let image = world.ok("push talk oci:store:a -q").trim().to_owned();
    let signature = world.ok("push talk/1.png oci:store:b -q").trim().to_owned();
    world.ok("push talk/2.png oci:store:c -q");
    let path = world.path().join("store/index.json");
    let mut list: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for entry in list["manifests"].as_array_mut().unwrap() {
        let kind = if entry["digest"] == signature.as_str() { "dev.hauler/sigs" } else { "dev.hauler/image" };
        entry["annotations"] = match entry["annotations"]["org.opencontainers.image.ref.name"].as_str() {
            Some("c") => serde_json::json!({"kind": kind, "org.opencontainers.image.ref.name": "hauler/web:1.0.0"}),
            _ => serde_json::json!({
                "kind": kind,
                "org.opencontainers.image.ref.name": "team/app:v1",
                "io.containerd.image.name": "ghcr.io/team/app:v1",
                "hauler.dev/original-ref": "ghcr.io/team/app:v1",
            }),
        };
    }
    fs::write(path, list.to_string()).unwrap();
    fs::remove_file(world.path().join("store/oci-layout")).unwrap();
    world.write("store/manifest.json", "[]");
    world.write("store/store.json", "{}");
    (image, signature)
}

#[test]
fn a_store_of_hauler_and_its_haul_are_read_with_their_names_and_signatures() {
    let world = World::new();
    let (image, signature) = hauler(&world);
    let tag = format!("{}.sig", image.replace(':', "-"));
    let mut haul = std::process::Command::new("tar");
    haul.args(["cf", "haul.tar", "-C", "store", "."]).current_dir(world.path());
    assert!(haul.status().unwrap().success());
    let plain = fs::read(world.path().join("haul.tar")).unwrap();
    fs::write(world.path().join("haul.tar.zst"), crate::support::compression::zst(&plain)).unwrap();
    for (n, store) in ["oci:store", "./haul.tar.zst", "oci-archive:haul.tar"].into_iter().enumerate() {
        assert_eq!(world.ok(&format!("ls {store}")), format!("ghcr.io/team/app:v1\nhauler/web:1.0.0\n{tag}\n"));
        let inspected = world.ok(&format!("inspect {store}:ghcr.io/team/app:v1 -q"));
        assert_eq!(inspected.trim(), image);
        let checked = world.run(&format!("check {store}"));
        assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
        let registry = crate::support::program::Served::start(&world, "--writable");
        world.write("list", &format!("{store}:ghcr.io/team/app:v1\n"));
        world.ok(&format!("copy --list list {} --map ghcr.io=r{n}", registry.addr));
        assert_eq!(world.ok(&format!("ls {}/r{n}/team/app", registry.addr)), format!("{tag}\nv1\n"));
        let copied = world.ok(&format!("inspect {}/r{n}/team/app:{tag} -q", registry.addr));
        assert_eq!(copied.trim(), signature);
    }
}
