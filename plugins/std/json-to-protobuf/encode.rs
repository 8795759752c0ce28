//! JSON to Protobuf, by the canonical JSON mapping (protobuf.dev, "ProtoJSON
//! Format"), in one pass over the text.

use crate::known;
use crate::number;
use crate::reader::{Fault, Reader, TOO_DEEP};
use crate::schema::{Field, Kind, Known, Message, Schema};
use crate::wire;
use crate::{base64, Options, DEPTH};
use std::borrow::Cow;
use std::collections::HashSet;

pub const UNKNOWN: Fault = "protobuf: unknown field";
pub const VALUE: Fault = "protobuf: wrong value";
const TWICE: Fault = "protobuf: field given twice";
const ONEOF: Fault = "protobuf: two fields of a oneof";
pub const REQUIRED: Fault = "protobuf: required field missing";
pub const ANY: Fault = "protobuf: google.protobuf.Any is not supported";

pub struct Encoder<'s, 'o> {
    pub schema: &'s Schema,
    pub options: &'s Options,
    pub out: &'o mut Vec<u8>,
    /// For each open message a bit for each field and oneof that it has had.
    pub seen: &'o mut Vec<u64>,
    /// The field that is being read: message and index.
    pub place: Option<(usize, usize)>,
}

/// What became of a scalar.
#[derive(PartialEq)]
enum Put {
    Value,
    Zero,
    /// An enum's name that is not known, and ignored.
    Nothing,
}

