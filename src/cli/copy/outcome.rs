//! What a copy reports: messages, digests, one JSON document.

use std::{
    collections::{HashMap, HashSet},
    process::ExitCode,
};

use artifact::{
    Result,
    copy::{self, NameReport, NewIndex, PartialIndex},
    location::Location,
    oci::{Descriptor, Digest},
};
use serde_json::{Value, json};

use super::{
    super::{
        progress::Account,
        report::{Report, about, object},
        several::{add_failures, tell_failures},
        text::{count, size},
    },
    carry::Carried,
};

/// The output of a command that copied one artifact.
pub(crate) struct Outcome {
    digest: Digest,
    pub(crate) json: serde_json::Map<String, Value>,
    pub(crate) lines: Vec<String>,
}

impl Outcome {
    pub(crate) fn print(&self, report: &Report) -> Result<ExitCode> {
        report.result(Some(&self.digest), &self.json, &self.lines)?;
        Ok(ExitCode::SUCCESS)
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// Reports a finished copy of one artifact, with these facts about it; its digest is for stdout.
pub(crate) fn report_done(
    report: &Report,
    done: &copy::Report,
    to: &Location,
    facts: serde_json::Map<String, Value>,
) -> Result<Outcome> {
    let digest = done.root.digest.clone();
    account(report, &CopyText::of_one(done, to, false), done, (facts, vec![digest.to_string()]))
}

/// Reports a finished pull; with `referrers`, also those that were left behind.
pub(crate) fn report_pulled(report: &Report, done: &copy::Report, to: &Location, referrers: bool) -> Result<Outcome> {
    let told = CopyText { referrers, ..CopyText::of_one(done, to, false) };
    account(report, &told, done, (serde_json::Map::new(), vec![done.root.digest.to_string()]))
}

/// Reports a dry run for one artifact, with the description of the artifact.
pub(crate) fn report_planned(
    report: &Report,
    would: &copy::Report,
    to: &Location,
    described: (serde_json::Map<String, Value>, Vec<String>),
) -> Result<Outcome> {
    account(report, &CopyText::of_one(would, to, true), would, described)
}

fn account(
    report: &Report,
    told: &CopyText,
    done: &copy::Report,
    (mut json, lines): (serde_json::Map<String, Value>, Vec<String>),
) -> Result<Outcome> {
    let account = report.ended();
    told.talk(report, done, account);
    json.extend(told.json(done, account)?);
    Ok(Outcome { digest: done.root.digest.clone(), json, lines })
}

/// The outcome of `artifact copy`.
pub(super) struct Outcomes {
    /// The destination as given.
    pub(super) to: String,
    pub(super) dry: bool,
    /// Whether there are many artifacts: messages then name the place of each.
    pub(super) many: bool,
    /// Whether referrers were to be copied.
    pub(super) referrers: bool,
    pub(super) carried: Carried,
}

impl Outcomes {
    /// Reports what was copied and what failed; the worst failure decides the exit code.
    pub(super) fn tell(self, report: &Report) -> Result<ExitCode> {
        let account = report.ended();
        let Self { to, dry, many, referrers, carried: Carried { report: done, locations, roots, failed } } = self;
        let only = if many { None } else { to.parse::<Location>().ok() };
        let place = only.map(|only| only.place.to_string());
        let told = CopyText { to, place, locations, dry, many, referrers };
        let mut json = match &done {
            Some(done) => {
                told.talk(report, done, account);
                told.json(done, account)?
            }
            None => object(&json!({ "location": told.to, "names": [] }))?,
        };
        add_failures(&mut json, &failed);
        let mut known = HashSet::new();
        let lines: Vec<String> = roots.iter().filter(|digest| known.insert(*digest)).map(ToString::to_string).collect();
        report.result(None, &json, &lines)?;
        Ok(tell_failures(report, "copy", failed, roots.len(), dry))
    }
}

/// The facts about a copy that the engine does not report.
struct CopyText {
    /// The destination as given.
    to: String,
    /// The place of the only artifact.
    place: Option<String>,
    /// All names with their places.
    locations: Vec<String>,
    /// Whether this is a dry run.
    dry: bool,
    /// Whether there are many artifacts: messages then name the place of each.
    many: bool,
    /// Whether referrers were to be copied.
    referrers: bool,
}

impl CopyText {
    fn of_one(done: &copy::Report, to: &Location, dry: bool) -> Self {
        let locations = done.names.iter().map(|named| format!("{}:{}", to.place, named.name)).collect();
        Self { to: to.to_string(), place: Some(to.place.to_string()), locations, dry, many: false, referrers: false }
    }

    fn talk(&self, report: &Report, done: &copy::Report, account: Account) {
        let to = &self.to;
        if self.dry {
            report.say("dry run: nothing was moved");
        }
        done.notes.iter().for_each(|note| report.warn(note));
        done.indexes.iter().for_each(|made| self.tell_index(report, made));
        done.partial.iter().for_each(|index| self.tell_partial(report, index));
        self.tell_names(report, done);
        let nothing = done.moved == 0 && done.mounted == 0;
        let same = done.names.iter().all(|name| name.outcome == "same");
        let name = if self.many { String::new() } else { the_name(done) };
        report.say(match (self.dry, nothing) {
            (true, _) => format!("{to}: {name}{}", conditional(done)),
            (false, true) if same => format!("{to} is up to date: nothing moved"),
            (false, true) => format!("{to}: {name}no content moved"),
            (false, false) => format!("{to}: {name}{}{}", sentence(done), account.text(done.bytes)),
        });
    }

    /// Reports an index that was made, and what the one that it is a part of had besides.
    fn tell_index(&self, report: &Report, made: &NewIndex) {
        let NewIndex { from, to, members, left_out, referrers_left, .. } = made;
        let becomes = if self.dry { "would become" } else { "becomes" };
        let members = count(*members, "member");
        report.say(format!("index {from} {becomes} {to} with {members}; left out: {}", platforms(left_out)));
        match referrers_left {
            _ if !self.referrers => {}
            Some(0) => {}
            Some(left) => {
                let stay = if *left == 1 { "stays behind: it does" } else { "stay behind: they do" };
                report.warn(format!("{} of {from} {stay} not apply to {to}", count(*left, "referrer")));
            }
            None => report.warn(format!("cannot tell what refers to {from}; it does not apply to {to}")),
        }
    }

    /// Reports an index that stays as it is, and what is left out of it.
    fn tell_partial(&self, report: &Report, index: &PartialIndex) {
        let PartialIndex { digest, members, left_out, .. } = index;
        let keeps = if self.dry { "would keep" } else { "keeps" };
        let all = count(members.saturating_add(left_out.len()), "member");
        report.say(format!(
            "index {digest} {keeps} its digest, with {members} of {all}; left out: {}",
            platforms(left_out)
        ));
    }

    /// Reports for each name whether it is new, moved or unchanged. A moved name always gets a line of its own, since
    /// other users may rely on it.
    fn tell_names(&self, report: &Report, done: &copy::Report) {
        let moves = if self.dry { "would move" } else { "moved" };
        for (named, location) in done.names.iter().zip(&self.locations) {
            let NameReport { name, from, to, outcome } = named;
            let name = if self.many { location.clone() } else { format!("tag `{name}`") };
            match from {
                Some(from) if from != to => report.say(format!("{name} {moves} from {from} to {to}")),
                _ if done.names.len() == 1 && !self.many => {}
                Some(_) => report.say(format!("{name} is unchanged: {to}")),
                None => report.say(format!("{name} is {outcome}: {to}")),
            }
        }
    }

    fn json(&self, done: &copy::Report, account: Account) -> Result<serde_json::Map<String, Value>> {
        // Resolving names and reading sources preceded the copy and count too.
        let done = copy::Report { resumed: account.resumed, retried: account.retried, ..done.clone() };
        let mut object = object(&done)?;
        for key in ["root", "moved", "bytes", "present", "mounted"] {
            object.remove(key);
        }
        let amount = |items: usize, bytes: u64| json!({ "items": items, "bytes": bytes });
        object.insert("moved".into(), amount(done.moved, done.bytes));
        object.insert("present".into(), amount(done.present, done.present_bytes));
        object.insert("mounted".into(), amount(done.mounted, done.mounted_bytes));
        if let Some(place) = &self.place {
            object.extend(about(place, &done.root)?);
            object.insert("tags".into(), done.names.iter().map(|name| Value::from(name.name.as_str())).collect());
        }
        object.insert("seconds".into(), account.seconds().into());
        object.insert("location".into(), self.to.clone().into());
        if self.dry {
            object.insert("dryRun".into(), true.into());
        }
        let names = object.get_mut("names").and_then(Value::as_array_mut);
        for (named, location) in names.into_iter().flatten().zip(&self.locations) {
            if let Some(named) = named.as_object_mut() {
                named.insert("location".into(), location.clone().into());
            }
        }
        Ok(object)
    }
}

/// The platforms of members that are left out, in their order, and how many there are of each.
fn platforms(left_out: &[Descriptor]) -> String {
    let (mut order, mut counts) = (Vec::new(), HashMap::new());
    for desc in left_out {
        let platform = desc.platform.as_ref().map_or_else(|| "-".into(), ToString::to_string);
        let count: &mut usize = counts.entry(platform.clone()).or_default();
        if *count == 0 {
            order.push(platform);
        }
        *count = count.saturating_add(1);
    }
    let told = |platform: String| match counts.get(&platform) {
        Some(many) if *many > 1 => format!("{platform} ({many})"),
        _ => platform,
    };
    order.into_iter().map(told).collect::<Vec<_>>().join(", ")
}

/// The result for the only name, unless it moved: the start of a sentence.
fn the_name(done: &copy::Report) -> String {
    match done.names.as_slice() {
        [NameReport { name, from: None, outcome: "set", .. }] => format!("tag `{name}` is set, "),
        [NameReport { name, from: None, .. }] => format!("new tag `{name}`, "),
        [NameReport { name, from: Some(from), to, .. }] if from == to => format!("tag `{name}` is unchanged, "),
        _ => String::new(),
    }
}

/// The counts of moved, mounted and present items.
fn sentence(done: &copy::Report) -> String {
    let moved = format!("{} moved ({})", count(done.moved, "item"), size(done.bytes));
    let mounted = if done.mounted > 0 { format!(", {} mounted", done.mounted) } else { String::new() };
    let present = if done.present > 0 { format!(", {} present", done.present) } else { String::new() };
    format!("{moved}{mounted}{present}")
}

/// The counts for a dry run. Whether a registry would mount a blob is unknown until tried.
fn conditional(would: &copy::Report) -> String {
    let moves = match would.moved {
        0 => "nothing would move".to_owned(),
        moved => format!("{} would move ({})", count(moved, "item"), size(would.bytes)),
    };
    let are = if would.present == 1 { "is" } else { "are" };
    let present = if would.present > 0 { format!(", {} {are} present", would.present) } else { String::new() };
    format!("{moves}{present}")
}
