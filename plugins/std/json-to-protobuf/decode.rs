//! Protobuf to JSON, by the canonical JSON mapping.

use crate::encode::{ANY, REQUIRED, UNKNOWN, VALUE};
use crate::known;
use crate::number::{self, Text};
use crate::reader::{Fault, TOO_DEEP};
use crate::schema::{Field, Kind, Known, Message, Schema};
use crate::wire::{self, Record};
use crate::{base64, Options};
use std::collections::HashMap;
use std::fmt::Write;

const NOT_PROTOBUF: Fault = "protobuf: not Protobuf";

pub struct Decoder<'s, 'o> {
    pub schema: &'s Schema,
    pub options: &'s Options,
    pub out: &'o mut Vec<u8>,
    /// The fields of the messages that are open, by index.
    pub found: &'o mut Vec<(u32, Record)>,
    /// The field that is being read: message and index.
    pub place: Option<(usize, usize)>,
}

impl<'s> Decoder<'s, '_> {
    /// Reads a message's bytes and writes its JSON.
    pub fn message(&mut self, b: &[u8], index: usize, depth: u32) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
        let message = &self.schema.messages[index];
        let base = self.found.len();
        self.scan(b, message, index)?;
        let written = match message.known {
            Known::No => self.object(b, index, message, base, depth),
            Known::Any => Err(ANY),
            Known::Wrapper => self.wrapper(b, message, base),
            Known::Timestamp => self.moment(b, base, known::write_timestamp),
            Known::Duration => self.moment(b, base, known::write_duration),
            Known::FieldMask => self.mask(b, base),
            Known::Struct => self.map(b, message, 0, base, depth),
            Known::List => self.list(b, &message.fields[0], base..self.found.len(), depth),
            Known::Value => self.value(b, message, base, depth),
        };
        self.found.truncate(base);
        written
    }

    /// Finds the fields that the message has, in the order of the schema.
    fn scan(&mut self, b: &[u8], message: &Message, index: usize) -> Result<(), Fault> {
        let base = self.found.len();
        let (mut at, mut next, mut sorted) = (0, 0, true);
        while at < b.len() {
            let r = wire::record(b, &mut at).ok_or(NOT_PROTOBUF)?;
            let i = match message.numbered(r.number, next) {
                Some(i) if fits(&message.fields[i], r.wire) => i,
                _ if self.options.ignore => continue,
                _ => return Err(UNKNOWN),
            };
            let field = &message.fields[i];
            if let Some(oneof) = field.oneof {
                // Of a oneof the last one counts.
                let other = |(f, _): &(u32, Record)| *f as usize != i && message.fields[*f as usize].oneof == Some(oneof);
                if let Some(gone) = self.found[base..].iter().rev().find(|f| other(f)).map(|f| f.0) {
                    let mut kept = base;
                    for n in base..self.found.len() {
                        if self.found[n].0 != gone {
                            self.found[kept] = self.found[n];
                            kept += 1;
                        }
                    }
                    self.found.truncate(kept);
                }
            }
            sorted &= self.found[base..].last().map_or(true, |l| l.0 as usize <= i);
            self.found.push((i as u32, r));
            next = if field.repeated { i } else { i + 1 };
        }
        if !sorted {
            self.found[base..].sort_by_key(|(i, _)| *i);
        }
        let missing = |i: &usize| message.fields[*i].required && !self.found[base..].iter().any(|(n, _)| *n as usize == *i);
        if let Some(i) = (0..message.fields.len()).find(missing) {
            self.place = Some((index, i));
            return Err(REQUIRED);
        }
        Ok(())
    }

    fn object(&mut self, b: &[u8], index: usize, message: &'s Message, base: usize, depth: u32) -> Result<(), Fault> {
        self.out.push(b'{');
        let start = self.out.len();
        let (end, mut at) = (self.found.len(), base);
        for (i, field) in message.fields.iter().enumerate() {
            let from = at;
            while at < end && self.found[at].0 as usize == i {
                at += 1;
            }
            if from == at && !(self.options.defaults && (field.repeated || !field.presence)) {
                continue;
            }
            self.place = Some((index, i));
            let begin = self.out.len();
            if begin > start {
                self.out.push(b',');
            }
            quote(if self.options.proto_names { &field.name } else { &field.json }, self.out);
            self.out.push(b':');
            let written = match (field.map, field.repeated) {
                (true, _) => self.entries(b, field, from..at, depth)?,
                (_, true) => {
                    let value = self.out.len();
                    self.list(b, field, from..at, depth)?;
                    self.out.len() > value + 2
                }
                _ => self.single(b, field, from..at, depth)? || field.presence,
            };
            if !written && !self.options.defaults {
                self.out.truncate(begin);
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes the last of the values; false for a zero.
    fn single(&mut self, b: &[u8], field: &Field, range: std::ops::Range<usize>, depth: u32) -> Result<bool, Fault> {
        let records = &self.found[range];
        let last = match records.last() {
            Some((_, r)) => *r,
            None => return self.zero(field),
        };
        if field.kind != Kind::Message {
            return self.scalar(&b[last.start..last.end], field);
        }
        if records.len() == 1 {
            return self.message(&b[last.start..last.end], field.target, depth).map(|_| true);
        }
        // Messages that come in parts are what their bytes are in a row.
        let whole: Vec<u8> = records.iter().flat_map(|(_, r)| &b[r.start..r.end]).copied().collect();
        self.message(&whole, field.target, depth).map(|_| true)
    }

    fn zero(&mut self, field: &Field) -> Result<bool, Fault> {
        match field.kind {
            Kind::Message => self.message(&[], field.target, 1).map(|_| true),
            _ => self.scalar(&[0; 8][..zeros(field.kind)], field),
        }
    }

    fn list(&mut self, b: &[u8], field: &Field, range: std::ops::Range<usize>, depth: u32) -> Result<(), Fault> {
        self.out.push(b'[');
        let start = self.out.len();
        for n in range {
            let r = self.found[n].1;
            let bytes = &b[r.start..r.end];
            if field.kind == Kind::Message {
                self.comma(start);
                self.message(bytes, field.target, depth)?;
                continue;
            }
            if r.wire != wire::LEN || field.kind.wire() == wire::LEN {
                self.comma(start);
                self.scalar(bytes, field)?;
                continue;
            }
            let mut at = 0;
            while at < bytes.len() {
                let from = at;
                match field.kind.wire() {
                    wire::VARINT => {
                        wire::varint(bytes, &mut at).ok_or(NOT_PROTOBUF)?;
                    }
                    wire::I64 => at += 8,
                    _ => at += 4,
                }
                let one = bytes.get(from..at).ok_or(NOT_PROTOBUF)?;
                self.comma(start);
                self.scalar(one, field)?;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn comma(&mut self, start: usize) {
        if self.out.len() > start {
            self.out.push(b',');
        }
    }

    /// The map that is the only field of google.protobuf.Struct.
    fn map(&mut self, b: &[u8], message: &'s Message, field: usize, base: usize, depth: u32) -> Result<(), Fault> {
        self.entries(b, &message.fields[field], base..self.found.len(), depth).map(|_| ())
    }

    /// Writes a map; of entries with the same key the last one counts. False if
    /// there are none.
    fn entries(&mut self, b: &[u8], field: &Field, range: std::ops::Range<usize>, depth: u32) -> Result<bool, Fault> {
        let entry = &self.schema.messages[field.target];
        let (key, value) = match (entry.numbered(1, 0), entry.numbered(2, 1)) {
            (Some(k), Some(v)) => (k, v),
            _ => return Err(VALUE),
        };
        let mut order: Vec<(Vec<u8>, usize)> = Vec::new();
        let mut places = HashMap::new();
        for n in range.clone() {
            let r = self.found[n].1;
            let text = self.key(&b[r.start..r.end], entry, key)?;
            match places.get(&text) {
                Some(i) => {
                    let (_, last): &mut (Vec<u8>, usize) = &mut order[*i];
                    *last = n;
                }
                None => {
                    places.insert(text.clone(), order.len());
                    order.push((text, n));
                }
            }
        }
        self.out.push(b'{');
        for (i, (text, n)) in order.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(text);
            self.out.push(b':');
            let r = self.found[*n].1;
            let bytes = &b[r.start..r.end];
            let base = self.found.len();
            self.scan(bytes, entry, field.target)?;
            let values = self.only(base, value);
            let written = self.single(bytes, &entry.fields[value], values, depth);
            self.found.truncate(base);
            written?;
        }
        self.out.push(b'}');
        Ok(!order.is_empty())
    }

    /// The range of one field among those that were found from `base` on.
    fn only(&self, base: usize, field: usize) -> std::ops::Range<usize> {
        let of = |f: &(u32, Record)| f.0 as usize == field;
        let from = base + self.found[base..].iter().position(of).unwrap_or(0);
        let count = self.found[from..].iter().filter(|f| of(f)).count();
        from..from + count
    }

    /// An entry's key, as JSON writes it.
    fn key(&mut self, b: &[u8], entry: &'s Message, key: usize) -> Result<Vec<u8>, Fault> {
        let (base, start) = (self.found.len(), self.out.len());
        self.scan(b, entry, 0)?;
        let range = self.only(base, key);
        self.single(b, &entry.fields[key], range, 1)?;
        self.found.truncate(base);
        let text = self.out.split_off(start);
        Ok(match text.first() {
            Some(b'"') => text,
            _ => [b"\"", &text[..], b"\""].concat(),
        })
    }

    /// Writes a scalar; false for a zero.
    fn scalar(&mut self, b: &[u8], field: &Field) -> Result<bool, Fault> {
        let varint = || wire::varint(b, &mut 0).ok_or(NOT_PROTOBUF);
        let four = || <[u8; 4]>::try_from(b).map_err(|_| NOT_PROTOBUF);
        let eight = || <[u8; 8]>::try_from(b).map_err(|_| NOT_PROTOBUF);
        let (n, wide): (i128, bool) = match field.kind {
            Kind::Double => {
                let n = f64::from_le_bytes(eight()?);
                number::float(self.out, n, false);
                return Ok(n.to_bits() != 0);
            }
            Kind::Float => {
                let n = f32::from_le_bytes(four()?);
                number::float(self.out, n as f64, true);
                return Ok(n.to_bits() != 0);
            }
            Kind::Bool => {
                let n = varint()? != 0;
                self.out.extend_from_slice(if n { b"true" } else { b"false" });
                return Ok(n);
            }
            Kind::String => {
                quote(core::str::from_utf8(b).map_err(|_| NOT_PROTOBUF)?, self.out);
                return Ok(!b.is_empty());
            }
            Kind::Bytes => {
                self.out.push(b'"');
                base64::encode(b, self.out);
                self.out.push(b'"');
                return Ok(!b.is_empty());
            }
            Kind::Enum => return Ok(self.enumeration(varint()? as i32, field)),
            Kind::Int64 => (varint()? as i64 as i128, true),
            Kind::Uint64 => (varint()? as i128, true),
            Kind::Int32 => (varint()? as i32 as i128, false),
            Kind::Uint32 => (varint()? as u32 as i128, false),
            Kind::Sint32 => (wire::unzigzag(varint()? as u32 as u64) as i32 as i128, false),
            Kind::Sint64 => (wire::unzigzag(varint()?) as i128, true),
            Kind::Fixed32 => (u32::from_le_bytes(four()?) as i128, false),
            Kind::Sfixed32 => (i32::from_le_bytes(four()?) as i128, false),
            Kind::Fixed64 => (u64::from_le_bytes(eight()?) as i128, true),
            Kind::Sfixed64 => (i64::from_le_bytes(eight()?) as i128, true),
            Kind::Group | Kind::Message => return Err(VALUE),
        };
        let _ = match wide {
            true => write!(Text(self.out), "\"{}\"", n),
            false => write!(Text(self.out), "{}", n as i64),
        };
        Ok(n != 0)
    }

    fn enumeration(&mut self, n: i32, field: &Field) -> bool {
        let values = &self.schema.enums[field.target];
        let name = if self.options.numbers { None } else { values.name(n) };
        match name {
            _ if values.null => self.out.extend_from_slice(b"null"),
            Some(name) => quote(name, self.out),
            None => {
                let _ = write!(Text(self.out), "{}", n);
            }
        }
        n != 0
    }

    fn wrapper(&mut self, b: &[u8], message: &'s Message, base: usize) -> Result<(), Fault> {
        self.single(b, &message.fields[0], base..self.found.len(), 1).map(|_| ())
    }

    fn moment(&mut self, b: &[u8], base: usize, write: fn(&mut Vec<u8>, i64, i32) -> Option<()>) -> Result<(), Fault> {
        let (mut seconds, mut nanos) = (0, 0);
        for (_, r) in &self.found[base..] {
            let n = wire::varint(b, &mut { r.start }).ok_or(NOT_PROTOBUF)?;
            match r.number {
                1 => seconds = n as i64,
                _ => nanos = n as i32,
            }
        }
        write(self.out, seconds, nanos).ok_or(VALUE)
    }

    fn mask(&mut self, b: &[u8], base: usize) -> Result<(), Fault> {
        self.out.push(b'"');
        for (i, (_, r)) in self.found[base..].iter().enumerate() {
            let path = core::str::from_utf8(&b[r.start..r.end]).ok().and_then(known::camel).ok_or(VALUE)?;
            if i > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(path.as_bytes());
        }
        self.out.push(b'"');
        Ok(())
    }

    /// google.protobuf.Value: the one field that it has.
    fn value(&mut self, b: &[u8], message: &'s Message, base: usize, depth: u32) -> Result<(), Fault> {
        let (i, r) = *self.found[base..].last().ok_or(VALUE)?;
        let field = &message.fields[i as usize];
        if field.kind == Kind::Double {
            let n = <[u8; 8]>::try_from(&b[r.start..r.end]).map(f64::from_le_bytes).map_err(|_| NOT_PROTOBUF)?;
            if !n.is_finite() {
                return Err(VALUE);
            }
        }
        self.single(b, field, base..self.found.len(), depth).map(|_| ())
    }
}

/// Whether a value of this wire type can be the field's.
fn fits(field: &Field, wire: u8) -> bool {
    wire == field.kind.wire() || field.repeated && wire == wire::LEN && !matches!(field.kind, Kind::Group | Kind::Message)
}

/// How many bytes a zero has.
fn zeros(kind: Kind) -> usize {
    match kind.wire() {
        wire::I64 => 8,
        wire::I32 => 4,
        wire::LEN => 0,
        _ => 1,
    }
}

/// Writes a string with its quotes.
fn quote(text: &str, out: &mut Vec<u8>) {
    let _ = weft::json::quote(text, &mut Text(out));
}
