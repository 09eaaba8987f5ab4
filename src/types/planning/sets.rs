//! The section `source.sets`: the files that a type reads. No others are packed.

use std::collections::HashSet;

use super::reading::Reading;
use crate::{
    error::{Kind, Result},
    source::{Dialect, Ignore, Limits, Listing, Member},
    types::definition::{
        many::Strings,
        sets::{FileSet, IgnoreRules, SetLimits},
    },
};

impl FileSet {
    /// Lists the members of this set.
    pub(super) fn read(&self, reading: &Reading<'_>) -> Result<Vec<Member>> {
        if !reading.has_form(&self.forms) || !reading.holds(self.when.as_ref())? {
            return Ok(Vec::new());
        }
        if let Some(path) = &self.path {
            return self.files(vec![reading.text(path)?], reading);
        }
        if let Some(list) = &self.list {
            return self.files(reading.list(&list.0)?, reading);
        }
        let listing = self.listing(reading)?;
        if let Some(globs) = &self.globs {
            return reading.source.expand(&reading.strings(globs)?, &listing);
        }
        reading.source.list(&listing)
    }

    fn files(&self, paths: Vec<String>, reading: &Reading<'_>) -> Result<Vec<Member>> {
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        for path in paths {
            let at = || reading.position_of(&path);
            let member = match reading.source.resolve(&path) {
                Err(e) if self.optional && e.kind() == Kind::NotFound => continue,
                found => found.map_err(|e| match at() {
                    Some(at) => e.context(at),
                    None => e,
                })?,
            };
            if seen.insert(member.path.clone()) {
                members.push(member);
            }
        }
        Ok(members)
    }

    fn listing(&self, reading: &Reading<'_>) -> Result<Listing> {
        let strings = |s: &Option<Strings>| s.as_ref().map_or(Ok(Vec::new()), |s| reading.strings(s));
        let dir = reading.optional_text(self.dir.as_ref())?;
        Ok(Listing {
            dir: dir.filter(|d| d != "."),
            include: strings(&self.include)?,
            exclude: strings(&self.exclude)?,
            all_match: [&self.include, &self.exclude].into_iter().flatten().any(Strings::are_given),
            ignore: self.ignore.as_ref().map(IgnoreRules::to_ignore),
            symlinks: self.symlinks,
            irregular: self.irregular,
            limits: self.limits.to_limits(),
        })
    }
}

impl SetLimits {
    pub(super) fn to_limits(self) -> Limits {
        let unlimited = Limits::default();
        Limits { file: self.file.unwrap_or(unlimited.file), total: self.total.unwrap_or(unlimited.total), ..unlimited }
    }
}

impl IgnoreRules {
    fn to_ignore(&self) -> Ignore {
        let dialect = self.dialect.unwrap_or(Dialect::Gitignore);
        Ignore { dialect, file: self.file.clone(), always: self.always.clone() }
    }
}
