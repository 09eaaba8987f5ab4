//! Helm charts: byte for byte what Helm pushes.

use artifact::{
    Code,
    oci::{Descriptor, Digest, Manifest, media_type},
    plan::Content,
    types::{Inputs, Reference},
};
use base64::Engine as _;

use super::{packed, plan, plan_with, set, tree};

/// A chart as `tar --format=ustar | gzip -9n` made it: Chart.yaml with `appVersion: 1.10`, `&` and `<`, an annotation that
/// Helm overrides, a dependency; values.yaml; templates/NOTES.txt.
const CHART: &str = "H4sIAAAAAAACA+2WS4vbMBDHc9anED70UiM/4iRg2qUPem0PW3IpOcj2NBGVLSMpyYbg796xt9tNw5ZeatPH/MDYSJrRjP6eQUco\
     otnIxMhqsRjeyPX7ie/VapnO+GI2AXvnpcUtf0eSl8n9JRxR/7c7ab04yVqPp/8yy36q/zKb/6h/kqwS1D8m/UdHtmoN1inT5PyQ\
     skbWkHP8KdjhYTQRqZg/L/ZKVyJjsm3XjzNJzCpwpVWtH0aCW7AH4C8+Kw3uhj/jtbEQsJ3pve68b10eRXAn61aDMHYb9Ts5s7cl\
     uJx/emqFs+WGfYHT0diqXyNDXmxYLVXj8cFQcOx8H/brCicBp3TOZSVfXbjpQv5t0RtTdBsmm8Z42QeN9mdcIEwLTWkenApVyy0I\
     r7xGG7VtMI8q5KX0sDX2NBxRh7mjUYV2Ci7C0KoI+ffjC25eJkHILbTGKT/YBqZUV1mWfQm6ACPzpxZ94DFrVQ4BstHr3wPGgZm5\
     6A/p/1j/y5j6/1T9/1H/9x8+vrsV/s5P2v/j9Fr/eRYn1P+n4HzmYi31HpyQvOvYjPiv6Ov/cK//aBfAX9Z/vLiq/zTJYqr/Se5/\
     eI2joicIgiAIgiAIgiAIgiAIgiAIgvh3+AoJbM8dACgAAA==";

fn chart() -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(CHART).unwrap()
}

/// Helm v3.22 pushed the same file, its modification time 2001-09-09T01:46:40Z, to a registry; these are the digests that
/// the registry then had.
#[tokio::test]
async fn a_chart_is_packed_to_the_bytes_that_helm_pushes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web-1.2.3+build.4.tgz");
    std::fs::write(&path, chart()).unwrap();
    let plan = plan_with(&path, &set(&[("created", "2001-09-09T01:46:40Z")])).unwrap();
    let packed = packed(&plan).await;
    assert_eq!(
        packed.config().unwrap().digest.to_string(),
        "sha256:73d0010b92d96abc0fcf9db924458d1233ca0181be3506b7298012c24d55b3de"
    );
    assert_eq!((packed.config().unwrap().size, packed.manifest().len()), (483, 791));
    assert_eq!(
        packed.root().digest.to_string(),
        "sha256:01a307af87695bb093cbdda423c9dfaf7d7313fc64c75d498dad85aeb5e12e12"
    );
    assert_eq!(plan.reference.tag.as_deref(), Some("1.2.3_build.4"));
    assert_eq!(plan.reference.repository.as_deref(), Some("web"));
}

/// The digests that Helm's own test suite expects of `signtest-0.1.0.tgz` and its provenance file. The two files are not
/// at hand: the plan is made from stand-ins (a chart directory of the same metadata), and their descriptors are put in
/// from Helm's sources. Config and annotations are ours, and so is the manifest that is made of all four.
#[test]
fn the_manifest_of_helms_own_test_is_reproduced() {
    let chart = "apiVersion: v1\ndescription: A Helm chart for Kubernetes\nname: signtest\nversion: 0.1.0\n";
    let dir = tree(&[("signtest/Chart.yaml", chart)]);
    let inputs = set(&[("created", "1977-09-02T22:04:05Z")]);
    let plan = plan_with(&dir.path().join("signtest"), &inputs).unwrap();
    let Content::Json { value, encoding } = &plan.manifest().unwrap().config.content else {
        panic!("{:?}", plan.manifest().unwrap().config)
    };
    let config = Descriptor::of(&plan.manifest().unwrap().config.media_type, &encoding.encode(value).unwrap());
    assert_eq!(config.size, 99);
    assert_eq!(config.digest.hex(), "8d17cb6bf6ccd8c29aace9a658495cbd5e2e87fc267876e86117c7db681c9580");
    let layer = |part: &str, hex: &str, size| {
        Descriptor::new(
            format!("application/vnd.cncf.helm.chart.{part}"),
            format!("sha256:{hex}").parse().unwrap(),
            size,
        )
    };
    let mut layers = vec![
        layer("content.v1.tar+gzip", "e5ef611620fb97704d8751c16bab17fedb68883bfb0edc76f78a70e9173f9b55", 973),
        layer("provenance.v1.prov", "b0a02b7412f78ae93324d48df8fcc316d8482e5ad7827b5b238657a29a22f256", 695),
    ];
    layers.sort_by(|a, b| a.digest.cmp(&b.digest));
    let annotations =
        plan.manifest().unwrap().annotations.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: (!plan.manifest().unwrap().omit_media_type).then(|| media_type::MANIFEST.into()),
        artifact_type: plan.manifest().unwrap().artifact_type.clone(),
        config,
        layers,
        subject: None,
        annotations,
    };
    let bytes = plan.manifest().unwrap().encoding.encode(&manifest).unwrap();
    assert_eq!(bytes.len(), 742);
    assert_eq!(Digest::of(&bytes).hex(), "fbbade96da6050f68f94f122881e3b80051a18f13ab5f4081868dd494538f5c2");
}

