//! Attribute blocks: named values in one run of bytes (abi/SPEC.md, section 4.1).

use crate::abi;
use crate::arena::{self, Lent};

const HEADER: usize = 4;

/// The attributes of a message or of a session's context, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Wraps a block. A malformed one reads as if it ended where the fault is.
    #[inline(always)]
    pub fn new(block: &'a [u8]) -> Attributes<'a> {
        Attributes(block)
    }

    /// The value of the first attribute with this name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let mut rest = self.0;
        while let Some((n, v, tail)) = split(rest) {
            if n.len() == name.len() && n == name.as_bytes() {
                return Some(v);
            }
            rest = tail;
        }
        None
    }

    /// The same as text; none if it is no UTF-8.
    #[inline]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|v| core::str::from_utf8(v).ok())
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The block itself.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Attributes<'a> {
    /// Name and value.
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (n, v, tail) = split(self.0)?;
        self.0 = tail;
        Some((crate::text::utf8(n), v))
    }
}

#[inline(always)]
fn split(b: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    if b.len() < HEADER {
        return None;
    }
    let n = HEADER + u16::from_le_bytes([b[0], b[1]]) as usize;
    let end = n + u16::from_le_bytes([b[2], b[3]]) as usize;
    if end > b.len() {
        return None;
    }
    Some((&b[HEADER..n], &b[n..end], &b[end..]))
}

/// The block without the attribute `name`, and with it again behind the others
/// if there is a value. `block` must have been lent or be part of the input.
pub(crate) fn with(block: &[u8], name: &str, value: Option<&[u8]>) -> Lent {
    let added = match value {
        Some(v) => {
            assert!(
                !name.is_empty() && name.len() <= abi::MAX_ATTRIBUTE && v.len() <= abi::MAX_ATTRIBUTE,
                "an attribute's name must have 1 to 65535 bytes, its value at most 65535"
            );
            HEADER + name.len() + v.len()
        }
        None => 0,
    };
    let from = crate::memory::address_of(block.as_ptr());
    let had = block.len() as u32;
    let total = had + added as u32;
    // An attribute that is new goes behind a block that was made just before.
    if had > 0 && Attributes(block).get(name).is_none() {
        if added == 0 {
            return arena::lend(block);
        }
        if arena::resize(from, had, total) {
            append(from + had, name, value.unwrap_or(&[]));
            return Lent { address: from, length: total };
        }
    }
    let address = arena::take(total, 1);
    let mut at = address;
    let mut rest = block;
    while let Some((n, v, tail)) = split(rest) {
        if n != name.as_bytes() {
            let size = HEADER + n.len() + v.len();
            arena::copy(&rest[..size], at);
            at += size as u32;
        }
        rest = tail;
    }
    if let Some(v) = value {
        at = append(at, name, v);
    }
    arena::resize(address, total, at - address);
    Lent { address, length: at - address }
}

/// A block of the given attributes.
pub(crate) fn block(list: &[(&str, &[u8])]) -> Lent {
    let total: usize = list.iter().map(|(n, v)| HEADER + n.len() + v.len()).sum();
    let address = arena::take(total as u32, 1);
    let mut at = address;
    for (n, v) in list {
        assert!(
            !n.is_empty() && n.len() <= abi::MAX_ATTRIBUTE && v.len() <= abi::MAX_ATTRIBUTE,
            "an attribute's name must have 1 to 65535 bytes, its value at most 65535"
        );
        at = append(at, n, v);
    }
    Lent { address, length: total as u32 }
}

fn append(at: u32, name: &str, value: &[u8]) -> u32 {
    let n = (name.len() as u16).to_le_bytes();
    let v = (value.len() as u16).to_le_bytes();
    arena::copy(&[n[0], n[1], v[0], v[1]], at);
    let at = at + HEADER as u32;
    arena::copy(name.as_bytes(), at);
    let at = at + name.len() as u32;
    arena::copy(value, at);
    at + value.len() as u32
}
