//! Decks as a whole; links are tested beside their reader.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn deck(text: &str) -> Deck {
    Deck::parse(text.as_bytes(), "deck.md", 1 << 20).unwrap()
}

fn texts(deck: &Deck) -> Vec<&str> {
    deck.slides.iter().map(|slide| slide.text.as_str()).collect()
}

/// What `slides` makes of a text: everything between the separators, wherever they are.
fn plain_split(text: &str) -> Vec<String> {
    let text = text.replace('\r', "");
    text.strip_prefix("---\n").unwrap_or(&text).split("\n---\n").map(str::to_owned).collect()
}

#[test]
fn a_deck_has_front_matter_slides_and_links() {
    let deck = deck(
        "---\ntheme: t.json\ntitle: Talk\n---\n# One\n\n![a](a.png)\n\n---\r\n\nTwo\n===\n\n```sh\n# no heading\n---\n```\n\n---\n~~~graph-easy --as=boxart\n[A] -> [B]\n~~~\n",
    );
    assert_eq!(deck.front_matter, json!({"theme": "t.json", "title": "Talk"}));
    assert_eq!(deck.title.as_deref(), Some("Talk"));
    assert_eq!(
        texts(&deck),
        [
            "# One\n\n![a](a.png)\n",
            "\nTwo\n===\n\n```sh\n# no heading\n---\n```\n",
            "~~~graph-easy --as=boxart\n[A] -> [B]\n~~~\n"
        ]
    );
    let headings: Vec<_> = deck.slides.iter().map(|s| (s.line, s.heading.as_deref())).collect();
    assert_eq!(headings, [(5, Some("One")), (10, Some("Two")), (20, None)]);
    assert_eq!(deck.local_links, ["a.png"]);
    assert_eq!(deck.preprocess, [Preprocess { line: 20, command: "graph-easy --as=boxart".to_owned() }]);
    assert_eq!(deck.differs.iter().map(|d| d.line).collect::<Vec<_>>(), [16]);
}

#[test]
fn front_matter_is_a_map_that_a_ruler_opens_or_that_is_well_known() {
    for (text, front_matter, slides) in [
        ("---\na: 1\n---\nx", json!({"a": 1}), 1),
        ("theme: x\nauthor: y\n---\nx", json!({"theme": "x", "author": "y"}), 1),
        ("---\n---\nx", Value::Null, 1),
        ("---\n\n---\nx", Value::Null, 1),
        ("---\nNot a map\n---\nx", Value::Null, 2),
        ("---\na: b: c\n---\nx", Value::Null, 2),
        ("Note: this\n---\nx", Value::Null, 2),
        ("a: 1\n", Value::Null, 1),
        ("", Value::Null, 1),
    ] {
        let deck = deck(text);
        assert_eq!((deck.front_matter, deck.slides.len()), (front_matter, slides), "{text:?}");
    }
}

#[test]
fn authors_are_a_text_or_a_list_and_what_is_no_text_is_left_out_with_its_place() {
    for (settings, authors, unused) in [
        ("author: Ann", &["Ann"][..], &[][..]),
        ("author: [Ann, Bob]\nauthors: [Cy]", &["Ann", "Bob", "Cy"], &[]),
        ("author: {name: Ann}", &[], &["deck.md:2:9: `author` is no text here, and is left out"]),
        ("authors:\n- Ann\n- [x]", &["Ann"], &["deck.md:4:3: `authors` is no text here, and is left out"]),
        ("author:", &[], &[]),
        ("theme: true", &[], &["deck.md:2:8: `theme` is no text here, and is left out"]),
        ("theme: 5\ndate: 2024", &[], &["deck.md:2:8: `theme` is no text here, and is left out"]),
    ] {
        let deck = deck(&format!("---\n{settings}\n---\nx"));
        assert_eq!((deck.authors.as_slice(), deck.unused.as_slice()), (&to_owned(authors)[..], &to_owned(unused)[..]));
    }
    assert_eq!(deck("---\ndate: 2024\npaging: \"%d\"\ntheme: t\n---\nx").date.as_deref(), Some("2024"));
    assert_eq!(deck("---\nauthor: [A]\n---\nx").differs.len(), 1, "the viewer shows it");
}

