//! base64url without padding (RFC 4648, section 5), as JWT writes it, and base64
//! with padding (section 4), as PEM does.

/// Decodes base64url behind out; None if it is malformed, padded, or has stray bits.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    decode_with(text, b"-_", out)
}

/// Decodes base64 behind out; None if it is malformed, not padded, or has stray bits.
pub fn standard(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if text.len() % 4 != 0 {
        return None;
    }
    let text = text.strip_suffix(b"=").unwrap_or(text);
    decode_with(text.strip_suffix(b"=").unwrap_or(text), b"+/", out)
}

/// `last` are the characters for 62 and 63.
fn decode_with(text: &[u8], last: &[u8; 2], out: &mut Vec<u8>) -> Option<()> {
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
        if bytes[1 + n..].iter().any(|&b| b != 0) {
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
