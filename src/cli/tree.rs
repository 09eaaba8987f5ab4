//! `artifact tree`: what there is about an artifact.

use std::{collections::HashSet, process::ExitCode};

use artifact::{
    Result,
    location::{Place, ReadLocation, name_in},
    tree::{Filter, Node, Tree, tree},
};
use serde_json::{Map, Value};

use super::{
    pairs::{distinct, pair},
    report::{Report, object},
    session::RegistryArgs,
    text::{count, escape, size},
};

/// Most characters of foreign text in a line.
const MAX_TEXT: usize = 200;
/// Most types of predicates that are named of one manifest.
const MAX_PREDICATES: usize = 10;

/// Show what there is about an artifact: signatures, attestations, SBOMs and all else that refers to it, as a tree.
///
/// Referrers of referrers follow, and what cosign keeps under the tags `sha256-….sig`, `.att` and `.sbom`. Of an index, the
/// members are shown with what is about them. Nothing is verified: types are what the manifests say of themselves.
///
/// A list that cannot be read is an error. Beyond 1000 referrers of a manifest, 10000 in all, or 16 levels, the rest is left
/// out, which is said, and the exit code is 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact; `repository:^1.2` is the newest tag in the range
    location: ReadLocation,
    /// Show referrers of this artifact type, or of one of several, and what leads to them
    #[arg(long = "artifact-type", value_name = "TYPE")]
    artifact_types: Vec<String>,
    /// Show referrers with this annotation, or all of several, and what leads to them
    #[arg(short, long = "annotation", value_name = "KEY=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: Args, report: &Report) -> Result<ExitCode> {
    let annotations = distinct(&args.annotations, "--annotation", "")?;
    let filter = Filter { artifact_types: args.artifact_types, annotations };
    let opened = args.registry.open(&args.location, report).await?;
    let (store, location) = (opened.store.as_ref(), &opened.location);
    let mut found = tree(store, &name_in(store, location).await?).await?;
    found.keep(&filter);
    let mut json = document(&location.place, &found.root)?;
    json.insert("location".into(), location.to_string().into());
    json.insert("notes".into(), found.lacks.clone().into());
    report.result(Some(&found.root.digest), &json, &text(&location.place, &found))?;
    if found.root.is_bare() && found.lacks.is_empty() {
        report.say(if filter.is_empty() { "nothing refers to it" } else { "nothing that refers to it fits" });
    }
    found.whole().map(|()| ExitCode::SUCCESS)
}

/// A manifest and all below it, each with its reference.
fn document(place: &Place, node: &Node) -> Result<Map<String, Value>> {
    let mut json = object(node)?;
    for (key, below) in [("children", &node.children), ("referrers", &node.referrers), ("companions", &node.companions)]
    {
        let below = below.iter().map(|node| document(place, node).map(Value::from)).collect::<Result<Vec<_>>>()?;
        json.insert(key.into(), below.into());
    }
    let reference = Value::from(format!("{place}@{}", node.digest));
    Ok(std::iter::once(("reference".to_owned(), reference)).chain(json).collect())
}

/// The tree as lines of text.
fn text(place: &Place, tree: &Tree) -> Vec<String> {
    let root = &tree.root;
    let mut lines = vec![escape(&format!("{place}@{}", root.digest)), format!("{}, {}", kind(root), size(root.size))];
    lines.extend(root.notes.iter().map(|note| format!("({})", shown(note))));
    below(root, "", &mut lines);
    lines
}

/// Adds the lines of all below a manifest.
fn below(node: &Node, start: &str, lines: &mut Vec<String>) {
    let members = node.children.iter().map(|child| (child, member(child, node.left_out.contains(&child.digest))));
    let referrers = node.referrers.iter().map(|node| (node, kind(node)));
    let kept = node.companions.iter().map(|node| (node, kept(node)));
    let mut all = members.chain(referrers).chain(kept).peekable();
    while let Some((node, what)) = all.next() {
        let (branch, inner) = if all.peek().is_some() { ("├── ", "│   ") } else { ("└── ", "    ") };
        let inner = format!("{start}{inner}");
        lines.push(format!("{start}{branch}{what}, {}", size(node.size)));
        lines.extend(details(node).into_iter().map(|line| format!("{inner}{line}")));
        below(node, &inner, lines);
    }
}

/// What a manifest says that it is.
fn kind(node: &Node) -> String {
    shown(node.artifact_type.as_deref().unwrap_or(&node.media_type))
}

fn member(node: &Node, left_out: bool) -> String {
    let what = match &node.platform {
        _ if node.is_attestation() => "attestation".into(),
        Some(platform) => shown(&platform.to_string()),
        None => format!("member {}", kind(node)),
    };
    if left_out { format!("{what} (left out)") } else { what }
}

/// What is under a tag of cosign's.
fn kept(node: &Node) -> String {
    let tag = node.tags.first().map(|tag| tag.as_str()).unwrap_or_default();
    let noun = match tag.rsplit_once('.') {
        Some((_, "sig")) => "signature",
        Some((_, "att")) => "attestation",
        _ => "SBOM",
    };
    match &node.layers {
        Some(layers) => format!("{} of cosign", count(layers.len(), noun)),
        None => format!("{noun}s of cosign"),
    }
}

/// The lines below that of a manifest.
fn details(node: &Node) -> Vec<String> {
    let of_layers = node.layers.iter().flatten().filter_map(|layer| layer.predicate_type.as_ref());
    let mut known = HashSet::new();
    let types: Vec<&String> =
        node.predicate_type.iter().chain(of_layers).filter(|predicate| known.insert(*predicate)).collect();
    let more = types.len().saturating_sub(MAX_PREDICATES);
    let mut lines: Vec<String> = types.into_iter().take(MAX_PREDICATES).map(|text| shown(text)).collect();
    lines.extend((more > 0).then(|| format!("and {more} more types of predicates")));
    lines.extend(node.tags.iter().map(ToString::to_string));
    lines.push(node.digest.to_string());
    lines.extend(node.repeated.then(|| "(what is about it is elsewhere in this tree)".to_owned()));
    lines.extend(node.notes.iter().map(|note| format!("({})", shown(note))));
    lines
}

/// Foreign text, escaped and cut to a length that fits.
fn shown(text: &str) -> String {
    let cut = text.char_indices().nth(MAX_TEXT).map(|(at, _)| text.split_at(at).0);
    cut.map_or_else(|| escape(text), |cut| format!("{}…", escape(cut)))
}
