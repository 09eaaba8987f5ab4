//! The JSON form of plans, as its page describes it.

use std::collections::BTreeMap;

use artifact::{
    plan::{self, Part, Plan, Unpacking},
    types::{
        self,
        plugin::{About, PlanQuestion, UnpackQuestion},
    },
};
use serde_json::{Value, json};

use super::packed;
use crate::support::examples::root;

/// The examples of the page, by what they are examples of.
fn examples() -> BTreeMap<String, Vec<String>> {
    let page = std::fs::read_to_string(root().join("artifact-types/plan.md")).unwrap();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for block in page.split("```json ").skip(1) {
        let (what, rest) = block.split_once('\n').unwrap();
        all.entry(what.into()).or_default().push(rest.split("```").next().unwrap().into());
    }
    all
}

fn reads<T: serde::de::DeserializeOwned>(example: &str) -> T {
    plan::parse(example.as_bytes()).unwrap_or_else(|e| panic!("{e}: {example}"))
}

#[tokio::test]
async fn every_example_of_the_page_about_plans_is_read_and_every_content_is_packed() {
    let mut examples = examples();
    let mut take = |what: &str| examples.remove(what).unwrap();
    reads::<About>(&take("about")[0]);
    reads::<PlanQuestion>(&take("plan-question")[0]);
    reads::<UnpackQuestion>(&take("unpack-question")[0]);
    assert_eq!(reads::<Unpacking>(&take("unpacking")[0]).steps.len(), 2);
    let plans: Vec<Plan> = take("plan").iter().map(|example| reads(example)).collect();
    assert_eq!(plans.iter().map(|plan| plan.manifests().len()).collect::<Vec<_>>(), [1, 1]);
    let parts: Vec<Part> = take("part").iter().map(|example| reads(example)).collect();
    let kinds: std::collections::BTreeSet<_> =
        parts.iter().map(|part| std::mem::discriminant(&part.content)).map(|kind| format!("{kind:?}")).collect();
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    let (configs, layers): (Vec<Part>, Vec<Part>) =
        parts.into_iter().partition(|part| part.media_type.contains("json"));
    for config in configs {
        let dir = super::tree(&[("a.txt", "a")]);
        let mut plan = plans[0].clone();
        plan.base = dir.path().into();
        let manifest = plan.manifest_mut().unwrap();
        (manifest.config, manifest.layers) = (config, layers.clone());
        assert_eq!(packed(&plan).await.layers().len(), 3);
    }
    assert!(examples.is_empty(), "{examples:?}");
}

#[test]
fn the_schema_of_plans_takes_what_is_read_and_nothing_else() {
    let schema: Value = serde_json::from_str(&types::plan_schema().unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for example in &examples()["plan"] {
        let good: Value = serde_json::from_str(example).unwrap();
        assert!(
            validator.is_valid(&good),
            "{:?}",
            validator.iter_errors(&good).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        let spoilt = |pointer: &str, key: &str, value: Value| {
            let mut bad = good.clone();
            bad.pointer_mut(pointer).unwrap()[key] = value;
            bad
        };
        let kind = if good.get("manifest").is_some() { "/manifest" } else { "/index" };
        for bad in [
            spoilt("", "apiVersion", json!("artifact-plan/v2")),
            spoilt("", "colour", json!("red")),
            spoilt("", if kind == "/manifest" { "index" } else { "manifest" }, json!({"members": []})),
            spoilt(kind, "colour", json!("red")),
        ] {
            assert!(!validator.is_valid(&bad), "{bad}");
            assert!(plan::parse::<Plan>(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_plan_is_told_with_its_place() {
    let plan = examples()["plan"][1].clone();
    for (from, to, message) in [
        (r#""arm64""#, "5", "`index.members[0].platform.architecture`: invalid type"),
        (
            r#""empty": {}"#,
            r#""empty": {}, "text": "x""#,
            "`index.members[0].manifest.config`: a blob needs exactly one of",
        ),
        (r#""location""#, r#""place""#, "`index.members[1].stored.place`: unknown field `place`"),
        (r#""stored": {"#, r#""stored_": {"#, "`index.members[1].stored_`: unknown field"),
        (r#""index": {"#, r#""manifest": {"config": 1}, "index": {"#, "`manifest.config`: invalid type"),
    ] {
        let error = plan::parse::<Plan>(plan.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    let twice = plan::parse::<Plan>(format!("{plan}{plan}").as_bytes()).unwrap_err();
    assert!(twice.to_string().contains("expected one JSON document, found more"), "{twice}");
}
