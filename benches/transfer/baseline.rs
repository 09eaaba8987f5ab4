//! This program beside the one of a fixed commit; ../README.md has the rule.
//!
//! What is measured is the program that has its turn, and nothing else: samples are made by the baseline, and it is also
//! the server of all clients, and the client of all servers.

use std::{
    cell::LazyCell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    time::Duration,
};

use artifact::oci::{Digest, annotation, media_type};

use crate::{
    delay::delayed,
    load::{gets, trickle},
    place::Place,
    process::{Running, Used, run},
    registry::ROUND_TRIP,
    run::{installed, shell},
    sample::{Kind, Sample},
    server::{DOCKER, OURS, Server, keep},
    verdict::{
        Rule::{self, Memory, Processor, Requests},
        TURNS, Turn, Versus,
    },
};

/// The longest time of one run.
const LONGEST: Duration = Duration::from_secs(300);
/// How many read slowly from one server.
const SLOW: usize = 500;
/// How many write into one layout.
const WRITERS: usize = 16;
/// How many artifacts go into one archive.
const ARTIFACTS: usize = 20;
/// Manifests, and layers of each, in the dry run: with their index and their config 100,000 is the limit.
const DRY: (usize, usize) = (100, 998);

/// Where it happens, what was asked for, and what came out.
pub(crate) struct Baseline<'a> {
    pub(crate) place: &'a Place,
    pub(crate) words: Vec<String>,
    pub(crate) only_list: bool,
    /// The benches `pack` of both work trees, where they are built.
    pub(crate) packs: Option<[String; 2]>,
    pub(crate) versus: Versus,
}

/// Runs a command of ours and removes `out`.
fn once(place: &Place, program: &str, line: &str) -> Result<Used, String> {
    let words: Vec<&str> = std::iter::once("-q").chain(line.split_whitespace()).collect();
    let used = run(place, program, &words, LONGEST);
    place.remove("out");
    used
}

