//! To and from registries: large blobs, many blobs, packed directories.

use std::{fmt::Write as _, fs, time::Duration};

use crate::{
    Bench,
    delay::delayed,
    run::{Client, shell, turns},
    sample::Sample,
    server::{DOCKER, OURS, Server, keep},
};

/// How long skopeo may take for many layers, in seconds.
const SKOPEO_MOST: u32 = 30;
/// A round trip of the long line.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

/// Starts an upload with curl, and puts into `place` where it goes on.
fn curl_post(host: &str) -> String {
    format!(
        "curl -sSf -o reply -D head -X POST http://{host}/v2/$new/blobs/uploads/; \
         place=$(grep -i ^location: head | tr -d '\\r' | cut -d' ' -f2); \
         case $place in /*) place=http://{host}$place;; esac; \
         case $place in *'?'*) join='&';; *) join='?';; esac"
    )
}

/// skopeo needs minutes for thousands of layers; a lower bound will do.
fn skopeo(sample: &Sample<'_>, script: String) -> Client {
    let client = Client::new("skopeo copy", "skopeo", script);
    if sample.count == 1 { client } else { client.within(SKOPEO_MOST) }
}

impl Bench<'_> {
    /// Files to a registry, each as a layer, and a layout to a registry.
    pub(crate) fn push(&mut self, sample: &Sample<'_>, registry: &'static str) {
        let place = self.place;
        let Some(server) = Server::start(place, registry) else { return self.absent(registry) };
        let (host, files, layout) = (&server.host, sample.files(), sample.layout());
        let (files, layout) = (files.display(), layout.display());
        let mut clients = vec![
            Client::ours(place, "push", &format!("push --set layout=files {files} {host}/$new:v1")),
            Client::ours(place, "copy", &format!("copy oci:{layout}:v1 {host}/$new:v1")),
            Client::new(
                "oras push",
                "oras",
                format!("cd {files}; oras push --no-tty --plain-http {host}/$new:v1 * >/dev/null"),
            ),
            Client::new(
                "oras cp",
                "oras",
                format!("oras cp --no-tty --from-oci-layout {layout}:v1 --to-plain-http {host}/$new:v1 >/dev/null"),
            ),
            skopeo(sample, format!("skopeo copy -q --dest-tls-verify=false oci:{layout}:v1 docker://{host}/$new:v1")),
            Client::new("crane push", "crane", format!("crane push --insecure {layout} {host}/$new:v1")),
        ];
        if sample.count == 1 {
            let (post, digest) = (curl_post(host), &sample.layers()[0]);
            let put =
                format!("curl -sSf -o reply -H Expect: -T {files}/f00000 \"$place${{join}}digest=sha256:{digest}\"");
            clients.push(Client::new("curl PUT", "curl", format!("{post}; {put}")));
        }
        let all = turns(place, Some(&server), &clients);
        let [push, copy, oras_push, oras_cp, skopeo, crane, curl @ ..] = &all[..] else { unreachable!() };
        let what = format!("push {}", sample.title());
        let large = sample.count == 1;
        let targets = match (large, registry) {
            (true, _) => [Some(0.7), None, None],
            (false, DOCKER) => [Some(0.65), Some(0.3), Some(0.3)],
            (false, _) => [Some(0.6), None, None],
        };
        for (theirs, most) in [oras_push, skopeo, crane].into_iter().zip(targets) {
            self.table.compare(&what, registry, push, theirs, most);
        }
        for curl in curl {
            self.table.compare(&what, registry, push, curl, Some(1.1));
        }
        self.table.servers(&what, registry, push, oras_push);
        let (cpu, peak) = if large { (Some(0.9), 32.0) } else { (None, 48.0) };
        self.table.bounds(&what, registry, push, cpu, peak);
        let what = format!("layout to registry, {}", sample.title());
        for theirs in [oras_cp, skopeo, crane] {
            self.table.compare(&what, registry, copy, theirs, None);
        }
    }

    /// From a registry into a layout, and into files.
    pub(crate) fn pull(&mut self, sample: &Sample<'_>, registry: &'static str) {
        let place = self.place;
        let Some(server) = Server::start(place, registry) else { return self.absent(registry) };
        let kept = keep(&server, &sample.layout(), sample.name);
        let mut urls = String::new();
        for (i, digest) in sample.layers().iter().enumerate() {
            let url = format!("http://{}/v2/kept/{}/blobs/sha256:{digest}", server.host, sample.name);
            let _ = writeln!(urls, "url = {url}\noutput = out/{i}");
        }
        fs::write(place.join("urls"), urls).unwrap();
        let clients = [
            Client::ours(place, "pull", &format!("pull {kept} out")),
            Client::ours(place, "pull --unpack", &format!("pull --unpack {kept} out")),
            Client::new(
                "oras cp",
                "oras",
                format!("oras cp --no-tty --from-plain-http {kept} --to-oci-layout out:v1 >/dev/null"),
            ),
            Client::new("crane pull", "crane", format!("crane pull --insecure --format oci {kept} out")),
            skopeo(sample, format!("skopeo copy -q --src-tls-verify=false docker://{kept} oci:out:v1")),
            Client::new("oras pull", "oras", format!("oras pull --no-tty --plain-http -o out {kept} >/dev/null")),
            Client::new("curl GET", "curl", "mkdir out; curl -sSf -Z --parallel-max 4 -K urls".into()),
        ];
        let all = turns(place, Some(&server), &clients);
        let [pull, unpack, oras_cp, crane, skopeo, oras_pull, curl] = &all[..] else { unreachable!() };
        let large = sample.count == 1;
        let what = format!("pull {} into a layout", sample.title());
        let targets = match (large, registry) {
            (true, _) => [Some(0.7), Some(0.7), Some(0.6)],
            (false, DOCKER) => [Some(0.9), Some(0.3), None],
            (false, _) => [Some(0.65), None, None],
        };
        for (theirs, most) in [oras_cp, crane, skopeo].into_iter().zip(targets) {
            self.table.compare(&what, registry, pull, theirs, most);
        }
        self.table.servers(&what, registry, pull, oras_cp);
        if !large {
            self.table.bounds(&what, registry, pull, None, 48.0);
        }
        let what = format!("pull {} to files", sample.title());
        let oras = if large { None } else { targets[0] };
        self.table.compare(&what, registry, unpack, oras_pull, oras);
        self.table.compare(&what, registry, unpack, curl, None);
    }

    /// A directory, packed into one layer and pushed; pulled and unpacked.
    pub(crate) fn directory(&mut self, sample: &Sample<'_>, registry: &'static str) {
        let place = self.place;
        let Some(server) = Server::start(place, registry) else { return self.absent(registry) };
        let (host, tree) = (&server.host, sample.name);
        sample.files();
        let oras = |to: &str| format!("oras push --no-tty --plain-http {host}/{to} {tree} >/dev/null");
        let pushes = [
            Client::ours(place, "push, gzip", &format!("push --set compress=gzip {tree} {host}/$new:v1")),
            Client::ours(place, "push, zstd", &format!("push --set compress=zstd {tree} {host}/$new:v1")),
            Client::new("oras push", "oras", oras("$new:v1")),
        ];
        let pushed = turns(place, Some(&server), &pushes);
        let [gzip, zstd, theirs] = &pushed[..] else { unreachable!() };
        let title = sample.title();
        self.table.compare(&format!("push {title}, gzip"), registry, gzip, theirs, Some(0.55));
        self.table.compare(&format!("push {title}, zstd"), registry, zstd, theirs, Some(0.3));
        let kept = format!("{host}/kept/{tree}:v1");
        shell(place, &format!("{} -q push {tree} {kept}", place.program));
        let pulls = [
            Client::ours(place, "pull --unpack", &format!("pull --unpack {kept} out")),
            Client::new("oras pull", "oras", format!("oras pull --no-tty --plain-http -o out {kept} >/dev/null")),
        ];
        let pulled = turns(place, Some(&server), &pulls);
        self.table.compare(&format!("pull and unpack {title}"), registry, &pulled[0], &pulled[1], Some(0.4));
    }

    /// Small layers over a long line, in plain http or in https, where docker-registry offers HTTP/2.
    pub(crate) fn far(&mut self, sample: &Sample<'_>, https: bool) {
        let (place, registry) = (self.place, DOCKER);
        let started = if https { Server::docker_tls(place) } else { Server::start(place, registry) };
        let Some(server) = started else { return self.absent(registry) };
        keep(&server, &sample.layout(), sample.name);
        let (host, files, layout) = (delayed(&server.host, ROUND_TRIP), sample.files(), sample.layout());
        let (files, layout) = (files.display(), layout.display());
        let kept = format!("{host}/kept/{}:v1", sample.name);
        let (ours, oras, from, crane) = match &server.authority {
            Some(ca) => (
                format!("--plain-http=false --ca-file {ca}"),
                format!("--ca-file {ca}"),
                format!("--from-ca-file {ca}"),
                format!("SSL_CERT_FILE={ca}"),
            ),
            None => (String::new(), "--plain-http".into(), "--from-plain-http".into(), String::new()),
        };
        let clients = [
            Client::ours(place, "push", &format!("push {ours} --set layout=files {files} {host}/$new:v1")),
            Client::new(
                "oras push",
                "oras",
                format!("cd {files}; oras push --no-tty {oras} {host}/$new:v1 * >/dev/null"),
            ),
            Client::new("crane push", "crane", format!("{crane} crane push --insecure {layout} {host}/$new:v1")),
            Client::ours(place, "pull", &format!("pull {ours} {kept} out")),
            Client::new("oras cp", "oras", format!("oras cp --no-tty {from} {kept} --to-oci-layout out:v1 >/dev/null")),
            Client::new("crane pull", "crane", format!("{crane} crane pull --insecure --format oci {kept} out")),
        ];
        let all = turns(place, Some(&server), &clients);
        let line = if https { ", https" } else { "" };
        for (verb, part) in ["push", "pull"].into_iter().zip(all.chunks(3)) {
            let what = format!("{verb} {}, {} ms away{line}", sample.title(), ROUND_TRIP.as_millis());
            self.table.compare(&what, registry, &part[0], &part[1], Some(0.35));
            self.table.compare(&what, registry, &part[0], &part[2], None);
        }
    }

    /// What is there already: the requests that it takes to find out.
    pub(crate) fn unchanged(&mut self, sample: &Sample<'_>) {
        let place = self.place;
        let server = Server::ours(place, &place.join("ours"), "--verbose");
        let (host, files) = (&server.host, sample.files());
        let files = files.display();
        let kept = format!("{host}/kept:v1");
        let artifact = &place.program;
        let push = format!("push --set layout=files {files} {kept}");
        let pull = format!("pull {kept} pulled");
        shell(place, &format!("{artifact} -q {push} && {artifact} -q {pull}"));
        for (what, arguments) in [("push", &push), ("pull", &pull)] {
            let before = server.requests();
            shell(place, &format!("{artifact} -q {arguments}"));
            let requests = (server.requests() - before) as f64;
            let what = format!("{what} {} again", sample.title());
            self.table.bound(&format!("{what}: requests"), OURS, (requests, ""), 1.0);
        }
        let clients = [
            Client::ours(place, "push", &push),
            Client::new(
                "oras push",
                "oras",
                format!("cd {files}; oras push --no-tty --plain-http {host}/kept:theirs * >/dev/null"),
            ),
            Client::ours(place, "pull", &pull),
            Client::new(
                "oras cp",
                "oras",
                format!("oras cp --no-tty --from-plain-http {kept} --to-oci-layout pulled:v1 >/dev/null"),
            ),
        ];
        let all = turns(place, Some(&server), &clients);
        for (verb, part) in ["push", "pull"].into_iter().zip(all.chunks(2)) {
            self.table.compare(&format!("{verb} {} again", sample.title()), OURS, &part[0], &part[1], None);
        }
        place.remove("pulled");
    }

    /// From one layout into another.
    pub(crate) fn local(&mut self, sample: &Sample<'_>) {
        let layout = sample.layout();
        let layout = layout.display();
        let clients = [
            Client::ours(self.place, "copy", &format!("copy oci:{layout}:v1 oci:out:v1")),
            Client::new(
                "oras cp",
                "oras",
                format!("oras cp --no-tty --from-oci-layout {layout}:v1 --to-oci-layout out:v1 >/dev/null"),
            ),
            skopeo(sample, format!("skopeo copy -q oci:{layout}:v1 oci:out:v1")),
        ];
        let all = turns(self.place, None, &clients);
        for theirs in &all[1..] {
            self.table.compare(&format!("layout to layout, {}", sample.title()), "", &all[0], theirs, None);
        }
    }

    fn absent(&mut self, registry: &str) {
        self.table.left_out(format!("{registry}: not on the PATH"));
    }
}
