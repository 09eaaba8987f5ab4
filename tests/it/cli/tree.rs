//! `artifact tree`: what people see, what programs read, and how it ends.

use serde_json::Value;

use super::{Served, World, listing::with_platforms};

/// An artifact with an attached note, a reply to it, and a signature and attestations as cosign keeps them.
fn signed(world: &World, place: &str) -> String {
    let image = world.ok(&format!("push talk {place}:v1 -q")).trim().to_owned();
    let note = world.ok(&format!("attach {place}:v1 talk/1.png --artifact-type application/vnd.example.note -q"));
    let predicate = "dev.sigstore.bundle.predicateType=https://example.com/review/v1";
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let note = note.trim();
    world.ok(&format!("attach {place}@{note} talk/2.png --artifact-type {kind} -a {predicate}"));
    let [sig, att, _] = artifact::oci::Tag::companions_of(&image.parse().unwrap());
    world.ok(&format!("push talk/1.png talk/2.png {place}:{sig}"));
    world.write("predicate", "{}");
    let layer = world.ok(&format!("blob push {place} predicate -q"));
    let layer = |kind: &str| {
        serde_json::json!({"mediaType": "application/vnd.dsse.envelope.v1+json", "digest": layer.trim(), "size": 2,
            "annotations": {"dev.cosignproject.cosign/signature": "", "predicateType": kind}})
    };
    let layers =
        ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"].map(layer);
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": artifact::oci::media_type::MANIFEST,
        "config": {"mediaType": artifact::oci::media_type::IMAGE_CONFIG, "digest": layers[0]["digest"], "size": 2},
        "layers": layers});
    world.write("att.json", &manifest.to_string());
    world.ok(&format!("manifest push {place}:{att} att.json"));
    image
}

#[test]
fn a_tree_shows_what_is_about_an_artifact_in_a_registry_a_layout_and_an_archive() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let place = format!("{}/app", registry.addr);
    let image = signed(&world, &place);
    for place in [place.as_str(), "oci:app", "oci-archive:app.tar"] {
        if place.starts_with("oci") {
            world.ok(&format!("copy {}/app:v1 {place}:v1", registry.addr));
        }
        let shown = world.ok(&format!("tree {place}:v1")).replace(place, "PLACE");
        insta::assert_snapshot!("tree", shown);
        assert_eq!(world.ok(&format!("discover {place}:v1 -q")).trim(), image);
    }
}

