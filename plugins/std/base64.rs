//! base64 (RFC 4648): base64url without padding (section 5), as JWT writes it, with
//! padding (section 4), as PEM does, and as Protobuf's JSON has it, written with
//! padding and read in either alphabet with or without.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes behind out, with padding.
pub fn encode(b: &[u8], out: &mut Vec<u8>) {
    for group in b.chunks(3) {
        let mut word = [0; 4];
        word[1..1 + group.len()].copy_from_slice(group);
        let word = u32::from_be_bytes(word);
        for i in 0..4 {
            out.push(if i > group.len() { b'=' } else { LETTERS[(word >> (18 - 6 * i)) as usize & 63] });
        }
    }
}

/// Decodes base64url behind out; None if it is malformed, padded, or has stray bits.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    groups(text, b"-_", true, out)
}

/// Decodes base64 behind out; None if it is malformed, not padded, or has stray bits.
pub fn standard(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if text.len() % 4 != 0 {
        return None;
    }
    let text = text.strip_suffix(b"=").unwrap_or(text);
    groups(text.strip_suffix(b"=").unwrap_or(text), b"+/", true, out)
}

/// Decodes either alphabet behind out, padded or not, in lines or not; None if it is
/// malformed.
pub fn lenient(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let last = if text.iter().any(|c| matches!(c, b'-' | b'_')) { b"-_" } else { b"+/" };
    let padded = text.len() % 4 == 0;
    // Line ends are no part of it.
    let lines: Vec<u8>;
    let text = if text.iter().any(|c| matches!(c, b'\r' | b'\n')) {
        lines = text.iter().copied().filter(|c| !matches!(c, b'\r' | b'\n')).collect();
        &lines[..]
    } else {
        text
    };
    let bare = match (padded, text) {
        (true, [rest @ .., b'=', b'=']) | (true, [rest @ .., b'=']) => rest,
        _ => text,
    };
    if padded && text.len() % 4 != 0 {
        return None;
    }
    groups(bare, last, false, out)
}

/// `last` are the characters for 62 and 63. With `exact`, bits that are left over must
/// be zero.
fn groups(text: &[u8], last: &[u8; 2], exact: bool, out: &mut Vec<u8>) -> Option<()> {
    if text.len() % 4 == 1 {
        return None;
    }
    for group in text.chunks(4) {
        let mut word = 0u32;
        for &c in group {
            word = word << 6 | value(c, last)?;
        }
        word <<= 6 * (4 - group.len());
        let bytes = word.to_be_bytes();
        let n = group.len() * 6 / 8;
        if exact && bytes[1 + n..].iter().any(|&b| b != 0) {
            return None;
        }
        out.extend_from_slice(&bytes[1..1 + n]);
    }
    Some(())
}

fn value(c: u8, last: &[u8; 2]) -> Option<u32> {
    let v = match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        c if c == last[0] => 62,
        c if c == last[1] => 63,
        _ => return None,
    };
    Some(v as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4648, section 10, without the padding.
    #[test]
    fn decodes() {
        for (text, want) in
            [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9vYmFy", "foobar")]
        {
            let mut out = Vec::new();
            assert!(decode(text.as_bytes(), &mut out).is_some(), "{}", text);
            assert_eq!(out, want.as_bytes());
        }
        for text in ["Z", "Zg==", "Zh", "Zm9+", "Zm9v\n", "Zm 9"] {
            assert!(decode(text.as_bytes(), &mut Vec::new()).is_none(), "{}", text);
        }
    }
    #[test]
    fn decodes_with_padding() {
        for (text, want) in [("", &b""[..]), ("Zg==", b"f"), ("Zm8=", b"fo"), ("Zm9v", b"foo"), ("+/+/", &[0xfb, 0xff, 0xbf])] {
            let mut out = Vec::new();
            assert!(standard(text.as_bytes(), &mut out).is_some(), "{}", text);
            assert_eq!(out, want);
        }
        for text in ["Zg", "Zg=", "Zh==", "Zg===", "=Zg=", "-_-_", "Zm9v====", "===="] {
            assert!(standard(text.as_bytes(), &mut Vec::new()).is_none(), "{}", text);
        }
    }
}
