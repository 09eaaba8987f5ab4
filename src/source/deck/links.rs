//! Links to local files in Markdown: `![](a.png)`, `[](b.md)`, `[id]: c.png`, `src`, `href` and the like of HTML tags, and
//! `url(…)` in style, which may be in front matter and comments.

use std::collections::HashSet;

/// Limits of a destination: length in bytes, and nesting of parentheses. Beyond, it is not a link.
const MAX_DESTINATION: usize = 4096;
const MAX_PARENTHESES: usize = 32;

/// The local files linked in these lines, and in the style of `all`, in order, without duplicates.
pub(super) fn local<'a>(lines: impl Iterator<Item = &'a str>, all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut found, mut text) = (Vec::new(), String::new());
    let mut comment = false;
    for line in lines {
        let line = without_code(&without_comments(line, &mut comment));
        definition(&line, &mut found);
        text.push_str(&line);
        text.push('\n');
    }
    // Links and tags may span lines.
    inline(&text, &mut found);
    html(&text, &mut found);
    all.for_each(|line| style(&without_code(line), &mut found));
    let mut seen = HashSet::new();
    let files = found.iter().filter_map(|destination| file(destination));
    files.filter(|file| seen.insert(file.clone())).collect()
}

/// The file of a destination; `None` for remote ones (`https:`, `//host`) and for fragments (`#part`).
fn file(destination: &str) -> Option<String> {
    let path = destination.split(['#', '?']).next().unwrap_or_default().trim();
    let scheme = path.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    });
    if path.is_empty() || scheme || path.starts_with("//") {
        return None;
    }
    Some(percent_decoded(path))
}

/// Decodes `%20` and the like; text that does not decode to UTF-8 is unchanged.
fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| *byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match digits.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(hex) => {
                bytes.push(u8::from_str_radix(hex, 16).unwrap_or(*byte));
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

/// A line without HTML comments, which may span lines.
fn without_comments(line: &str, comment: &mut bool) -> String {
    let mut kept = String::new();
    let mut rest = line;
    loop {
        let (mark, skipped) = if *comment { ("-->", true) } else { ("<!--", false) };
        let (before, after) = rest.split_once(mark).map_or((rest, None), |(before, after)| (before, Some(after)));
        if !skipped {
            kept.push_str(before);
        }
        match after {
            Some(after) => rest = after,
            None => return kept,
        }
        *comment = !*comment;
    }
}

/// A line without code spans, the text between two runs of backticks of equal length.
fn without_code(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let (before, code) = rest.split_at(start);
        kept.push_str(before);
        let body = code.trim_start_matches('`');
        let (ticks, _) = code.split_at(code.len() - body.len());
        rest = body;
        // An unclosed run costs one search per length, and a line has few different lengths.
        let end = body.match_indices(ticks).find(|(at, _)| alone(body, *at, ticks.len()));
        if let Some((at, _)) = end {
            rest = body.get(at + ticks.len()..).unwrap_or_default();
        }
    }
    kept.push_str(rest);
    kept
}

/// Whether the run of backticks at `at` has exactly this length.
fn alone(text: &str, at: usize, len: usize) -> bool {
    let bytes = text.as_bytes();
    let tick = |at: Option<usize>| at.and_then(|at| bytes.get(at)) == Some(&b'`');
    !tick(at.checked_sub(1)) && !tick(Some(at + len))
}

/// Finds `[id]: destination`.
fn definition(line: &str, found: &mut Vec<String>) {
    let bare = line.trim_start_matches(' ');
    let Some((id, rest)) = bare.strip_prefix('[').and_then(|rest| rest.split_once("]:")) else {
        return;
    };
    // `[^id]:` is a footnote.
    if line.len() - bare.len() <= 3 && !id.is_empty() && !id.starts_with('^') && !id.contains(['[', ']']) {
        found.extend(destination(rest.trim_start(), false));
    }
}

/// Finds `[text](destination)`, with or without a `!`.
fn inline(line: &str, found: &mut Vec<String>) {
    for (at, mark) in line.match_indices("](") {
        let escaped = line.get(..at).is_some_and(|before| before.ends_with('\\'));
        if let (false, Some(rest)) = (escaped, line.get(at + mark.len()..)) {
            found.extend(destination(rest.trim_start(), true));
        }
    }
}

/// A destination: in `<>`, or up to white space, or up to the unmatched closing parenthesis.
fn destination(text: &str, enclosed: bool) -> Option<String> {
    if let Some(rest) = text.strip_prefix('<') {
        return near(rest).split_once('>').map(|(destination, _)| destination.to_owned());
    }
    let (mut destination, mut open, mut escaped) = (String::new(), 0_usize, false);
    let mut rest = "";
    for (at, c) in text.char_indices() {
        match c {
            _ if destination.len() > MAX_DESTINATION || open > MAX_PARENTHESES => return None,
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            ')' if enclosed && open == 0 => return Some(destination),
            c if c.is_whitespace() => {
                rest = text.get(at..).unwrap_or_default();
                break;
            }
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => {}
        }
        destination.push(c);
    }
    // A title may follow; without a closing parenthesis, this is not a link.
    let closed = !enclosed || near(rest).contains(')');
    (closed && !destination.is_empty()).then_some(destination)
}

