//! Reads JSON (RFC 8259) from the front to the end, once.

use std::borrow::Cow;

/// Why bytes are not what they should be.
pub type Fault = &'static str;
pub const NOT_JSON: Fault = "protobuf: not JSON";
pub const TOO_DEEP: Fault = "protobuf: nested too deep";

pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a [u8]) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// The byte that comes next, spaces left out.
    #[inline]
    pub fn peek(&mut self) -> Result<u8, Fault> {
        while let Some(c) = self.text.get(self.at) {
            match c {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                c => return Ok(*c),
            }
        }
        Err(NOT_JSON)
    }

    /// Reads this byte, if it comes next.
    #[inline]
    pub fn take(&mut self, c: u8) -> Result<bool, Fault> {
        let found = self.peek()? == c;
        self.at += found as usize;
        Ok(found)
    }

    #[inline]
    pub fn expect(&mut self, c: u8) -> Result<(), Fault> {
        match self.take(c)? {
            true => Ok(()),
            false => Err(NOT_JSON),
        }
    }

    /// Whether a list goes on: behind its beginning, or behind a value.
    #[inline]
    pub fn more(&mut self, first: &mut bool, close: u8) -> Result<bool, Fault> {
        if self.take(close)? {
            return Ok(false);
        }
        if !core::mem::take(first) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// Nothing but spaces may follow.
    pub fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Ok(_) => Err(NOT_JSON),
            Err(_) => Ok(()),
        }
    }

    pub fn literal(&mut self, word: &str) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word.as_bytes()) || !self.delimited(self.at + word.len()) {
            return Err(NOT_JSON);
        }
        self.at += word.len();
        Ok(())
    }

    fn delimited(&self, at: usize) -> bool {
        !matches!(self.text.get(at), Some(c) if c.is_ascii_alphanumeric() || matches!(c, b'-' | b'+' | b'.' | b'_'))
    }

    /// A number as it stands there.
    pub fn number(&mut self) -> Result<&'a str, Fault> {
        self.peek()?;
        let n = number(&self.text[self.at..]).filter(|n| self.delimited(self.at + n)).ok_or(NOT_JSON)?;
        let b = &self.text[self.at..self.at + n];
        self.at += n;
        core::str::from_utf8(b).map_err(|_| NOT_JSON)
    }

    /// A string; borrowed unless there are escapes in it.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut high = 0;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => return self.escaped(start),
                Some(c @ 0x20..=0xff) => high |= c,
                _ => return Err(NOT_JSON),
            }
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        match high {
            0..=0x7f => Ok(Cow::Borrowed(unsafe { core::str::from_utf8_unchecked(text) })), // all below 128
            _ => core::str::from_utf8(text).map(Cow::Borrowed).map_err(|_| NOT_JSON),
        }
    }

    #[cold]
    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>, Fault> {
        let mut out = self.text[start..self.at].to_vec();
        loop {
            let c = *self.text.get(self.at).ok_or(NOT_JSON)?;
            self.at += 1;
            match c {
                b'"' => return String::from_utf8(out).map(Cow::Owned).map_err(|_| NOT_JSON),
                b'\\' => {
                    let c = self.escape()?;
                    out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0x20..=0xff => out.push(c),
                _ => return Err(NOT_JSON),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let c = *self.text.get(self.at).ok_or(NOT_JSON)?;
        self.at += 1;
        Ok(match c {
            b'"' | b'\\' | b'/' => c as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut n = self.hex()?;
                if (0xd800..0xdc00).contains(&n) {
                    if !self.text[self.at..].starts_with(b"\\u") {
                        return Err(NOT_JSON);
                    }
                    self.at += 2;
                    let low = self.hex()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(NOT_JSON);
                    }
                    n = 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(n).ok_or(NOT_JSON)?
            }
            _ => return Err(NOT_JSON),
        })
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(NOT_JSON)?;
        self.at += 4;
        digits.iter().try_fold(0, |n, c| Some(n << 4 | (*c as char).to_digit(16)?)).ok_or(NOT_JSON)
    }

    /// Reads a value and forgets it.
    pub fn skip(&mut self, depth: u32) -> Result<(), Fault> {
        if depth == 0 {
            return Err(TOO_DEEP);
        }
        let mut first = true;
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => {
                self.at += 1;
                while self.more(&mut first, b'}')? {
                    self.string()?;
                    self.expect(b':')?;
                    self.skip(depth - 1)?;
                }
                Ok(())
            }
            b'[' => {
                self.at += 1;
                while self.more(&mut first, b']')? {
                    self.skip(depth - 1)?;
                }
                Ok(())
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number().map(|_| ()),
        }
    }
}

/// How long the number is that a text begins with.
pub fn number(b: &[u8]) -> Option<usize> {
    let digits = |from: usize| b[from.min(b.len())..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut at = (b.first() == Some(&b'-')) as usize;
    let whole = digits(at);
    if whole == 0 || whole > 1 && b[at] == b'0' {
        return None;
    }
    at += whole;
    if b.get(at) == Some(&b'.') {
        let n = digits(at + 1);
        if n == 0 {
            return None;
        }
        at += 1 + n;
    }
    if matches!(b.get(at), Some(b'e' | b'E')) {
        let sign = matches!(b.get(at + 1), Some(b'+' | b'-')) as usize;
        let n = digits(at + 1 + sign);
        if n == 0 {
            return None;
        }
        at += 1 + sign + n;
    }
    Some(at)
}