#[test]
fn every_manifest_of_a_tree_is_an_object_of_one_shape() {
    let world = World::new();
    let image = signed(&world, "oci:app");
    let json = world.ok("tree oci:app:v1 --format json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["reference"], format!("oci:app@{image}"));
    let (mut nodes, mut count) = (vec![&json], 0);
    while let Some(node) = nodes.pop() {
        count += 1;
        for key in [
            "reference",
            "digest",
            "mediaType",
            "size",
            "artifactType",
            "annotations",
            "platform",
            "predicateType",
            "tags",
            "children",
            "referrers",
            "companions",
        ] {
            assert!(node.get(key).is_some(), "{key}: {node}");
        }
        for below in ["children", "referrers", "companions"] {
            nodes.extend(node[below].as_array().unwrap());
        }
    }
    assert_eq!(count, 5);
    let reply = &json["referrers"][0]["referrers"][0];
    assert_eq!(reply["predicateType"], "https://example.com/review/v1");
    let att = &json["companions"][1];
    assert_eq!(att["layers"].as_array().unwrap().len(), 3);
    assert_eq!(att["layers"][1]["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(att["tags"][0], format!("{}.att", image.replace(':', "-")));
}

#[test]
fn members_have_their_platforms_and_those_that_were_left_out_are_marked() {
    let world = with_platforms();
    world.write("programs/linux-s390x/tool", "for s390x");
    world.ok("push programs oci:index:v1 --type multi-platform");
    world.ok("attach oci:index:v1 talk/1.png --artifact-type a/note");
    world.ok("copy oci:index:v1 oci:part:v1 --platform linux/amd64,linux/arm64");
    let lines = |shown: String| -> Vec<String> {
        let of_node = |line: &&str| line.starts_with(['├', '└']);
        shown.lines().filter(of_node).map(|line| line.split(", ").next().unwrap().to_owned()).collect()
    };
    let whole = ["├── linux/amd64", "├── linux/arm64", "├── linux/s390x", "└── a/note"];
    assert_eq!(lines(world.ok("tree oci:index:v1")), whole);
    let part = ["├── linux/amd64", "├── linux/arm64", "├── linux/s390x (left out)", "└── a/note"];
    assert_eq!(lines(world.ok("tree oci:part:v1")), part);
    let json: Value = serde_json::from_str(&world.ok("tree oci:part:v1 --format json")).unwrap();
    assert_eq!(json["leftOut"][0], json["children"][2]["digest"]);
    assert_eq!(json["children"][0]["platform"]["architecture"], "amd64");
    // A filter leaves members only if they lead to something.
    assert_eq!(lines(world.ok("tree oci:index:v1 --artifact-type a/note")), ["└── a/note"]);
}

#[test]
fn filters_leave_what_fits_with_what_leads_to_it() {
    let world = World::new();
    signed(&world, "oci:app");
    let note = world.ok("tree oci:app:v1 --artifact-type application/vnd.example.note");
    assert!(note.contains("vnd.example.note") && !note.contains("bundle") && !note.contains("cosign"), "{note}");
    let predicate = "-a dev.sigstore.bundle.predicateType=https://example.com/review/v1";
    let reply = world.ok(&format!("tree oci:app:v1 {predicate}"));
    assert!(reply.contains("vnd.example.note") && reply.contains("review/v1") && !reply.contains("cosign"), "{reply}");
    let both = "--artifact-type a/b --artifact-type application/vnd.oci.image.config.v1+json";
    assert!(world.ok(&format!("tree oci:app:v1 {both}")).contains("3 attestations of cosign"));
    let none = world.run("tree oci:app:v1 --artifact-type a/b");
    assert_eq!((none.code, none.stdout.lines().count()), (0, 2), "{}", none.stdout);
    assert_eq!(none.stderr, "nothing that refers to it fits\n");
    world.fails("tree oci:app:v1 -a a=b -a a=c", 2, &["given twice"]);
    world.ok("push talk oci:bare:v1");
    assert_eq!(world.run("tree oci:bare:v1").stderr, "nothing refers to it\n");
    world.fails("tree oci:bare:v2", 4, &["v2"]);
}

#[test]
fn a_list_that_is_refused_is_no_empty_list() {
    let world = World::new();
    world.ok("push talk oci:app:v1");
    for (status, code) in [(429, 1), (500, 1), (403, 5)] {
        world.write("f.yaml", &format!("faults: [{{on: GET referrers, nth: all, refuse: {{status: {status}}}}}]"));
        let registry = Served::start(&world, "app --faults f.yaml");
        let ran = world.run(&format!("tree {}/app:v1 --retries 0", registry.addr));
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{status}: {}", ran.stderr);
        assert!(ran.stderr.contains("list the referrers of sha256:"), "{}", ran.stderr);
    }
}

#[test]
fn foreign_text_is_escaped_and_cut() {
    let world = World::new();
    let image = world.ok("push talk oci:app:v1 -q");
    let subject = world.ok("tree oci:app:v1 --format json");
    let subject: Value = serde_json::from_str(&subject).unwrap();
    let subject =
        serde_json::json!({"mediaType": subject["mediaType"], "digest": image.trim(), "size": subject["size"]});
    let empty = serde_json::to_value(artifact::oci::Descriptor::empty()).unwrap();
    world.write("empty", "{}");
    world.ok("blob push oci:app empty");
    let evil = format!("application/\u{1b}[31m\u{202e}{}", "x".repeat(300));
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": artifact::oci::media_type::MANIFEST,
        "artifactType": evil, "config": empty, "layers": [], "subject": subject,
        "annotations": {"dev.sigstore.bundle.predicateType": evil}});
    world.write("evil.json", &manifest.to_string());
    world.ok("manifest push oci:app evil.json");
    let shown = world.ok("tree oci:app:v1");
    assert!(shown.contains("\\u{1b}[31m\\u{202e}xxx") && shown.contains("xxx…"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 260), "{shown}");
    let json = world.ok("tree oci:app:v1 --format json");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && !json.contains(['\u{1b}', '\u{202e}']));
}

