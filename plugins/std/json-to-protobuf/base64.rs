//! base64 as Protobuf's JSON has it: written in the standard alphabet with
//! padding, read in either alphabet with or without.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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

/// Decodes behind out; none if it is malformed.
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
    if padded && text.len() % 4 != 0 || bare.len() % 4 == 1 {
        return None;
    }
    for group in bare.chunks(4) {
        let mut word = 0u32;
        for &c in group {
            word = word << 6 | value(c, last)?;
        }
        word <<= 6 * (4 - group.len());
        out.extend_from_slice(&word.to_be_bytes()[1..1 + group.len() * 6 / 8]);
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