impl Baseline<'_> {
    pub(crate) fn all(&mut self, full: bool) {
        let place = self.place;
        let large = Sample::new(place, "large", Kind::Blobs, 1, if full { 1 << 30 } else { 64 << 20 });
        let many = Sample::new(place, "many", Kind::Blobs, if full { 2_000 } else { 100 }, 256 << 10);
        for registry in [DOCKER, OURS] {
            self.registry(&large, registry);
            self.registry(&many, registry);
        }
        self.unchanged(&many);
        for sample in [&large, &many] {
            self.local(sample);
        }
        self.serve_large(&large);
        self.serve_many(&many);
        self.receive(&large);
        self.receive(&many);
        drop((large, many));
        self.tree(&Sample::new(place, "tree", Kind::Tree, if full { 20_000 } else { 1_000 }, 0));
        self.archive(&Sample::new(place, "archive", Kind::Blobs, ARTIFACTS * 10, 64 << 10));
        self.writers(&Sample::new(place, "writers", Kind::Blobs, WRITERS * 10, 64 << 10));
        self.dry_run();
        self.dry_run_of_files(if full { 100_000 } else { 20_000 });
        self.pack(full);
        self.far(&Sample::new(place, "far", Kind::Blobs, 2_000, 1 << 10));
    }

    /// Measures a row when all words that were given are in its name. One that fails does not stop the others.
    fn row(
        &mut self,
        what: &str,
        rules: &[Rule],
        turns: usize,
        mut run: impl FnMut(&Turn<'_>) -> Result<Used, String>,
    ) {
        if !self.words.iter().all(|word| what.contains(word.as_str())) {
            return;
        }
        if self.only_list {
            return println!("{what}");
        }
        eprintln!("{what}");
        let done = catch_unwind(AssertUnwindSafe(|| self.versus.row(what, rules, turns, &mut run)));
        if let Some(why) = done.unwrap_or_else(|_| Err("see above".into())).err() {
            eprintln!("    fails: {why}");
            self.versus.failed(format!("{what}: {why}"));
        }
    }

    /// To and from a registry.
    fn registry(&mut self, sample: &Sample<'_>, registry: &'static str) {
        if !installed(registry) && registry != OURS {
            return self.versus.left_out(format!("{registry}: not on the PATH"));
        }
        let (place, title) = (self.place, sample.title());
        let server = LazyCell::new(|| Server::start(place, registry).unwrap());
        let kept = LazyCell::new(|| keep(&server, &sample.layout(), sample.name));
        self.row(&format!("push {title}, {registry}"), &[Processor], TURNS, |turn| {
            let (files, to) = (sample.files(), format!("{}/{}", server.host, turn.new));
            let used = once(place, turn.program, &format!("push --set layout=files {} {to}:v1", files.display()));
            server.forget(&turn.new);
            used
        });
        self.row(&format!("layout to registry, {title}, {registry}"), &[Processor], TURNS, |turn| {
            let (layout, to) = (sample.layout(), format!("{}/{}", server.host, turn.new));
            let used = once(place, turn.program, &format!("copy oci:{}:v1 {to}:v1", layout.display()));
            server.forget(&turn.new);
            used
        });
        self.row(&format!("pull {title} into a layout, {registry}"), &[Processor], TURNS, |turn| {
            once(place, turn.program, &format!("pull {} out", *kept))
        });
        self.row(&format!("pull {title} to files, {registry}"), &[Processor], TURNS, |turn| {
            once(place, turn.program, &format!("pull --unpack {} out", *kept))
        });
    }

    /// What is there already. Each program has its own, should they make it differently.
    fn unchanged(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        let server = LazyCell::new(|| Server::start(place, OURS).unwrap());
        let push = |turn: &Turn<'_>| {
            let to = format!("{}/side{}:v1", server.host, turn.side);
            once(place, turn.program, &format!("push --set layout=files {} {to}", sample.files().display()))
        };
        self.row(&format!("push {title} again"), &[Processor], TURNS, push);
        self.row(&format!("pull {title} again"), &[Processor], TURNS, |turn| {
            let pulled = format!("pulled{}", turn.side);
            if !place.join(&pulled).exists() {
                push(turn)?;
            }
            once(place, turn.program, &format!("pull {}/side{}:v1 {pulled}", server.host, turn.side))
        });
        place.remove("pulled0");
        place.remove("pulled1");
    }

    /// On this machine.
    fn local(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        let layout = LazyCell::new(|| format!("oci:{}:v1", sample.layout().display()));
        let lines = [
            (format!("layout to layout, {title}"), "copy", "oci:out:v1"),
            (format!("layout to archive, {title}"), "copy", "oci-archive:out:v1"),
            (format!("check {title}"), "check", ""),
            (format!("inspect {title}"), "inspect", ""),
        ];
        for (what, command, to) in lines {
            self.row(&what, &[Processor], TURNS, |turn| {
                once(place, turn.program, &format!("{command} {} {to}", *layout))
            });
        }
    }

    /// A server that is read from, at once and slowly. What it uses is counted from its start to its end.
    fn serve_large(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        let path = LazyCell::new(|| format!("/v2/{}/blobs/sha256:{}", sample.name, sample.layers().remove(0)));
        let layouts = || sample.layout().parent().unwrap().to_path_buf();
        self.row(&format!("serve {title}, 32 times, 4 at once"), &[Processor], TURNS, |turn| {
            serve(place, turn.program, &layouts(), "", |server| gets(&server.host, &vec![path.clone(); 32], 4))
        });
        self.row(&format!("serve {title} to {SLOW} slow readers"), &[Memory], TURNS, |turn| {
            serve(place, turn.program, &layouts(), "", |server| trickle(&server.host, &path, SLOW))
        });
    }

    fn serve_many(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        let layouts = || sample.layout().parent().unwrap().to_path_buf();
        let paths = LazyCell::new(|| -> Vec<String> {
            let digests = sample.layers();
            let path = |digest: &String| format!("/v2/{}/blobs/sha256:{digest}", sample.name);
            (0..20).flat_map(|_| digests.iter().map(path)).collect()
        });
        self.row(&format!("serve {title}, 20 times, 4 at once"), &[Processor], TURNS, |turn| {
            serve(place, turn.program, &layouts(), "", |server| gets(&server.host, &paths, 4))
        });
    }

    /// A server that is pushed to.
    fn receive(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        self.row(&format!("take {title}"), &[Processor], TURNS, |turn| {
            let layout = sample.layout();
            serve(place, turn.program, &place.join("ours"), "--writable", |server| {
                let to = format!("{}/{}", server.host, turn.new);
                once(place, &place.program, &format!("copy oci:{}:v1 {to}:v1", layout.display())).map(|used| used.wall)
            })
        });
    }

    /// A directory of small files, packed into one layer.
    fn tree(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        let server = LazyCell::new(|| Server::start(place, OURS).unwrap());
        for compress in ["gzip", "zstd"] {
            self.row(&format!("push {title}, {compress}"), &[Processor], TURNS, |turn| {
                let (files, to) = (sample.files(), format!("{}/{}", server.host, turn.new));
                let line = format!("push --set compress={compress} {} {to}:v1", files.display());
                let used = once(place, turn.program, &line);
                server.forget(&turn.new);
                used
            });
        }
        let kept = LazyCell::new(|| {
            let kept = format!("{}/kept/tree:v1", server.host);
            shell(place, &format!("{} -q push {} {kept}", place.program, sample.files().display()));
            kept
        });
        self.row(&format!("pull and unpack {title}"), &[Processor], TURNS, |turn| {
            once(place, turn.program, &format!("pull --unpack {} out", *kept))
        });
    }

    /// Several artifacts into one archive: a command for each, and one for all.
    fn archive(&mut self, sample: &Sample<'_>) {
        let place = self.place;
        let layout = LazyCell::new(|| {
            for (i, share) in sample.shares(ARTIFACTS).iter().enumerate() {
                let (program, share) = (&place.program, share.display());
                shell(place, &format!("{program} -q push --set layout=files {share} oci:artifacts:v{i}"));
            }
            "oci:artifacts"
        });
        self.row(&format!("{ARTIFACTS} artifacts into one archive"), &[Processor], TURNS, |turn| {
            let mut all = Used::default();
            for i in 0..ARTIFACTS {
                let line = format!("-q copy {}:v{i} oci-archive:out:v{i}", *layout);
                let words: Vec<&str> = line.split_whitespace().collect();
                let used = run(place, turn.program, &words, LONGEST)?;
                all.wall += used.wall;
                all.cpu += used.cpu;
                all.peak = all.peak.max(used.peak);
            }
            place.remove("out");
            Ok(all)
        });
        self.row(&format!("{ARTIFACTS} artifacts into one archive by one command"), &[Processor], TURNS, |turn| {
            once(place, turn.program, &format!("copy --all-tags {} oci-archive:out", *layout))
        });
        place.remove("artifacts");
    }

    /// Several commands at once that write to one layout.
    fn writers(&mut self, sample: &Sample<'_>) {
        let place = self.place;
        let shares = LazyCell::new(|| sample.shares(WRITERS));
        self.row(&format!("{WRITERS} writers on one layout"), &[Processor], TURNS, |turn| {
            let mut running = Running::new();
            for (i, share) in shares.iter().enumerate() {
                let line = format!("-q push --set layout=files {} oci:out:v{i}", share.display());
                running.add(place, Command::new(turn.program).args(line.split_whitespace()))?;
            }
            let used = running.finish(LONGEST);
            let index = fs::read_to_string(place.join("out/index.json")).map_err(|e| e.to_string())?;
            let lost = (0..WRITERS).find(|i| !index.contains(&format!("\"v{i}\"")));
            place.remove("out");
            lost.map_or(used, |i| Err(format!("v{i} is lost")))
        });
    }

    /// What a copy of a very large artifact would do: an index of manifests of many layers, of which nothing is there.
    fn dry_run(&mut self) {
        let place = self.place;
        let layout = LazyCell::new(|| {
            entries(&place.join("entries"));
            "oci:entries:v1"
        });
        let rules = [Processor, Memory];
        self.row("dry run of a copy, 100,000 entries", &rules, TURNS, |turn| {
            once(place, turn.program, &format!("copy --dry-run {} oci:out:v1", *layout))
        });
        place.remove("entries");
    }

    /// What a push of very many files would do.
    fn dry_run_of_files(&mut self, count: usize) {
        let place = self.place;
        let files = LazyCell::new(|| {
            let dir = place.join("files");
            for i in 0..count {
                let folder = dir.join(format!("d{:04}", i / 100));
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(format!("f{i:06}")), i.to_string()).unwrap();
            }
            dir
        });
        let rules = [Processor, Memory];
        self.row(&format!("dry run of a push, {count} files"), &rules, TURNS, |turn| {
            once(place, turn.program, &format!("push --dry-run {} oci:out:v1", files.display()))
        });
        place.remove("files");
    }

    /// The rows of `benches/pack.rs`, which call the library: each in the bench of its own work tree.
    fn pack(&mut self, full: bool) {
        let Some(benches) = self.packs.clone() else {
            return self.versus.left_out("rows of `pack`: not built in both work trees, see benches/README.md".into());
        };
        let place = self.place;
        let rows = Command::new(&benches[0]).arg("rows").output().unwrap();
        let made = LazyCell::new(|| {
            let full = if full { "full" } else { "" };
            shell(place, &format!("{} make pack {full}", benches[0]));
        });
        for row in String::from_utf8_lossy(&rows.stdout).lines() {
            for threads in ["1", "2"] {
                self.row(&format!("pack {row}, {threads} threads"), &[Processor], TURNS, |turn| {
                    LazyCell::force(&made);
                    run(place, &benches[turn.side], &["row", "pack", row, threads], LONGEST)
                });
            }
        }
        place.remove("pack");
    }

    /// Many small blobs far away: the requests, and the time that they take. They hardly differ from run to run.
    fn far(&mut self, sample: &Sample<'_>) {
        let (place, title) = (self.place, sample.title());
        let server = LazyCell::new(|| Server::ours(place, &place.join("ours"), "--verbose"));
        let host = LazyCell::new(|| delayed(&server.host, ROUND_TRIP));
        let away = format!("{} ms away", ROUND_TRIP.as_millis());
        let counted = |run: &mut dyn FnMut() -> Result<Used, String>| {
            let before = server.requests();
            let used = run()?;
            Ok(Used { requests: (server.requests() - before) as f64, ..used })
        };
        self.row(&format!("push {title}, {away}"), &[Requests], 1, |turn| {
            let line = format!("push --set layout=files {} {}/{}:v1", sample.files().display(), *host, turn.new);
            let used = counted(&mut || once(place, turn.program, &line));
            server.forget(&turn.new);
            used
        });
        self.row(&format!("pull {title}, {away}"), &[Requests], 1, |turn| {
            keep(&server, &sample.layout(), sample.name);
            let line = format!("pull {}/kept/{}:v1 out", *host, sample.name);
            counted(&mut || once(place, turn.program, &line))
        });
    }
}

