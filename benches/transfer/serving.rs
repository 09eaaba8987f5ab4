//! Our server beside nginx, on the same files.

use crate::{
    Bench,
    load::gets,
    run::{Client, turns},
    sample::Sample,
    server::{OURS, Server},
};

/// How often each server is asked.
const RUNS: usize = 3;
/// How many clients there are at once in the test of memory.
const CROWD: usize = 64;

impl Bench<'_> {
    /// One blob, read by one client and by many.
    pub(crate) fn serve_large(&mut self, sample: &Sample<'_>) {
        let place = self.place;
        let (layouts, digest) = (sample.layout().parent().unwrap().to_path_buf(), sample.layers().remove(0));
        let path = format!("/v2/{}/blobs/sha256:{digest}", sample.name);
        let server = Server::ours(place, &layouts, "");
        let first = seconds(&server, std::slice::from_ref(&path), 1);
        let Some(nginx) = Server::nginx(place, &layouts) else { return self.table.left_out("nginx: not on the PATH") };
        let their_path = format!("/{}/blobs/sha256/{digest}", sample.name);
        let title = sample.title();
        let curl = |host: &str, path: &str| format!("curl -sSf -o /dev/null http://{host}{path}");
        let clients = [
            Client::new("curl from artifact", "curl", curl(&server.host, &path)),
            Client::new("curl from nginx", "curl", curl(&nginx.host, &their_path)),
        ];
        let all = turns(place, None, &clients);
        self.table.compare(&format!("serve {title} to curl"), OURS, &all[0], &all[1], Some(1.0 / 0.9));
        let (ours, theirs) = (vec![path; 8], vec![their_path; 8]);
        self.race(&format!("serve {title}"), (&server, &ours[..1]), (&nginx, &theirs[..1]), 1, Some(1.0 / 0.9));
        self.first(&title, first, seconds(&nginx, &theirs[..1], 1));
        self.race(&format!("serve {title} to 8 at once"), (&server, &ours), (&nginx, &theirs), 8, Some(1.0 / 0.9));
        drop((server, nginx));
        let server = Server::ours(place, &layouts, "");
        match gets(&server.host, &vec![ours[0].clone(); CROWD], CROWD) {
            Ok(_) => {
                let what = format!("serve {title} to {CROWD} at once: memory");
                self.table.bound(&what, OURS, (server.peak(), "MiB"), 64.0);
            }
            Err(why) => self.table.left_out(format!("{CROWD} at once: {why}")),
        }
    }

    /// Many small blobs over few connections.
    pub(crate) fn serve_many(&mut self, sample: &Sample<'_>) {
        let place = self.place;
        let (layouts, digests) = (sample.layout().parent().unwrap().to_path_buf(), sample.layers());
        let server = Server::ours(place, &layouts, "");
        let Some(nginx) = Server::nginx(place, &layouts) else { return self.table.left_out("nginx: not on the PATH") };
        let paths = |before: &str| -> Vec<String> {
            digests.iter().map(|digest| format!("/{}{before}{digest}", sample.name)).collect()
        };
        let ours: Vec<String> = paths("/blobs/sha256:").iter().map(|path| format!("/v2{path}")).collect();
        let theirs = paths("/blobs/sha256/");
        self.race(&format!("serve {} over 4", sample.title()), (&server, &ours), (&nginx, &theirs), 4, None);
    }

    /// The first time that a server sees a blob, it reads it twice: to hash it, and to send it.
    fn first(&mut self, title: &str, ours: Result<f64, String>, theirs: Result<f64, String>) {
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            let (own, other) = (format!("{ours:.2}"), ("nginx", format!("{theirs:.2}")));
            let what = format!("serve {title} for the first time");
            self.table.row(&what, OURS, ("", own), other, ours / theirs, None);
        }
    }

    fn race(
        &mut self,
        what: &str,
        ours: (&Server<'_>, &[String]),
        theirs: (&Server<'_>, &[String]),
        connections: usize,
        most: Option<f64>,
    ) {
        let mut best = [f64::MAX; 2];
        for _ in 0..RUNS {
            for (best, (server, paths)) in best.iter_mut().zip([ours, theirs]) {
                let before = server.processor();
                let taken = match seconds(server, paths, connections) {
                    Ok(seconds) => seconds,
                    Err(why) => return self.table.left_out(format!("{what}: {}: {why}", server.name)),
                };
                *best = best.min(taken);
                let cpu = server.processor() - before;
                eprintln!("    {:<28} {taken:>8.3} s  server {cpu:>5.2} CPU s", server.name);
            }
        }
        let [own, other] = best.map(|seconds| format!("{seconds:.2}"));
        self.table.row(what, OURS, ("", own), ("nginx", other), best[0] / best[1], most);
    }
}

fn seconds(server: &Server<'_>, paths: &[String], connections: usize) -> Result<f64, String> {
    gets(&server.host, paths, connections)
}
