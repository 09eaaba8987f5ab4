//! Many forms of Chart.yaml and slides.yaml, and what became of each on the day that the tables were made: nothing of it
//! changes by accident. A verdict that is to change is changed in its table, and the change says why.

mod random;

use std::{fs, path::Path};

use artifact::{
    source::Source,
    types::{Catalog, Inputs},
};
use serde::Deserialize;

/// A form, and what becomes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    name: String,
    source: String,
    /// The exit code of the command line.
    exit: i32,
    digest: Option<String>,
    /// The lines on stderr: warnings, or the error.
    #[serde(default)]
    stderr: Vec<String>,
    /// The type that is found, or an exit code.
    detected: serde_json::Value,
}

/// As the command line shows it.
fn shown(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let one = |c: char| match c {
        '\n' | '\t' | '\r' => c.escape_default().to_string(),
        c if harmful(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

/// The digest with the warnings, or the error.
async fn verdict(catalog: &Catalog, type_name: &str, path: &Path) -> Result<(String, Vec<String>), String> {
    let place = format!("{}/", path.ancestors().nth(if path.is_dir() { 1 } else { 2 }).unwrap().display());
    let failed = |e: artifact::Error| shown(&e.to_string().replace(&place, ""));
    let source = Source::open(path).map_err(failed)?;
    let plan =
        catalog.get(type_name).unwrap().plan(&source, &Inputs { now: Some(0), ..Inputs::default() }).map_err(failed)?;
    let warnings = plan.warnings.iter().map(|warning| format!("warning: {}", shown(warning))).collect();
    let scratch = tempfile::tempdir().unwrap();
    let packed = artifact::pack(&plan, &artifact::pack::Options::new(scratch.path())).await.map_err(failed)?;
    Ok((packed.root().digest.to_string(), warnings))
}

/// What differs from a table.
async fn differences(table: &str, type_name: &str, write: impl Fn(&Path, &str) -> std::path::PathBuf) -> Vec<String> {
    let forms: Vec<Form> = serde_saphyr::from_str(table).unwrap();
    let catalog = Catalog::builtin().unwrap();
    let mut differences = Vec::new();
    for form in &forms {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &form.source);
        let found = verdict(&catalog, type_name, &path).await;
        let expected = match &form.digest {
            Some(digest) => Ok((digest.clone(), form.stderr.clone())),
            None => Err(form.stderr[0].trim_start_matches("error: ").to_owned()),
        };
        assert_eq!(form.exit == 0, form.digest.is_some(), "{}", form.name);
        if found != expected {
            differences.push(format!("{}: {found:?}, not {expected:?}", form.name));
        }
        let planned = Source::open(&path).and_then(|source| {
            let detected = catalog.detect(&source)?;
            let name = detected.kind.name().to_owned();
            // Where no plan can be made of what was found, the table has an exit code.
            let inputs = Inputs { now: Some(0), ..Inputs::default() };
            Ok(if detected.kind.plan(&source, &inputs).is_ok() { Some(name) } else { None })
        });
        let planned = planned.ok().flatten();
        if form.detected.as_str() != planned.as_deref() {
            differences.push(format!("{}: found to be {planned:?}, not {}", form.name, form.detected));
        }
    }
    assert!(forms.len() > 200, "{}", forms.len());
    differences
}

#[tokio::test]
async fn every_form_of_a_chart_has_the_verdict_of_its_table() {
    let write = |dir: &Path, text: &str| {
        let chart = dir.join("chart");
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join("templates/a.yaml"), "a: 1\n").unwrap();
        fs::write(chart.join("Chart.yaml"), text).unwrap();
        // What a chart depends on lies in it.
        for name in ["a", "b", "cache", "db"].iter().filter(|_| text.contains("dependencies")) {
            fs::create_dir_all(chart.join("charts").join(name)).unwrap();
            fs::write(chart.join("charts").join(name).join("Chart.yaml"), format!("name: {name}\nversion: 1.0.0\n"))
                .unwrap();
        }
        chart
    };
    let found = differences(include_str!("verdicts/charts.yaml"), "helm-chart", write).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test]
async fn every_form_of_a_list_of_slides_has_the_verdict_of_its_table() {
    let write = |dir: &Path, text: &str| {
        let talk = dir.join("talk");
        fs::create_dir(&talk).unwrap();
        fs::write(talk.join("1.png"), "one").unwrap();
        fs::write(talk.join("2.png"), "two").unwrap();
        fs::write(talk.join("slides.yaml"), text).unwrap();
        talk.join("slides.yaml")
    };
    let found = differences(include_str!("verdicts/slides.yaml"), "slideshow", write).await;
    assert!(found.is_empty(), "{}", found.join("\n"));
}