#[test]
fn a_provenance_file_beside_a_chart_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.tgz");
    std::fs::write(&path, chart()).unwrap();
    assert_eq!(plan(&path).manifest().unwrap().layers.len(), 1);
    std::fs::write(dir.path().join("web.tgz.prov"), "signed").unwrap();
    let plan = plan(&path);
    let ids: Vec<_> = plan.manifest().unwrap().layers.iter().map(|l| l.id.as_str()).collect();
    assert_eq!(ids, ["chart", "provenance"]);
}

#[test]
fn a_chart_may_not_go_under_another_tag_unless_the_user_insists() {
    let dir = tree(&[("c/Chart.yaml", "name: web\nversion: 1.0.0\n")]);
    let reference = Reference { repository: "reg.example/web".into(), tag: Some("latest".parse().unwrap()) };
    let mut inputs = Inputs { reference: Some(reference), ..Inputs::default() };
    let error = plan_with(&dir.path().join("c"), &inputs).unwrap_err();
    assert!(error.to_string().ends_with("the tag must be `1.0.0`, not `latest`"), "{error}");
    inputs.set.insert("strict".into(), "false".into());
    assert!(plan_with(&dir.path().join("c"), &inputs).is_ok());
}

/// Helm finds a chart by the tag that is its version, and pushes none whose version is no tag.
#[test]
fn a_chart_whose_version_is_too_long_for_a_tag_is_not_pushed_unless_the_user_insists() {
    let version = format!("1.0.0-{}", "a".repeat(123));
    let dir = tree(&[("c/Chart.yaml", &format!("name: web\nversion: {version}\n"))]);
    let path = dir.path().join("c");
    assert!(plan_with(&path, &Inputs::default()).unwrap().warnings[0].contains("cannot be a tag"));
    for tag in [None, Some("v1".parse().unwrap())] {
        let reference = Some(Reference { repository: "reg.example/web".into(), tag });
        let mut inputs = Inputs { reference, ..Inputs::default() };
        let error = plan_with(&path, &inputs).unwrap_err();
        assert_eq!(error.code(), Some(Code::NotATag));
        assert!(error.to_string().ends_with(&format!("the tag must be `{version}`, which cannot be a tag")), "{error}");
        inputs.set.insert("strict".into(), "false".into());
        assert!(plan_with(&path, &inputs).is_ok());
    }
}

#[test]
fn a_chart_is_complete_or_refused_with_what_is_missing() {
    let chart = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
    let needs = format!("{chart}dependencies: [{{name: db, version: 1.x}}, {{name: queue, version: 2.x}}]\n");
    let (db, queue) = ("name: db\nversion: 1.0.0\n", "name: queue\nversion: 2.0.0\n");
    for (files, message) in [
        (&[("c/Chart.yaml", needs.as_str()), ("c/charts/db/Chart.yaml", db)][..], "not in `charts/`: queue;"),
        (&[("c/Chart.yaml", &needs), ("c/charts/db/Chart.yaml", db), ("c/charts/queue/Chart.yaml", queue)], ""),
        (&[("c/Chart.yaml", chart), ("c/values.yaml", "- a\n")], "values.yaml:1:1: "),
        (&[("c/Chart.yaml", chart), ("c/charts/db/values.yaml", "a: 1\n")], "`Chart.yaml` is not in `charts/db`"),
        (
            &[
                ("c/Chart.yaml", chart),
                ("c/charts/db/Chart.yaml", db),
                ("c/charts/db/charts/x/Chart.yaml", "name: x\n"),
            ],
            "charts/db/charts/x/Chart.yaml:1:1: ",
        ),
        (&[("c/Chart.yaml", chart), ("c/charts/db.tgz", "x")], "`charts/db.tgz` is not a tar archive"),
        (&[("c/Chart.yaml", chart), ("c/.helmignore", "!templates\n")], "`Chart.yaml` is left out by `.helmignore`"),
    ] {
        let found = plan_with(&tree(files).path().join("c"), &Inputs::default());
        match found {
            Ok(_) => assert_eq!(message, "", "{files:?}"),
            Err(error) => assert!(!message.is_empty() && error.to_string().contains(message), "{error}"),
        }
    }
}

#[test]
fn a_finished_archive_is_taken_as_helm_takes_it_with_a_warning_for_a_key_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.tar.gz");
    let text = b"apiVersion: v3\nNAME: web\nversion: 1.0.0\nversion: 2.0.0\n";
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "other/Chart.yaml", &text[..]).unwrap();
    std::fs::write(&path, tar.into_inner().unwrap().finish().unwrap()).unwrap();
    let plan = plan(&path);
    assert_eq!(plan.type_name, "helm-chart");
    assert_eq!(plan.reference.tag.as_deref(), Some("2.0.0"));
    assert_eq!(
        plan.warnings,
        ["Chart.yaml:4:1: the key `version` comes again; the last one counts, not the one in line 3"]
    );
}