/// The text, cut to the length limit of a destination.
fn near(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_DESTINATION)).unwrap_or(text)
}

/// Finds `src="…"`, `href=…` and the like in tags, and all pictures of a `srcset`.
fn html(text: &str, found: &mut Vec<String>) {
    for tag in text.split('<').skip(1).filter(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic())) {
        let tag = tag.split('>').next().unwrap_or_default();
        let lower = tag.to_ascii_lowercase();
        for name in ["src=", "href=", "poster=", "srcset=", "data-background=", "data-background-image="] {
            for (at, _) in lower.match_indices(name) {
                let own = tag.get(..at).is_some_and(|before| before.ends_with(char::is_whitespace));
                let value = attribute(tag.get(at + name.len()..).unwrap_or_default());
                let several = name == "srcset=";
                let one = |item: &str| item.split_whitespace().next().map(str::to_owned);
                match own {
                    true if several => found.extend(value.split(',').filter_map(one)),
                    true => found.push(value.to_owned()),
                    false => {}
                }
            }
        }
    }
}

/// The value of an attribute, in quotes or up to white space.
fn attribute(text: &str) -> &str {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    match quote {
        Some(quote) => text.split(quote).nth(1).unwrap_or_default(),
        None => text.split(char::is_whitespace).next().unwrap_or_default(),
    }
}

/// Finds `url(…)` of style sheets, attributes and Marp's directives.
fn style(line: &str, found: &mut Vec<String>) {
    for url in line.split("url(").skip(1) {
        let url = url.split(')').next().unwrap_or_default();
        found.push(url.trim().trim_matches(['"', '\'']).to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_local_files_are_found_and_others_are_not() {
        for (text, files) in [
            ("![a](a.png) and [b](sub/b.md \"title\")", &["a.png", "sub/b.md"][..]),
            ("![x](<my pic.png>) ![y](my%20other.png)", &["my pic.png", "my other.png"]),
            ("![x](a(1).png) ![y](a\\(2.png)", &["a(1).png", "a(2.png"]),
            ("[s](#part) [h](https://x/a.png) [m](mailto:a@b) [p](//cdn/x.js) [d](data:image/png;base64,AA)", &[]),
            ("[q](a.md#part) [r](b.svg?raw=1)", &["a.md", "b.svg"]),
            ("[up](../x.png) [abs](/etc/passwd)", &["../x.png", "/etc/passwd"]),
            ("![a](a.png) ![again](a.png)", &["a.png"]),
            ("`![no](code.png)` ![yes](b.png) ``a ` ![no](c.png)``", &["b.png"]),
            ("[id]: ref.png \"t\"", &["ref.png"]),
            ("  [id]: <a b.png>", &["a b.png"]),
            ("[^1]: note.png", &[]),
            ("    [id]: code.png", &[]),
            ("<img alt='x' src=\"i.png\"> <a href='t.html'>t</a> <b data-src=\"no.png\">", &["i.png", "t.html"]),
            ("<!-- ![no](n.png) --> ![yes](y.png)", &["y.png"]),
            ("\\[no](n.png\\)", &[]),
            ("[[x](y.md)](z.md)", &["y.md", "z.md"]),
            ("<img\n  src=\"a.png\">\n<IMG alt=x SRC=b.png>\n![alt](\nc.png)", &["c.png", "a.png", "b.png"]),
            ("<img srcset=\"a.png 1x, b.png 2x\" src=c.png>", &["c.png", "a.png", "b.png"]),
            ("backgroundImage: url('./bg.png')\n<!-- _backgroundImage: url(a.png) -->", &["./bg.png", "a.png"]),
            ("<style>\na { background: url( \"c.png\" ) url(https://x/y.png) }\n</style> `url(no.png)`", &["c.png"]),
            ("a < b src=no.png", &[]),
            ("[no](", &[]),
            ("[no](x y", &[]),
        ] {
            assert_eq!(local(text.lines(), text.lines()), files, "{text}");
        }
    }

    #[test]
    fn a_comment_may_span_lines() {
        let lines = "a <!-- ![n](1.png)\n![n](2.png)\n--> ![y](3.png)";
        assert_eq!(local(lines.lines(), lines.lines()), ["3.png"]);
    }

    #[test]
    fn hostile_lines_cost_little() {
        for part in ["](", "](a ", "](<", "`a``", "[", "<a src=", " src='", "<!--", "](\\"] {
            let text = part.repeat(20_000);
            assert!(local([text.as_str()].into_iter(), [text.as_str()].into_iter()).len() < 2, "{part}");
        }
    }
}
