//! Costs that another program shows: strace what a run does with files, docker-registry what it is asked.

mod disk;

use std::time::{Duration, Instant};

use http::Uri;

use crate::{
    harness::{Test, tests},
    support::{
        costs::{AGAIN, FORTY, FORTY_FIRST, HANGS, OTHER_TAG, World, kind, succeeds, summary},
        docker_registry::{Access, DockerRegistry},
    },
};

pub(crate) fn tests() -> Vec<Test> {
    let own = tests![["docker-registry"] plain docker_registry_is_asked_for_forty_files_as_often];
    own.into_iter().chain(disk::tests()).collect()
}

fn docker_registry_is_asked_for_forty_files_as_often() {
    let registry = DockerRegistry::start(Access::Anyone);
    let (world, mut before) = (World::new(), 0);
    let requests = FORTY.into_iter().zip([85, 1, 5]).map(|(line, count)| {
        succeeds(world.command(&[], &line.replace("R/", &format!("{}/", registry.host()))));
        // A line of its log may come after the answer; one too many is seen by the next run at the latest.
        let end = Instant::now() + HANGS;
        while registry.access_log().lines().count() < before + count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
        let log = registry.access_log();
        let requests = log.lines().skip(before).map(|line| {
            let mut words = line.split('"').nth(1).unwrap().split(' ');
            kind(words.next().unwrap(), &words.next().unwrap().parse::<Uri>().unwrap())
        });
        let requests = summary(requests);
        before = log.lines().count();
        requests
    });
    assert_eq!(requests.collect::<Vec<_>>(), [FORTY_FIRST, AGAIN, OTHER_TAG]);
}
