//! `artifact inspect`: the description of an artifact.

use std::process::ExitCode;

use artifact::{
    Result,
    describe::{Content, Description, describe},
    location::{Location, ReadLocation},
    oci::Descriptor,
};

use super::{
    report::{Report, about, object},
    session::{CatalogArgs, RegistryArgs},
    text::{escape, escape_lines, size, table},
};

/// Show an artifact's type, config, layers or members, annotations and referrers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    #[command(flatten)]
    types: CatalogArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let opened = args.registry.open(&args.location, report).await?;
    let (root, location) = (opened.resolve().await?, &opened.location);
    let description = describe(opened.store.as_ref(), &root, &args.types.load(report)?).await?;
    description.warnings.iter().for_each(|warning| report.warn(warning));
    let mut json = object(&description)?;
    json.insert("location".into(), location.to_string().into());
    json.extend(about(&location.place, &root)?);
    report.result(Some(&root.digest), &json, &text(Some(location), &description))?;
    Ok(ExitCode::SUCCESS)
}

/// The description of an artifact as lines of text.
pub(super) fn text(location: Option<&Location>, description: &Description) -> Vec<String> {
    let mut facts: Vec<_> =
        location.map(|location| row("location", escape(&location.to_string()))).into_iter().collect();
    facts.push(row("digest", description.digest.to_string()));
    facts.push(row("media type", escape(&description.media_type)));
    facts.extend(description.type_name.iter().map(|name| row("type", escape(name))));
    let given = description.artifact_type.as_ref();
    let config = description.config.as_ref().map(|config| &config.descriptor);
    // A manifest without an artifact type has its config's media type, which is on the next line.
    let own = given.filter(|given| config.is_none_or(|config| config.media_type != **given));
    facts.extend(own.map(|name| row("artifact type", escape(name))));
    facts.extend(config.map(|config| row("config", format!("{} ({})", escape(&config.media_type), size(config.size)))));
    facts.extend(description.subject.iter().map(|subject| row("subject", subject.digest.to_string())));
    let mut lines = table(&facts);
    let layer = |Content { descriptor, role, title }: &Content| {
        let mut cells = vec![descriptor.digest.short(), size(descriptor.size), escape(&descriptor.media_type)];
        if description.layers.iter().any(|layer| layer.role.is_some()) {
            cells.push(escape(role.as_deref().unwrap_or("-")));
        }
        cells.push(escape(title.as_deref().unwrap_or("-")));
        cells
    };
    let member = |Content { descriptor, title, .. }: &Content| {
        let platform = descriptor.platform.as_ref().map(ToString::to_string);
        let name = platform.or_else(|| title.clone()).unwrap_or_else(|| "-".into());
        let name = match description.left_out.contains(&descriptor.digest) {
            true => format!("{} (left out)", escape(&name)),
            false => escape(&name),
        };
        vec![descriptor.digest.to_string(), size(descriptor.size), escape(&descriptor.media_type), name]
    };
    let about = |desc: &Descriptor| {
        let what = desc.artifact_type.as_deref().unwrap_or(&desc.media_type);
        vec![desc.digest.to_string(), escape(what)]
    };
    let content = if description.config.is_some() { "layers" } else { "content" };
    section(&mut lines, content, description.layers.iter().map(layer).collect());
    section(&mut lines, "manifests", description.children.iter().map(member).collect());
    let annotations = description.annotations.iter().map(|(key, value)| vec![escape(key), escape_lines(value)]);
    section(&mut lines, "annotations", annotations.collect());
    section(&mut lines, "referrers", description.referrers.iter().map(|content| about(&content.descriptor)).collect());
    let kept = description.companions.iter();
    let kept = kept.map(|companion| vec![companion.descriptor.digest.to_string(), companion.tag.to_string()]);
    section(&mut lines, "kept by cosign", kept.collect());
    lines
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

fn section(lines: &mut Vec<String>, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(format!("{title}:"));
    lines.extend(table(&rows).into_iter().map(|line| format!("  {line}").trim_end().to_owned()));
}