/// `cosign copy` leaves the tag of the list of referrers pointing at the image itself.
#[test]
fn attaching_works_where_the_tag_of_the_list_is_the_artifact_itself() {
    let world = World::new();
    let without_api = "faults: [{on: GET referrers, nth: all, refuse: {status: 404}}, \
        {on: PUT manifest, nth: all, change: {headers: {oci-subject: null}}}]";
    world.write("old.yaml", without_api);
    for options in ["--writable --faults old.yaml", "--writable"] {
        let registry = Served::start(&world, options);
        let place = format!("{}/app", registry.addr);
        for (tag, source) in [("image", "talk"), ("list", "talk/1.png")] {
            let mut digest = world.ok(&format!("push {source} {place}:{tag} -q")).trim().to_owned();
            if tag == "list" {
                // An index, too.
                let found: Value =
                    serde_json::from_str(&world.ok(&format!("tree {place}:{tag} --format json"))).unwrap();
                let member = ["mediaType", "digest", "size"].map(|key| (key.to_owned(), found[key].clone()));
                let member = Value::Object(member.into_iter().collect());
                let kind = artifact::oci::media_type::INDEX;
                let index = serde_json::json!({"schemaVersion": 2, "mediaType": kind, "manifests": [member]});
                world.write("index.json", &index.to_string());
                digest = world.ok(&format!("manifest push {place}:{tag} index.json -q")).trim().to_owned();
            }
            let fallback = digest.replace(':', "-");
            world.ok(&format!("tag {place}:{tag} {fallback}"));
            let bare = world.run(&format!("tree {place}:{tag}"));
            assert_eq!((bare.code, bare.stderr.as_str()), (0, "nothing refers to it\n"), "{options}: {}", bare.stdout);
            let note = world.ok(&format!("attach {place}:{tag} talk/2.png --artifact-type a/note -q"));
            let shown = world.ok(&format!("tree {place}:{tag}"));
            assert!(shown.contains("a/note") && shown.contains(note.trim()), "{options}: {shown}");
            let again = world.ok(&format!("attach {place}:{tag} talk/1.png --artifact-type a/second -q"));
            let shown = world.ok(&format!("tree {place}:{tag}"));
            assert!(shown.contains(note.trim()) && shown.contains(again.trim()), "{options}: {shown}");
            assert_eq!(world.ok(&format!("resolve {place}:{tag}")).trim(), digest, "{options}");
        }
    }
    // The state as it lies in a layout.
    let image = world.ok("push talk oci:copied:v1 -q").trim().replace(':', "-");
    world.ok(&format!("tag oci:copied:v1 {image}"));
    let note = world.ok("attach oci:copied:v1 talk/1.png --artifact-type a/note -q");
    assert!(world.ok("tree oci:copied:v1").contains(note.trim()));
}

/// As oras does it: whoever reads only the list sees what refers to something, and what it is.
#[test]
fn a_layout_and_an_archive_list_copied_referrers_with_type_and_annotations() {
    let world = World::new();
    let registry = Served::start(&world, "--writable");
    let place = format!("{}/app", registry.addr);
    signed(&world, &place);
    for to in ["oci:copied", "oci-archive:copied.tar"] {
        world.ok(&format!("copy {place}:v1 {to}:v1"));
    }
    let mut tar = tar::Archive::new(std::fs::File::open(world.path().join("copied.tar")).unwrap());
    tar.unpack(world.path().join("unpacked")).unwrap();
    for dir in ["copied", "unpacked"] {
        let index = std::fs::read_to_string(world.path().join(dir).join("index.json")).unwrap();
        let index: Value = serde_json::from_str(&index).unwrap();
        let of_type = |kind: &str| {
            let all = index["manifests"].as_array().unwrap();
            all.iter().find(|entry| entry["artifactType"] == kind).unwrap_or_else(|| panic!("{dir}: {index}"))
        };
        let bundle = of_type("application/vnd.dev.sigstore.bundle.v0.3+json");
        let predicate = &bundle["annotations"]["dev.sigstore.bundle.predicateType"];
        assert_eq!(predicate, "https://example.com/review/v1", "{dir}");
        assert!(bundle["annotations"].get("org.opencontainers.image.ref.name").is_none(), "{dir}");
        of_type("application/vnd.example.note");
    }
}
