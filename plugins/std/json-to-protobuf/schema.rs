//! Messages and enums as a FileDescriptorSet describes them (descriptor.proto).

use crate::wire;
use std::collections::HashMap;

/// What a field holds; the numbers are those of FieldDescriptorProto.Type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Double = 1,
    Float,
    Int64,
    Uint64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    Group,
    Message,
    Bytes,
    Uint32,
    Enum,
    Sfixed32,
    Sfixed64,
    Sint32,
    Sint64,
}

const KINDS: [Kind; 18] = [
    Kind::Double, Kind::Float, Kind::Int64, Kind::Uint64, Kind::Int32, Kind::Fixed64, Kind::Fixed32, Kind::Bool, Kind::String,
    Kind::Group, Kind::Message, Kind::Bytes, Kind::Uint32, Kind::Enum, Kind::Sfixed32, Kind::Sfixed64, Kind::Sint32, Kind::Sint64,
];

impl Kind {
    pub fn wire(self) -> u8 {
        match self {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => wire::I64,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => wire::I32,
            Kind::String | Kind::Bytes | Kind::Message => wire::LEN,
            Kind::Group => wire::GROUP,
            _ => wire::VARINT,
        }
    }
}

/// Messages that have a JSON form of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    No,
    Any,
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    List,
    Wrapper,
}

pub struct Field {
    pub name: String,
    /// What it is called in JSON.
    pub json: String,
    pub number: u32,
    pub kind: Kind,
    pub repeated: bool,
    pub packed: bool,
    pub map: bool,
    pub required: bool,
    /// A zero differs from none.
    pub presence: bool,
    pub oneof: Option<u32>,
    /// The message or enum that it holds.
    pub target: usize,
}

pub struct Message {
    pub name: String,
    pub fields: Vec<Field>,
    pub oneofs: u32,
    pub known: Known,
    /// By both of their names.
    names: HashMap<String, u32>,
    numbers: Vec<(u32, u32)>,
    entry: bool,
}

pub struct Enum {
    /// google.protobuf.NullValue
    pub null: bool,
    names: HashMap<String, i32>,
    numbers: Vec<(i32, String)>,
}

impl Enum {
    pub fn number(&self, name: &str) -> Option<i32> {
        self.names.get(name).copied()
    }

    pub fn name(&self, number: i32) -> Option<&str> {
        let at = self.numbers.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        Some(&self.numbers[at].1)
    }
}

impl Message {
    /// The field of a name; `hint` is where it may be.
    #[inline]
    pub fn named(&self, name: &str, hint: usize) -> Option<usize> {
        match self.fields.get(hint) {
            Some(f) if f.json == name => Some(hint),
            _ => self.names.get(name).map(|i| *i as usize),
        }
    }

    #[inline]
    pub fn numbered(&self, number: u32, hint: usize) -> Option<usize> {
        match self.fields.get(hint) {
            Some(f) if f.number == number => Some(hint),
            _ => self.numbers.binary_search_by_key(&number, |(n, _)| *n).ok().map(|i| self.numbers[i].1 as usize),
        }
    }
}

#[derive(Default)]
pub struct Schema {
    pub messages: Vec<Message>,
    pub enums: Vec<Enum>,
    types: HashMap<String, usize>,
}

/// A field's type by name, until everything is read.
struct Open {
    message: usize,
    field: usize,
    target: String,
}

impl Schema {
    /// Reads a FileDescriptorSet.
    pub fn read(set: &[u8]) -> Result<Schema, String> {
        let mut schema = Schema::default();
        let mut open = Vec::new();
        for (number, file) in parts(set)? {
            if number == 1 {
                schema.file(file, &mut open)?;
            }
        }
        for o in open {
            let target = schema.types.get(&o.target).copied();
            let message = &mut schema.messages[o.message];
            let target = target.ok_or_else(|| {
                format!("{}.{} is a {}, which no file of the set has (protoc --include_imports)", message.name, message.fields[o.field].name, o.target)
            })?;
            message.fields[o.field].target = target;
        }
        for i in 0..schema.messages.len() {
            for f in 0..schema.messages[i].fields.len() {
                let field = &schema.messages[i].fields[f];
                let map = field.kind == Kind::Message && field.repeated && schema.messages[field.target].entry;
                if map && schema.messages[field.target].fields.len() != 2 {
                    return Err(format!("{}: the map {} is malformed", schema.messages[i].name, field.name));
                }
                schema.messages[i].fields[f].map = map;
            }
        }
        Ok(schema)
    }