impl<'s> Encoder<'s, '_> {
    /// Reads a message's JSON and writes its bytes.
    pub fn message(&mut self, r: &mut Reader, index: usize, depth: u32) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let message = &self.schema.messages[index];
        match message.known {
            Known::No => self.object(r, index, message, depth),
            Known::Any => Err(ANY),
            Known::Wrapper => self.wrapper(r, &message.fields[0]),
            Known::Timestamp => self.moment(r, known::timestamp),
            Known::Duration => self.moment(r, known::duration),
            Known::FieldMask => self.mask(r),
            Known::Struct => self.structure(r, depth),
            Known::Value => self.value(r, depth),
            Known::List => self.list_value(r, depth),
        }
    }

    fn object(&mut self, r: &mut Reader, index: usize, message: &'s Message, depth: u32) -> Result<(), Fault> {
        r.expect(b'{')?;
        let base = self.seen.len();
        self.seen.resize(base + (message.fields.len() + message.oneofs as usize + 63) / 64, 0);
        let (mut first, mut next) = (true, 0);
        while r.more(&mut first, b'}')? {
            let name = r.string()?;
            r.expect(b':')?;
            let at = match message.named(&name, next) {
                Some(at) => at,
                None if self.options.ignore => {
                    r.skip(depth)?;
                    continue;
                }
                None => return Err(UNKNOWN),
            };
            next = at + 1;
            self.place = Some((index, at));
            let field = &message.fields[at];
            self.once(base, at, TWICE)?;
            if r.peek()? == b'n' && !self.takes_null(field) {
                r.literal("null")?;
                if field.required {
                    return Err(REQUIRED);
                }
                continue;
            }
            if let Some(oneof) = field.oneof {
                self.once(base, message.fields.len() + oneof as usize, ONEOF)?;
            }
            match (field.map, field.repeated) {
                (true, _) => self.map(r, field, depth)?,
                (_, true) => self.list(r, field, depth)?,
                _ => self.single(r, field, field.presence, depth)?,
            }
        }
        let missing = |at: &usize| message.fields[*at].required && self.seen[base + at / 64] >> (at % 64) & 1 == 0;
        if let Some(at) = (0..message.fields.len()).find(missing) {
            self.place = Some((index, at));
            return Err(REQUIRED);
        }
        self.seen.truncate(base);
        Ok(())
    }

    fn once(&mut self, base: usize, at: usize, fault: Fault) -> Result<(), Fault> {
        let word = &mut self.seen[base + at / 64];
        let bit = 1 << (at % 64);
        if *word & bit != 0 {
            return Err(fault);
        }
        *word |= bit;
        Ok(())
    }

    fn takes_null(&self, field: &Field) -> bool {
        match field.kind {
            Kind::Message => self.schema.messages[field.target].known == Known::Value,
            Kind::Enum => self.schema.enums[field.target].null,
            _ => false,
        }
    }

    /// Writes a field with one value; a zero only where it differs from none.
    fn single(&mut self, r: &mut Reader, field: &'s Field, presence: bool, depth: u32) -> Result<(), Fault> {
        let start = self.out.len();
        match self.tagged(r, field, depth)? {
            Put::Value => {}
            Put::Zero if presence => {}
            _ => self.out.truncate(start),
        }
        Ok(())
    }

    fn tagged(&mut self, r: &mut Reader, field: &'s Field, depth: u32) -> Result<Put, Fault> {
        wire::put(self.out, wire::tag(field.number, field.kind.wire()));
        match field.kind {
            Kind::Message => self.delimited(|e| e.message(r, field.target, depth)).map(|_| Put::Value),
            _ => self.scalar(r, field),
        }
    }

    fn delimited(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let start = self.out.len();
        self.out.push(0);
        body(self)?;
        wire::close(self.out, start);
        Ok(())
    }

    fn list(&mut self, r: &mut Reader, field: &'s Field, depth: u32) -> Result<(), Fault> {
        r.expect(b'[').map_err(|_| VALUE)?;
        let mut first = true;
        if !field.packed {
            while r.more(&mut first, b']')? {
                let start = self.out.len();
                if self.tagged(r, field, depth)? == Put::Nothing {
                    self.out.truncate(start);
                }
            }
            return Ok(());
        }
        let start = self.out.len();
        wire::put(self.out, wire::tag(field.number, wire::LEN));
        let body = self.out.len();
        self.delimited(|e| {
            while r.more(&mut first, b']')? {
                e.scalar(r, field)?;
            }
            Ok(())
        })?;
        if self.out.len() == body + 1 {
            self.out.truncate(start);
        }
        Ok(())
    }

    fn map(&mut self, r: &mut Reader, field: &'s Field, depth: u32) -> Result<(), Fault> {
        let entry = &self.schema.messages[field.target];
        let (key, value) = match (entry.numbered(1, 0), entry.numbered(2, 1)) {
            (Some(k), Some(v)) => (&entry.fields[k], &entry.fields[v]),
            _ => return Err(VALUE),
        };
        r.expect(b'{').map_err(|_| VALUE)?;
        let mut first = true;
        let mut keys = HashSet::new();
        while r.more(&mut first, b'}')? {
            let name = r.string()?;
            r.expect(b':')?;
            let start = self.out.len();
            wire::put(self.out, wire::tag(field.number, wire::LEN));
            let body = self.out.len();
            self.out.push(0);
            wire::put(self.out, wire::tag(1, key.kind.wire()));
            self.key(&name, key.kind)?;
            let written = self.out[body..].to_vec();
            if keys.contains(&written) {
                return Err(TWICE);
            }
            match self.tagged(r, value, depth)? {
                Put::Nothing => self.out.truncate(start),
                _ => {
                    wire::close(self.out, body);
                    keys.insert(written);
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, name: &str, kind: Kind) -> Result<(), Fault> {
        let n = match kind {
            Kind::String => return self.bytes(name.as_bytes()).map(|_| ()),
            Kind::Bool => match name {
                "true" => 1,
                "false" => 0,
                _ => return Err(VALUE),
            },
            // A sign stands only before numbers that can be negative.
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 if name.starts_with(|c| matches!(c, '+' | '-')) => return Err(VALUE),
            _ => name.parse::<i128>().map_err(|_| VALUE)?,
        };
        self.integer(n, kind).map(|_| ())
    }

    fn scalar(&mut self, r: &mut Reader, field: &Field) -> Result<Put, Fault> {
        let c = r.peek()?;
        match field.kind {
            Kind::String => match c {
                b'"' => {
                    let text = r.string()?;
                    self.bytes(text.as_bytes())
                }
                _ => Err(VALUE),
            },
            Kind::Bytes => match c {
                b'"' => {
                    let text = r.string()?;
                    let start = self.out.len();
                    self.delimited(|e| base64::lenient(text.as_bytes(), e.out).ok_or(VALUE))?;
                    Ok(put(self.out.len() == start + 1))
                }
                _ => Err(VALUE),
            },
            Kind::Bool => {
                match c {
                    b't' => r.literal("true")?,
                    b'f' => r.literal("false")?,
                    _ => return Err(VALUE),
                }
                self.out.push((c == b't') as u8);
                Ok(put(c == b'f'))
            }
            Kind::Enum => self.enumeration(r, field, c),
            Kind::Float | Kind::Double => self.float(r, field.kind, c),
            kind => {
                let text = numeral(r, c)?;
                self.integer(number::integer(&text).ok_or(VALUE)?, kind)
            }
        }
    }

    fn bytes(&mut self, b: &[u8]) -> Result<Put, Fault> {
        wire::put(self.out, b.len() as u64);
        self.out.extend_from_slice(b);
        Ok(put(b.is_empty()))
    }

    fn enumeration(&mut self, r: &mut Reader, field: &Field, c: u8) -> Result<Put, Fault> {
        let values = &self.schema.enums[field.target];
        match c {
            b'"' => {
                let name = r.string()?;
                match values.number(&name) {
                    Some(n) => {
                        wire::put(self.out, n as i64 as u64);
                        Ok(put(n == 0))
                    }
                    None if self.options.ignore => Ok(Put::Nothing),
                    None => Err(VALUE),
                }
            }
            b'n' if values.null => {
                r.literal("null")?;
                self.out.push(0);
                Ok(Put::Zero)
            }
            _ => {
                let n = number::integer(r.number().map_err(|_| VALUE)?).ok_or(VALUE)?;
                self.integer(n, Kind::Int32)
            }
        }
    }

    fn float(&mut self, r: &mut Reader, kind: Kind, c: u8) -> Result<Put, Fault> {
        let text = match c {
            b'"' => r.string()?,
            _ => Cow::Borrowed(r.number().map_err(|_| VALUE)?),
        };
        let word = match &*text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        }
        .filter(|_| c == b'"');
        if word.is_none() && crate::reader::number(text.as_bytes()) != Some(text.len()) {
            return Err(VALUE);
        }
        if kind == Kind::Double {
            let n = word.map_or_else(|| text.parse(), Ok).map_err(|_| VALUE)?;
            self.finite(n, word)?;
            self.out.extend(n.to_le_bytes());
            return Ok(put(n.to_bits() == 0));
        }
        let n = word.map_or_else(|| text.parse(), |w| Ok(w as f32)).map_err(|_| VALUE)?;
        self.finite(n as f64, word)?;
        self.out.extend(n.to_le_bytes());
        Ok(put(n.to_bits() == 0))
    }

    fn finite(&self, n: f64, word: Option<f64>) -> Result<(), Fault> {
        match word.is_some() || n.is_finite() {
            true => Ok(()),
            false => Err(VALUE),
        }
    }

    /// Writes an integer, if it is in its kind's range.
    fn integer(&mut self, n: i128, kind: Kind) -> Result<Put, Fault> {
        let (least, most) = match kind {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN as i128, i32::MAX as i128),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (i64::MIN as i128, i64::MAX as i128),
            Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX as i128),
            Kind::Bool => (0, 1),
            _ => (0, u64::MAX as i128),
        };
        if n < least || n > most {
            return Err(VALUE);
        }
        match kind {
            Kind::Sint32 | Kind::Sint64 => wire::put(self.out, wire::zigzag(n as i64)),
            Kind::Fixed32 | Kind::Sfixed32 => self.out.extend((n as u32).to_le_bytes()),
            Kind::Fixed64 | Kind::Sfixed64 => self.out.extend((n as u64).to_le_bytes()),
            _ => wire::put(self.out, n as u64),
        }
        Ok(put(n == 0))
    }

    fn wrapper(&mut self, r: &mut Reader, field: &'s Field) -> Result<(), Fault> {
        self.single(r, field, false, DEPTH)
    }

    /// A message of seconds and nanoseconds, from its text.
    fn moment(&mut self, r: &mut Reader, parse: fn(&str) -> Option<(i64, i32)>) -> Result<(), Fault> {
        let text = r.string().map_err(|_| VALUE)?;
        let (seconds, nanos) = parse(&text).ok_or(VALUE)?;
        for (number, n) in [(1, seconds), (2, nanos as i64)] {
            if n != 0 {
                wire::put(self.out, wire::tag(number, wire::VARINT));
                wire::put(self.out, n as u64);
            }
        }
        Ok(())
    }

    fn mask(&mut self, r: &mut Reader) -> Result<(), Fault> {
        let text = r.string().map_err(|_| VALUE)?;
        let text = text.trim();
        if text.is_empty() {
            return Ok(());
        }
        for path in text.split(',') {
            let path = known::snake(path).ok_or(VALUE)?;
            wire::put(self.out, wire::tag(1, wire::LEN));
            self.bytes(path.as_bytes())?;
        }
        Ok(())
    }

    /// google.protobuf.Struct: any object.
    fn structure(&mut self, r: &mut Reader, depth: u32) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        r.expect(b'{').map_err(|_| VALUE)?;
        let mut first = true;
        let mut keys = HashSet::new();
        while r.more(&mut first, b'}')? {
            let name = r.string()?;
            r.expect(b':')?;
            if !keys.insert(name.to_string()) {
                return Err(TWICE);
            }
            wire::put(self.out, wire::tag(1, wire::LEN));
            self.delimited(|e| {
                wire::put(e.out, wire::tag(1, wire::LEN));
                e.bytes(name.as_bytes())?;
                wire::put(e.out, wire::tag(2, wire::LEN));
                e.delimited(|e| e.value(r, depth))
            })?;
        }
        Ok(())
    }

    /// google.protobuf.ListValue: any array.
    fn list_value(&mut self, r: &mut Reader, depth: u32) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        r.expect(b'[').map_err(|_| VALUE)?;
        let mut first = true;
        while r.more(&mut first, b']')? {
            wire::put(self.out, wire::tag(1, wire::LEN));
            self.delimited(|e| e.value(r, depth))?;
        }
        Ok(())
    }

    /// google.protobuf.Value: anything.
    fn value(&mut self, r: &mut Reader, depth: u32) -> Result<(), Fault> {
        match r.peek()? {
            b'n' => {
                r.literal("null")?;
                self.out.extend([wire::tag(1, wire::VARINT) as u8, 0]);
                Ok(())
            }
            c @ (b't' | b'f') => {
                r.literal(if c == b't' { "true" } else { "false" })?;
                self.out.extend([wire::tag(4, wire::VARINT) as u8, (c == b't') as u8]);
                Ok(())
            }
            b'"' => {
                let text = r.string()?;
                wire::put(self.out, wire::tag(3, wire::LEN));
                self.bytes(text.as_bytes()).map(|_| ())
            }
            b'{' => {
                wire::put(self.out, wire::tag(5, wire::LEN));
                self.delimited(|e| e.structure(r, depth))
            }
            b'[' => {
                wire::put(self.out, wire::tag(6, wire::LEN));
                self.delimited(|e| e.list_value(r, depth))
            }
            c => {
                wire::put(self.out, wire::tag(2, wire::I64));
                self.float(r, Kind::Double, c).map(|_| ())
            }
        }
    }
}

fn put(zero: bool) -> Put {
    if zero {
        Put::Zero
    } else {
        Put::Value
    }
}

/// A number, or a string that holds one and nothing else.
fn numeral<'a>(r: &mut Reader<'a>, c: u8) -> Result<Cow<'a, str>, Fault> {
    if c != b'"' {
        return r.number().map(Cow::Borrowed).map_err(|_| VALUE);
    }
    let text = r.string()?;
    match crate::reader::number(text.as_bytes()) == Some(text.len()) {
        true => Ok(text),
        false => Err(VALUE),
    }
}