/// Measures a server while it is used; the wall time is that of its use.
fn serve(
    place: &Place,
    program: &str,
    dir: &Path,
    flags: &str,
    using: impl FnOnce(&Server<'_>) -> Result<f64, String>,
) -> Result<Used, String> {
    let mut server = Server::program(place, program, dir, flags);
    let wall = using(&server)?;
    let used = server.end().ok_or("the server has ended")?;
    Ok(Used { wall, ..used })
}

/// A layout with an index, its manifests, and nothing of what these name.
fn entries(dir: &Path) {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let store = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        digest
    };
    let descriptor = |media_type: &str, digest: &Digest, size: usize| serde_json::json!({"mediaType": media_type, "digest": digest.to_string(), "size": size});
    let config = descriptor(media_type::EMPTY, &store(b"{}"), 2);
    let mut manifests = Vec::new();
    for i in 0..DRY.0 {
        let layer = |j: usize| {
            let digest = Digest::of(format!("{i} {j}").as_bytes());
            let mut layer = descriptor(media_type::OCTET_STREAM, &digest, 1 << 10);
            layer["annotations"] = serde_json::json!({annotation::TITLE: format!("directory{i:04}/file{j:06}.txt")});
            layer
        };
        let layers: Vec<_> = (0..DRY.1).map(layer).collect();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST, "artifactType": "application/vnd.bench",
            "config": config, "layers": layers,
        });
        let bytes = serde_json::to_vec(&manifest).unwrap();
        manifests.push(descriptor(media_type::MANIFEST, &store(&bytes), bytes.len()));
    }
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": manifests});
    let bytes = serde_json::to_vec(&index).unwrap();
    let mut root = descriptor(media_type::INDEX, &store(&bytes), bytes.len());
    root["annotations"] = serde_json::json!({annotation::REF_NAME: "v1"});
    let top = serde_json::json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(dir.join("index.json"), top.to_string()).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// The newest build of the bench `pack` beside a program.
pub(crate) fn pack_bench(program: &Path) -> Option<String> {
    let entries = fs::read_dir(program.parent()?.join("deps")).ok()?.filter_map(Result::ok);
    let benches = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("pack-") && path.extension().is_none()
    });
    let newest = benches.max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
    newest.map(|path| path.display().to_string())
}
