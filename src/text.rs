//! Characters of text from elsewhere: which of them do harm where they are printed, and in names of files.

/// Whether a character does harm where foreign text is printed: it controls a terminal, reorders the text around it, or
/// cannot be seen, so that two texts look the same.
///
/// These are Unicode's control characters (category Cc), format characters (Cf), line and paragraph separators (Zl, Zp),
/// all with the property `Default_Ignorable_Code_Point`, and the code points that are no characters. Not among them are
/// the two variation selectors that choose the look of a sign (U+FE0E, U+FE0F): ordinary emoji such as ❤️ have one.
///
/// ```
/// use artifact::text::is_harmful;
/// assert!(is_harmful('\u{1b}') && is_harmful('\u{202e}') && is_harmful('\u{200b}'));
/// assert!(!"Übersicht ❤️ 概要".contains(is_harmful));
/// ```
#[must_use]
pub fn is_harmful(c: char) -> bool {
    let chooses_a_look = matches!(c, '\u{fe0e}' | '\u{fe0f}');
    !chooses_a_look && (c.is_control() || separates(c) || formats(c) || is_ignorable(c) || is_no_character(c))
}

/// Whether a character has no look of its own, and is ignored by some file systems: Unicode's property
/// `Default_Ignorable_Code_Point` (`DerivedCoreProperties.txt`), which never loses a member.
pub(crate) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Zl and Zp.
fn separates(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// The format characters (Cf) that are not ignorable: signs that enclose digits, annotations, hieroglyph joiners.
fn formats(c: char) -> bool {
    matches!(c,
        '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}')
}

/// The code points that will never be characters (Unicode, section 23.7).
fn is_no_character(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = char> {
        (0..=u32::from(char::MAX)).filter_map(char::from_u32)
    }

    #[cfg(feature = "types")]
    #[test]
    fn the_ranges_are_those_of_the_unicode_properties() {
        let hidden = regex::Regex::new(r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]$").unwrap();
        let ignorable = regex::Regex::new(r"^\p{Default_Ignorable_Code_Point}$").unwrap();
        for c in all() {
            let text = c.to_string();
            let expected = hidden.is_match(&text) && !"\u{fe0e}\u{fe0f}".contains(c) || is_no_character(c);
            assert_eq!(is_harmful(c), expected, "{c:?}");
            assert_eq!(is_ignorable(c), ignorable.is_match(&text), "{c:?}");
        }
    }

    #[test]
    fn there_are_66_code_points_that_are_no_characters() {
        assert_eq!(all().filter(|c| is_no_character(*c)).count(), 66);
    }

    #[test]
    fn letters_and_signs_of_all_scripts_are_harmless() {
        for text in ["Übersicht", "概要", "مرحبا", "हिन्दी", "ไทย", "❤️ 1️⃣ 🇪🇺", "a\u{301}", "\u{a0}", "\u{e000}"]
        {
            assert!(!text.contains(is_harmful), "{text}");
        }
    }
}
