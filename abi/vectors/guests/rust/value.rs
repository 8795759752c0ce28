//! Bytes as a word, and words as bytes.

use std::borrow::Cow;

/// What an argument means.
pub fn read(word: &str) -> Cow<[u8]> {
    if word == "-" {
        return Cow::Borrowed(&[]);
    }
    if let Some(digits) = word.strip_prefix("0x") {
        let digits = digits.as_bytes();
        return digits.chunks(2).map(|d| nibble(d[0]) << 4 | nibble(d[1])).collect();
    }
    if let Some(length) = word.strip_prefix('*') {
        let length: usize = length.parse().expect("a length");
        return (0..length).map(|i| b'a' + (i % 26) as u8).collect();
    }
    Cow::Borrowed(word.as_bytes())
}

/// An argument that is a name.
pub fn name(word: &str) -> String {
    String::from_utf8(read(word).into_owned()).expect("UTF-8")
}

fn nibble(c: u8) -> u8 {
    (c as char).to_digit(16).expect("a hexadecimal digit") as u8
}

/// Appends bytes to a report.
pub fn write(to: &mut String, b: &[u8]) {
    if b.is_empty() {
        to.push('-');
        return;
    }
    let plain = b.iter().all(|c| (0x21..=0x7e).contains(c));
    if plain && !matches!(b[0], b'-' | b'*' | b'!') && !b.starts_with(b"0x") {
        to.extend(b.iter().map(|&c| c as char));
        return;
    }
    to.push_str("0x");
    for c in b {
        for digit in [c >> 4, c & 15] {
            to.push(char::from(b"0123456789abcdef"[digit as usize]));
        }
    }
}