    /// The message of a full name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.messages.iter().position(|m| m.name == name && !m.entry)
    }

    fn file(&mut self, file: &[u8], open: &mut Vec<Open>) -> Result<(), String> {
        let (mut package, mut syntax) = (String::new(), String::from("proto2"));
        for (number, b) in parts(file)? {
            match number {
                2 => package = text(b)?,
                12 => syntax = text(b)?,
                _ => {}
            }
        }
        if syntax != "proto2" && syntax != "proto3" {
            return Err(format!("a file has the syntax \"{}\"; expected proto2 or proto3", syntax));
        }
        for (number, b) in parts(file)? {
            match number {
                4 => self.message(b, &package, syntax == "proto3", open)?,
                5 => self.enumeration(b, &package)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn message(&mut self, b: &[u8], scope: &str, proto3: bool, open: &mut Vec<Open>) -> Result<(), String> {
        let name = named(b, scope)?;
        let index = self.messages.len();
        let known = known(&name);
        self.types.insert(format!(".{}", name), index);
        self.messages.push(Message {
            name: name.clone(), fields: Vec::new(), oneofs: 0, known, names: HashMap::new(), numbers: Vec::new(), entry: false,
        });
        for (number, part) in parts(b)? {
            match number {
                2 => {
                    let (field, target) = field(part, proto3)?;
                    if !target.is_empty() {
                        open.push(Open { message: index, field: self.messages[index].fields.len(), target });
                    }
                    self.messages[index].fields.push(field);
                }
                3 => self.message(part, &name, proto3, open)?,
                4 => self.enumeration(part, &name)?,
                7 => self.messages[index].entry = flag(part, 7)?,
                8 => self.messages[index].oneofs += 1,
                _ => {}
            }
        }
        let m = &mut self.messages[index];
        m.numbers = m.fields.iter().enumerate().map(|(i, f)| (f.number, i as u32)).collect();
        m.numbers.sort_unstable();
        for (i, f) in m.fields.iter().enumerate() {
            m.names.insert(f.json.clone(), i as u32);
        }
        for (i, f) in m.fields.iter().enumerate() {
            m.names.entry(f.name.clone()).or_insert(i as u32);
        }
        let expected = match m.known {
            Known::No => m.fields.len(),
            Known::Any | Known::Timestamp | Known::Duration => 2,
            Known::Value => 6,
            Known::FieldMask | Known::Struct | Known::List | Known::Wrapper => 1,
        };
        if m.fields.len() != expected {
            return Err(format!("{} has {} fields; expected {}, as in Google's", m.name, m.fields.len(), expected));
        }
        Ok(())
    }

    fn enumeration(&mut self, b: &[u8], scope: &str) -> Result<(), String> {
        let name = named(b, scope)?;
        let mut values = Enum { null: name == "google.protobuf.NullValue", names: HashMap::new(), numbers: Vec::new() };
        for (number, part) in parts(b)? {
            if number == 2 {
                let (mut name, mut value) = (String::new(), 0);
                for r in records(part)? {
                    match r.number {
                        1 => name = text(&part[r.start..r.end])?,
                        2 => value = wire::varint(part, &mut { r.start }).unwrap_or(0) as i32,
                        _ => {}
                    }
                }
                values.numbers.push((value, name.clone()));
                values.names.insert(name, value);
            }
        }
        values.numbers.sort_by_key(|(n, _)| *n); // of aliases the first one counts
        values.numbers.dedup_by_key(|(n, _)| *n);
        self.types.insert(format!(".{}", name), self.enums.len());
        self.enums.push(values);
        Ok(())
    }
}

fn field(b: &[u8], proto3: bool) -> Result<(Field, String), String> {
    let (mut name, mut json, mut target) = (String::new(), String::new(), String::new());
    let (mut number, mut label, mut kind, mut oneof, mut optional, mut packed) = (0, 1, 0, None, false, None);
    for r in records(b)? {
        let value = || wire::varint(b, &mut { r.start }).unwrap_or(0);
        let part = &b[r.start..r.end];
        match r.number {
            1 => name = text(part)?,
            3 => number = value() as u32,
            4 => label = value(),
            5 => kind = value() as usize,
            6 => target = text(part)?,
            8 => packed = records(part)?.iter().find(|r| r.number == 2).map(|r| part[r.start] != 0),
            9 => oneof = Some(value() as u32),
            10 => json = text(part)?,
            17 => optional = value() != 0,
            _ => {}
        }
    }
    let kind = *KINDS.get(kind.wrapping_sub(1)).ok_or_else(|| format!("the field {} is of an unknown type", name))?;
    let repeated = label == 3;
    if json.is_empty() {
        json = camel(&name);
    }
    let packable = !matches!(kind, Kind::String | Kind::Bytes | Kind::Message | Kind::Group);
    let f = Field {
        presence: !proto3 || optional || oneof.is_some() || kind == Kind::Message,
        packed: repeated && packable && packed.unwrap_or(proto3),
        oneof: oneof.filter(|_| !optional),
        required: label == 2,
        map: false,
        target: 0,
        name, json, number, kind, repeated,
    };
    Ok((f, target))
}

fn known(name: &str) -> Known {
    match name.strip_prefix("google.protobuf.") {
        Some("Any") => Known::Any,
        Some("Timestamp") => Known::Timestamp,
        Some("Duration") => Known::Duration,
        Some("FieldMask") => Known::FieldMask,
        Some("Struct") => Known::Struct,
        Some("Value") => Known::Value,
        Some("ListValue") => Known::List,
        Some("BoolValue" | "Int32Value" | "Int64Value" | "UInt32Value" | "UInt64Value" | "FloatValue" | "DoubleValue" | "StringValue" | "BytesValue") => {
            Known::Wrapper
        }
        _ => Known::No,
    }
}

/// lowerCamelCase, as protoc makes it of a field's name.
pub fn camel(name: &str) -> String {
    let mut out = String::new();
    let mut up = false;
    for c in name.chars() {
        match c {
            '_' => up = true,
            c => {
                out.push(if up { c.to_ascii_uppercase() } else { c });
                up = false;
            }
        }
    }
    out
}

const MALFORMED: &str = "is no FileDescriptorSet";

fn records(b: &[u8]) -> Result<Vec<wire::Record>, String> {
    let mut at = 0;
    let mut found = Vec::new();
    while at < b.len() {
        let r = wire::record(b, &mut at).ok_or(MALFORMED)?;
        found.push(r);
    }
    Ok(found)
}

/// The fields of a message and their bytes.
fn parts(b: &[u8]) -> Result<Vec<(u32, &[u8])>, String> {
    Ok(records(b)?.iter().map(|r| (r.number, &b[r.start..r.end])).collect())
}

fn text(b: &[u8]) -> Result<String, String> {
    String::from_utf8(b.to_vec()).map_err(|_| MALFORMED.into())
}

fn flag(b: &[u8], number: u32) -> Result<bool, String> {
    Ok(records(b)?.iter().any(|r| r.number == number && b[r.start] != 0))
}

/// The full name of a message or an enum.
fn named(b: &[u8], scope: &str) -> Result<String, String> {
    let name = records(b)?.iter().find(|r| r.number == 1).map(|r| text(&b[r.start..r.end])).ok_or(MALFORMED)??;
    Ok(if scope.is_empty() { name } else { format!("{}.{}", scope, name) })
}