fn to_owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn front_matter_that_cannot_be_read_is_told_with_its_place() {
    for settings in ["weight: 010", "a: 1\na: 2", "id: 12345678901234567890123", "a: b: c"] {
        let deck = deck(&format!("---\nauthor: Ann\n{settings}\n---\nx"));
        assert!(deck.front_matter.is_null() && deck.is_likely(), "{settings}");
        assert!(
            deck.unused[0].starts_with("the front matter cannot be read, and counts as a slide: deck.md:"),
            "{deck:?}"
        );
    }
    assert_eq!(deck("---\nNot: a map, it is: text\nno\n---\nx").unused.len(), 1);
    assert_eq!(deck("---\n* [ text\n---\nx").unused, [""; 0]);
}

#[test]
fn a_deck_is_what_looks_like_one() {
    for (text, likely) in [
        ("---\nname: Bug report\nabout: x\n---\nText\n", false),
        ("---\nlicense: mit\ntags: [a]\n---\n# Model\n\n```\n---\n```\n", false),
        ("# Text\n\n---\n\nmore", false),
        ("---\nname: x\n---\n# One\n---\n# Two", true),
        ("---\ntheme: dark\n---\n# One", true),
        ("author: A\n---\n# One", true),
        ("---\na: b: c\n---\nx\n---\ny", true),
        ("---\na: b: c\n---\nx", false),
    ] {
        assert_eq!(deck(text).is_likely(), likely, "{text:?}");
    }
}

#[test]
fn a_comment_in_indented_code_is_no_heading() {
    assert_eq!(deck("    # comment\n\t# tab\n# One").title.as_deref(), Some("One"));
}

#[test]
fn a_first_slide_that_slides_would_not_show_is_told() {
    for text in ["# Title\n---\nx", "---\n# Title\n## Sub\n---\nx", "Note: this\n---\nx"] {
        let deck = deck(text);
        assert_eq!(deck.slides.len(), 2, "{text:?}");
        assert_eq!(deck.differs.len(), 1, "{text:?}");
    }
    assert_eq!(deck("# Title\n\ntext\n---\nx").differs, []);
}

#[test]
fn a_separator_is_a_whole_line_between_lines() {
    for text in
        ["a\n---\n---\nb", "a\n--- \nb", "a\n----\nb", "a\n---", "a\n---\n", "\n---\nb", " ---\na\n---\n\n---\nb"]
    {
        let deck = deck(text);
        assert_eq!(texts(&deck), plain_split(text), "{text:?}");
    }
}

#[test]
fn a_fence_that_nothing_closes_is_none() {
    let open = deck("```sh\na\n---\nb\n");
    assert_eq!((open.slides.len(), open.differs.len()), (2, 0));
    let shorter = deck("````\na\n---\n```\nb\n````\n---\nc");
    assert_eq!(shorter.slides.len(), 2);
    let other = deck("```\n~~~\n---\n```\nb");
    assert_eq!(other.slides.len(), 1);
}

#[test]
fn a_heading_is_found_in_all_its_forms() {
    for (text, heading) in [
        ("# a", Some("a")),
        ("### a b ###", Some("a b")),
        ("#a", None),
        ("####### a", None),
        ("#", None),
        ("a#", None),
        ("# c#", Some("c#")),
        ("x\n# a\n# b", Some("a")),
        ("a\n===", Some("a")),
        ("\n===", None),
    ] {
        assert_eq!(deck(text).slides[0].heading.as_deref(), heading, "{text:?}");
    }
}

#[test]
fn the_title_is_the_first_heading_unless_the_front_matter_has_one() {
    assert_eq!(deck("text\n---\n## Late").title.as_deref(), Some("Late"));
    assert_eq!(deck("---\ntitle: 5\n---\n# Text").title.as_deref(), Some("Text"));
    assert_eq!(deck("text").title, None);
}

proptest! {
    #[test]
    fn decks_without_fences_split_as_slides_splits_them(text in "(a|b: 1|#|---|--|\n|\n---\n|\r\n| ){0,30}") {
        let deck = deck(&text);
        let all = plain_split(&text);
        let hidden = all.len() - deck.slides.len();
        prop_assert!(hidden <= 1);
        prop_assert_eq!(texts(&deck), &all[hidden..]);
    }

    #[test]
    fn no_text_makes_the_deck_reader_panic(text in "[ \n`~#\\-\\[\\]()<>!a:=\"'\\\\%é|]{0,80}") {
        let _ = deck(&text);
    }
}
