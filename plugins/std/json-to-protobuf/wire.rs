//! The Protobuf wire format (protobuf.dev, "Encoding").

pub const VARINT: u8 = 0;
pub const I64: u8 = 1;
pub const LEN: u8 = 2;
pub const GROUP: u8 = 3;
pub const END: u8 = 4;
pub const I32: u8 = 5;

const MOST_GROUPS: u32 = 64;
const LARGEST_FIELD: u64 = (1 << 29) - 1;

/// One field of a message: its number, its wire type, and where its value lies
/// (without the length, of those that have one).
#[derive(Clone, Copy)]
pub struct Record {
    pub number: u32,
    pub wire: u8,
    pub start: usize,
    pub end: usize,
}

/// Reads a number and moves on; none if it has no end or more than 64 bits.
#[inline]
pub fn varint(b: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let c = *b.get(*at)?;
        *at += 1;
        value |= ((c & 0x7f) as u64) << shift;
        if c < 0x80 {
            return if shift == 63 && c > 1 { None } else { Some(value) };
        }
    }
    None
}

/// Reads a field and moves on; none where the bytes are no message.
pub fn record(b: &[u8], at: &mut usize) -> Option<Record> {
    let tag = varint(b, at)?;
    let number = tag >> 3;
    if number == 0 || number > LARGEST_FIELD {
        return None;
    }
    let mut r = Record { number: number as u32, wire: (tag & 7) as u8, start: *at, end: 0 };
    match r.wire {
        VARINT => {
            varint(b, at)?;
        }
        I64 => *at = at.checked_add(8)?,
        I32 => *at = at.checked_add(4)?,
        LEN => {
            let length = usize::try_from(varint(b, at)?).ok()?;
            r.start = *at;
            *at = at.checked_add(length)?;
        }
        GROUP => group(b, at, r.number)?,
        _ => return None,
    }
    r.end = *at;
    if *at > b.len() {
        return None;
    }
    Some(r)
}

/// Skips a group, to which it is enough to count the depth and to remember who
/// must end it.
fn group(b: &[u8], at: &mut usize, number: u32) -> Option<()> {
    let mut open = vec![number as u64];
    while !open.is_empty() {
        let tag = varint(b, at)?;
        if tag >> 3 == 0 || tag >> 3 > LARGEST_FIELD {
            return None;
        }
        match (tag & 7) as u8 {
            GROUP if open.len() as u32 == MOST_GROUPS => return None,
            GROUP => open.push(tag >> 3),
            END if open.pop() == Some(tag >> 3) => {}
            VARINT => {
                varint(b, at)?;
            }
            I64 => *at = at.checked_add(8)?,
            I32 => *at = at.checked_add(4)?,
            LEN => {
                let length = usize::try_from(varint(b, at)?).ok()?;
                *at = at.checked_add(length)?;
            }
            _ => return None,
        }
        if *at > b.len() {
            return None;
        }
    }
    Some(())
}

/// Appends a number.
#[inline]
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The bytes that a field begins with.
pub fn tag(number: u32, wire: u8) -> u64 {
    (number as u64) << 3 | wire as u64
}

/// Ends a value that began at `start` with one byte of room for its length.
pub fn close(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let end = out.len();
    put(out, length as u64);
    let more = out.len() - end - 1;
    // The length stands at the end now: it changes places with the value.
    out[start..].rotate_right(more + 1);
    let drop = start + more + 1;
    out.copy_within(drop + 1.., drop);
    out.pop();
}

pub fn zigzag(n: i64) -> u64 {
    (n << 1 ^ n >> 63) as u64
}

pub fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for n in [0, 1, 127, 128, 300, u32::MAX as u64, u64::MAX] {
            let mut b = Vec::new();
            put(&mut b, n);
            let mut at = 0;
            assert_eq!((varint(&b, &mut at), at), (Some(n), b.len()));
            assert_eq!(varint(&b[..b.len() - 1], &mut 0), None);
        }
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &mut 0), None);
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(n)), n);
        }
    }

    #[test]
    fn lengths() {
        for length in [0, 1, 127, 128, 129, 16_383, 16_384] {
            let mut b = vec![7, 0];
            b.extend((0..length).map(|i| i as u8));
            close(&mut b, 1);
            let mut at = 1;
            assert_eq!(varint(&b, &mut at), Some(length as u64));
            assert!(b[at..].iter().enumerate().all(|(i, c)| *c == i as u8) && b.len() == at + length);
        }
    }
}
