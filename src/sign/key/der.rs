//! The few lines of DER (X.690) that tell public keys apart.

/// `SEQUENCE`
pub(super) const SEQUENCE: u8 = 0x30;
/// `INTEGER`
pub(super) const INTEGER: u8 = 0x02;
/// `BIT STRING`
pub(super) const BIT_STRING: u8 = 0x03;

/// The content of the element with this tag that starts here, and what follows it. `None` if there is another, or if its
/// length is not in the one form that DER allows.
pub(super) fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            let least = if digits.len() == 1 { 0x80 } else { 0x100 };
            (length >= least).then_some((length, rest))?
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// Like [`element`], where nothing may follow.
pub(super) fn only(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    element(tag, bytes).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}
