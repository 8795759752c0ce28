//! A reader for JSON (RFC 8259) that builds nothing: values are slices of the
//! document, and looking one up scans past the others. Made for configurations
//! and payloads of a few kilobytes.
//!
//! ```
//! use weft::json;
//! let doc = br#"{"limits": {"celsius": 8.5}, "sites": ["north", "south"]}"#;
//! let limit = json::find(doc, &["limits", "celsius"]).and_then(|v| v.f64());
//! assert_eq!(limit, Some(8.5));
//!
//! let config = json::parse(doc).map_err(|e| e.to_string())?;
//! let sites: Vec<String> = config.get("sites").unwrap().items().filter_map(|v| v.string()).collect();
//! assert_eq!(sites, ["north", "south"]);
//! # Ok::<(), String>(())
//! ```

use core::fmt;
use std::borrow::Cow;

/// Arrays and objects within each other at most this deep.
pub const MAX_DEPTH: u32 = 128;

/// Where a document is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// The offset of the first byte that does not fit.
    pub at: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "not JSON from byte {} on", self.at)
    }
}

impl std::error::Error for Error {}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// One value of a document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a>(&'a [u8]);

/// Checks a whole document and gives its value.
pub fn parse<T: AsRef<[u8]> + ?Sized>(doc: &T) -> Result<Value<'_>, Error> {
    let doc = doc.as_ref();
    let start = space(doc, 0);
    let end = skip(doc, start)?;
    match space(doc, end) {
        rest if rest == doc.len() => Ok(Value(&doc[start..end])),
        at => Err(Error { at }),
    }
}

/// The value at the end of a path of keys. The document is checked only as far
/// as it is read; where a key appears twice the first one counts.
pub fn find<'a, T: AsRef<[u8]> + ?Sized>(doc: &'a T, path: &[&str]) -> Option<Value<'a>> {
    let doc = doc.as_ref();
    let mut at = space(doc, 0);
    for key in path {
        at = lookup(doc, at, key)?;
    }
    let end = skip(doc, at).ok()?;
    Some(Value(&doc[at..end]))
}

/// The offset of the value of `key` in the object that begins at `at`.
fn lookup(doc: &[u8], at: usize, key: &str) -> Option<usize> {
    if *doc.get(at)? != b'{' {
        return None;
    }
    let mut at = space(doc, at + 1);
    loop {
        let end = string(doc, at).ok()?;
        let found = same(&doc[at + 1..end - 1], key);
        at = space(doc, end);
        if *doc.get(at)? != b':' {
            return None;
        }
        at = space(doc, at + 1);
        if found {
            return Some(at);
        }
        at = space(doc, skip(doc, at).ok()?);
        if *doc.get(at)? != b',' {
            return None;
        }
        at = space(doc, at + 1);
    }
}

/// Whether the inside of a string means `text`.
fn same(inside: &[u8], text: &str) -> bool {
    inside == text.as_bytes() || inside.contains(&b'\\') && unescape(inside).as_deref() == Some(text)
}

impl<'a> Value<'a> {
    /// The value as it stands in the document.
    pub fn raw(&self) -> &'a [u8] {
        self.0
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.0[0] {
            b'n' => Kind::Null,
            b't' | b'f' => Kind::Bool,
            b'"' => Kind::String,
            b'[' => Kind::Array,
            b'{' => Kind::Object,
            _ => Kind::Number,
        }
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The value, if it is `true` or `false`.
    pub fn bool(&self) -> Option<bool> {
        match self.kind() {
            Kind::Bool => Some(self.0[0] == b't'),
            _ => None,
        }
    }

