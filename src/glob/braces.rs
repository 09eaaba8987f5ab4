//! Alternatives in braces: `{a,b}c` stands for `ac` and `bc`. An alternative may be empty, and have braces of its own.

/// Stands where a brace stood, so that stars on its two sides stay two. No file name has it.
pub(super) const JOINT: char = '\0';

/// The globs without braces that a glob stands for; `None` if there are more than `most`. Errors: why it is malformed.
pub(super) fn expanded(glob: &str, most: usize) -> Result<Option<Vec<String>>, &'static str> {
    if glob.contains(JOINT) {
        return Err("has a NUL");
    }
    let mut done = Vec::new();
    let mut open = vec![glob.to_owned()];
    while let Some(glob) = open.pop() {
        match group(&glob)? {
            None => done.push(glob),
            // The first alternative comes first.
            Some(alternatives) => open.extend(alternatives.into_iter().rev()),
        }
        if done.len() + open.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(done))
}

/// The alternatives of the first group, each with what stands before and behind; `None` without a group.
fn group(glob: &str) -> Result<Option<Vec<String>>, &'static str> {
    let mut start = None;
    let mut ends = Vec::new();
    let mut depth = 0_usize;
    let mut rest = glob.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => _ = rest.next(),
            '[' => skip_class(&mut rest),
            '{' => {
                depth += 1;
                start.get_or_insert(at);
            }
            ',' if depth == 1 => ends.push(at),
            '}' if depth == 0 => return Err("has a `}` that has no beginning"),
            '}' if depth == 1 => {
                ends.push(at);
                return Ok(Some(alternatives(glob, start.unwrap_or_default(), &ends)));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    if depth > 0 { Err("has a `{` that has no end") } else { Ok(None) }
}

/// Skips a class, of which the first member may be `]`. That it has no end is the syntax's to say.
fn skip_class(rest: &mut std::str::CharIndices<'_>) {
    let mut ahead = rest.clone();
    let mut next = ahead.next();
    if next.is_some_and(|(_, c)| matches!(c, '!' | '^')) {
        next = ahead.next();
    }
    if next.is_some() && ahead.any(|(_, c)| c == ']') {
        *rest = ahead;
    }
}

fn alternatives(glob: &str, start: usize, ends: &[usize]) -> Vec<String> {
    let before = glob.get(..start).unwrap_or_default();
    let behind = ends.last().and_then(|end| glob.get(end + 1..)).unwrap_or_default();
    let starts = std::iter::once(&start).chain(ends);
    let inner = starts.zip(ends).filter_map(|(start, end)| glob.get(start + 1..*end));
    inner.map(|inner| format!("{before}{JOINT}{inner}{JOINT}{behind}")).collect()
}
