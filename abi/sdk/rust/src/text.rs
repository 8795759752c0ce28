//! Text out of bytes that weft vouches for, checked all the same.

/// The bytes as text, up to the first that is no UTF-8. Bytes below 128 are
/// checked eight at a time, because topics are made of little else.
#[inline]
pub(crate) fn utf8(b: &[u8]) -> &str {
    if ascii(b) {
        return unsafe { core::str::from_utf8_unchecked(b) };
    }
    mixed(b)
}

#[inline]
fn ascii(b: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut words = b.chunks_exact(8);
    let mut seen = 0u64;
    for w in &mut words {
        seen |= u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]);
    }
    for &c in words.remainder() {
        seen |= c as u64;
    }
    seen & HIGH == 0
}

#[cold]
fn mixed(b: &[u8]) -> &str {
    match core::str::from_utf8(b) {
        Ok(s) => s,
        Err(e) => unsafe { core::str::from_utf8_unchecked(&b[..e.valid_up_to()]) },
    }
}

#[cfg(test)]
mod tests {
    use super::utf8;

    #[test]
    fn stops_at_what_is_no_text() {
        assert_eq!(utf8(b"truck/7/telemetry"), "truck/7/telemetry");
        assert_eq!(utf8("käse/ß".as_bytes()), "käse/ß");
        assert_eq!(utf8(b"abc\xffdef"), "abc");
        assert_eq!(utf8(b""), "");
        assert_eq!(utf8(b"0123456789\xc3"), "0123456789");
    }
}