    /// The value, if it is an integer, written without fraction or exponent,
    /// that fits.
    pub fn i64(&self) -> Option<i64> {
        let (negative, digits) = match self.0.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, self.0),
        };
        let mut n: i64 = 0;
        for &c in digits {
            if !c.is_ascii_digit() {
                return None;
            }
            let d = (c - b'0') as i64;
            n = n.checked_mul(10)?;
            n = if negative { n.checked_sub(d)? } else { n.checked_add(d)? };
        }
        Some(n)
    }

    /// The value, if it is a number.
    pub fn f64(&self) -> Option<f64> {
        match self.kind() {
            Kind::Number => core::str::from_utf8(self.0).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The value, if it is a string. Borrows unless there are escapes in it. A
    /// surrogate without its other half reads as U+FFFD.
    pub fn str(&self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => unescape(&self.0[1..self.0.len() - 1]),
            _ => None,
        }
    }

    /// The same with a string of its own.
    pub fn string(&self) -> Option<String> {
        self.str().map(Cow::into_owned)
    }

    /// The value of a key, if it is an object that has it.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        find(self.0, &[key])
    }

    /// The values of an array; none for anything else.
    pub fn items(&self) -> Items<'a> {
        let rest = match self.kind() {
            Kind::Array => &self.0[1..self.0.len() - 1],
            _ => &[],
        };
        Items(rest)
    }

    /// The keys and values of an object; none for anything else.
    pub fn fields(&self) -> Fields<'a> {
        let rest = match self.kind() {
            Kind::Object => &self.0[1..self.0.len() - 1],
            _ => &[],
        };
        Fields(rest)
    }
}

/// The values of an array.
#[derive(Clone, Debug)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let start = space(self.0, 0);
        let end = skip(self.0, start).ok()?;
        let v = Value(&self.0[start..end]);
        self.0 = after_comma(self.0, end);
        Some(v)
    }
}

/// The keys and values of an object.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let b = self.0;
        let start = space(b, 0);
        let end = string(b, start).ok()?;
        let key = unescape(&b[start + 1..end - 1])?;
        let colon = space(b, end);
        if b.get(colon) != Some(&b':') {
            return None;
        }
        let start = space(b, colon + 1);
        let end = skip(b, start).ok()?;
        self.0 = after_comma(b, end);
        Some((key, Value(&b[start..end])))
    }
}

fn after_comma(b: &[u8], at: usize) -> &[u8] {
    match space(b, at) {
        at if b.get(at) == Some(&b',') => &b[at + 1..],
        _ => &[],
    }
}

/// Writes text as a JSON string, quotes included.
pub fn quote(text: &str, to: &mut impl fmt::Write) -> fmt::Result {
    to.write_char('"')?;
    let mut from = 0;
    for (i, c) in text.bytes().enumerate() {
        if c >= 0x20 && c != b'"' && c != b'\\' {
            continue;
        }
        to.write_str(&text[from..i])?;
        from = i + 1;
        match c {
            b'"' => to.write_str("\\\"")?,
            b'\\' => to.write_str("\\\\")?,
            b'\n' => to.write_str("\\n")?,
            _ => {
                let hex = |n: u8| char::from(b"0123456789abcdef"[n as usize]);
                to.write_str("\\u00")?;
                to.write_char(hex(c >> 4))?;
                to.write_char(hex(c & 15))?;
            }
        }
    }
    to.write_str(&text[from..])?;
    to.write_char('"')
}

#[inline(always)]
fn space(b: &[u8], mut at: usize) -> usize {
    while at < b.len() && matches!(b[at], b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`. Goes into arrays and objects
/// without calling itself: one bit for each level says which of the two it is.
fn skip(b: &[u8], mut at: usize) -> Result<usize, Error> {
    let mut objects: u128 = 0;
    let mut depth = 0;
    loop {
        let fault = Err(Error { at });
        at = match b.get(at) {
            Some(b'"') => string(b, at)?,
            Some(b'-' | b'0'..=b'9') => number(b, at)?,
            Some(b't') => literal(b, at, b"true")?,
            Some(b'f') => literal(b, at, b"false")?,
            Some(b'n') => literal(b, at, b"null")?,
            Some(&open @ (b'{' | b'[')) => {
                if depth == MAX_DEPTH {
                    return fault;
                }
                depth += 1;
                objects = objects << 1 | (open == b'{') as u128;
                let inside = space(b, at + 1);
                if b.get(inside) != Some(&(open + 2)) {
                    at = if open == b'{' { key(b, inside)? } else { inside };
                    continue;
                }
                inside // empty: closed below
            }
            _ => return fault,
        };
        // A value has ended: close what ends with it, or go on behind a comma.
        loop {
            if depth == 0 {
                return Ok(at);
            }
            let object = objects & 1 == 1;
            at = space(b, at);
            match b.get(at) {
                Some(b',') => {
                    at = space(b, at + 1);
                    if object {
                        at = key(b, at)?;
                    }
                    break;
                }
                Some(&close) if close == if object { b'}' } else { b']' } => {
                    at += 1;
                    depth -= 1;
                    objects >>= 1;
                }
                _ => return Err(Error { at }),
            }
        }
    }
}

/// The beginning of the value of the key that begins at `at`.
fn key(b: &[u8], at: usize) -> Result<usize, Error> {
    let at = space(b, string(b, at)?);
    if b.get(at) != Some(&b':') {
        return Err(Error { at });
    }
    Ok(space(b, at + 1))
}

/// The end of the string that begins at `at`, behind its closing quote.
fn string(b: &[u8], at: usize) -> Result<usize, Error> {
    if b.get(at) != Some(&b'"') {
        return Err(Error { at });
    }
    let mut at = at + 1;
    loop {
        match b.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                at += match b.get(at + 1) {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                    Some(b'u') if hex(b, at + 2).is_some() => 6,
                    _ => return Err(Error { at }),
                }
            }
            Some(0x20..=0xff) => at += 1,
            _ => return Err(Error { at }),
        }
    }
}

fn number(b: &[u8], start: usize) -> Result<usize, Error> {
    let digits = |mut at: usize| {
        let from = at;
        while matches!(b.get(at), Some(b'0'..=b'9')) {
            at += 1;
        }
        if at == from {
            Err(Error { at })
        } else {
            Ok(at)
        }
    };
    let first = if b[start] == b'-' { start + 1 } else { start };
    let mut at = digits(first)?;
    if b[first] == b'0' && at > first + 1 {
        return Err(Error { at: first + 1 });
    }
    if b.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = b.get(at) {
        let signed = matches!(b.get(at + 1), Some(b'+' | b'-')) as usize;
        at = digits(at + 1 + signed)?;
    }
    Ok(at)
}

fn literal(b: &[u8], at: usize, word: &[u8]) -> Result<usize, Error> {
    if b[at..].starts_with(word) {
        return Ok(at + word.len());
    }
    Err(Error { at })
}

fn hex(b: &[u8], at: usize) -> Option<u32> {
    let mut n = 0;
    for &c in b.get(at..at + 4)? {
        n = n << 4 | (c as char).to_digit(16)?;
    }
    Some(n)
}

/// The text that the inside of a string means; none if it is not UTF-8.
fn unescape(inside: &[u8]) -> Option<Cow<'_, str>> {
    let text = core::str::from_utf8(inside).ok()?;
    if !inside.contains(&b'\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let b = rest.as_bytes();
        let mut used = 2;
        match *b.get(at + 1)? {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let mut n = hex(b, at + 2)?;
                used = 6;
                let low = hex(b, at + 8).filter(|low| (0xdc00..0xe000).contains(low));
                if let (0xd800..=0xdbff, Some(b"\\u"), Some(low)) = (n, b.get(at + 6..at + 8), low) {
                    n = 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
                    used = 12;
                }
                out.push(char::from_u32(n).unwrap_or('\u{fffd}'));
            }
            c => out.push(c as char),
        }
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

#[cfg(test)]
#[path = "json_test.rs"]
mod tests;
