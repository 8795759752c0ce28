//! The registers that there are, and what they begin with.

use crate::settings::{wrong, Settings};
use weft::json::{Kind, Value};

const KEYS: &[&str] = &["registers", "units", "topic"];
const REGISTER: &[&str] = &["at", "name", "value", "count", "writable"];
const MOST_REGISTERS: usize = 16_384;

/// The four tables (section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    Coils = 0,
    Discrete = 1,
    Input = 3,
    Holding = 4,
}

impl Table {
    pub fn is_bits(self) -> bool {
        matches!(self, Table::Coils | Table::Discrete)
    }

    fn writable(self) -> bool {
        matches!(self, Table::Coils | Table::Holding)
    }
}

pub struct Register {
    pub table: Table,
    pub address: u16,
    pub name: String,
    /// What it holds until it is written.
    pub value: u16,
    pub writable: bool,
}

pub struct Config {
    /// In order of their tables and addresses.
    pub registers: Vec<Register>,
    /// The units that are answered for, each with values of its own; none: every
    /// unit, with the same values.
    pub units: Vec<u8>,
    /// Where writes are published, split at its placeholders.
    pub topic: Vec<Part>,
}

pub enum Part {
    Literal(String),
    Unit,
    Name,
}

impl Config {
    /// The index of the first of `count` registers in a row.
    pub fn find(&self, table: Table, start: u16, count: u16) -> Option<usize> {
        let first = self.registers.binary_search_by_key(&(table, start), |r| (r.table, r.address)).ok()?;
        let last = self.registers.get(first + count as usize - 1)?;
        // They are in order: the last is where it must be if none is missing.
        if last.table == table && last.address as usize == start as usize + count as usize - 1 {
            Some(first)
        } else {
            None
        }
    }
}

pub fn parse(text: &str) -> Result<Config, String> {
    let s = Settings::new(text, KEYS)?;
    let list = match s.get("registers") {
        Some(v) if v.kind() == Kind::Array && v.items().next().is_some() => v,
        found => return Err(wrong("registers", found, "an array of registers")),
    };
    let mut registers = Vec::new();
    for (i, v) in list.items().enumerate() {
        add(v, format!("registers[{}]", i), &mut registers)?;
    }
    registers.sort_by_key(|r| (r.table, r.address));
    for pair in registers.windows(2) {
        if (pair[0].table, pair[0].address) == (pair[1].table, pair[1].address) {
            return Err(format!("registers: \"{}\" and \"{}\" are the same one", pair[0].name, pair[1].name));
        }
    }
    let mut names: Vec<&str> = registers.iter().map(|r| r.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|p| p[0] == p[1]) {
        return Err(format!("registers: two are called \"{}\"", pair[0]));
    }
    Ok(Config { registers, units: units(&s)?, topic: topic(&s)? })
}

fn add(v: Value, place: String, to: &mut Vec<Register>) -> Result<(), String> {
    let s = Settings::of(v, place, REGISTER)?;
    let (table, address, reference) = at(&s)?;
    let count = s.number("count", 1, 65536)?.unwrap_or(1) as usize;
    if address as usize + count > 65536 || to.len() + count > MOST_REGISTERS {
        return Err(format!("{}: expected registers up to address 65535, and at most {} in all", s.path("count"), MOST_REGISTERS));
    }
    let value = match (s.get("value"), table.is_bits()) {
        (None, _) => 0,
        (Some(v), true) if v.bool().is_some() => v.bool().unwrap_or(false) as u16,
        (Some(_), true) => s.number("value", 0, 1)?.unwrap_or(0) as u16,
        (Some(_), false) => s.number("value", -32768, 65535)?.unwrap_or(0) as u16,
    };
    let writable = s.flag("writable")?;
    if writable == Some(true) && !table.writable() {
        return Err(format!("{}: is true, but nobody can write to discrete inputs and input registers", s.path("writable")));
    }
    let name = s.text("name")?.unwrap_or(reference);
    if name.is_empty() || name.len() > 64 || name.bytes().any(|c| c < 0x20 || matches!(c, b'/' | b'+' | b'#' | b'*')) {
        return Err(format!("{}: expected 1 to 64 bytes without '/', '+', '#' and '*', found \"{}\"", s.path("name"), name));
    }
    for i in 0..count {
        let name = if count == 1 { name.clone() } else { format!("{}.{}", name, i) };
        to.push(Register { table, address: address + i as u16, name, value, writable: writable.unwrap_or(table.writable()) });
    }
    Ok(())
}

/// `40001`, `400001`, or `"holding:0"`: table, address, and how it is called.
fn at(s: &Settings) -> Result<(Table, u16, String), String> {
    const EXPECTED: &str = "a number like 40001 (or 1, 10001, 30001), or \"holding:0\" (coil, discrete, input)";
    let v = s.get("at");
    let fail = || wrong(&s.path("at"), v, EXPECTED);
    let found = v.ok_or_else(fail)?;
    if let Some(text) = found.string() {
        let (table, address) = text.split_once(':').ok_or_else(fail)?;
        let table = match table {
            "coil" => Table::Coils,
            "discrete" => Table::Discrete,
            "input" => Table::Input,
            "holding" => Table::Holding,
            _ => return Err(fail()),
        };
        return Ok((table, address.parse().map_err(|_| fail())?, text.replace(':', "-")));
    }
    let n = found.i64().ok_or_else(fail)?;
    let (table, number) = match n {
        1..=9_999 => (Table::Coils, n),
        10_001..=19_999 => (Table::Discrete, n - 10_000),
        30_001..=39_999 => (Table::Input, n - 30_000),
        40_001..=49_999 => (Table::Holding, n - 40_000),
        100_001..=165_536 => (Table::Discrete, n - 100_000),
        300_001..=365_536 => (Table::Input, n - 300_000),
        400_001..=465_536 => (Table::Holding, n - 400_000),
        _ => return Err(fail()),
    };
    Ok((table, (number - 1) as u16, n.to_string()))
}

fn units(s: &Settings) -> Result<Vec<u8>, String> {
    let list = match s.get("units") {
        None => return Ok(Vec::new()),
        Some(v) if v.kind() == Kind::Array => v,
        Some(v) => return Err(wrong("units", Some(v), "an array of numbers from 0 to 255")),
    };
    let unit = |(i, v): (usize, Value)| match v.i64() {
        Some(n @ 0..=255) => Ok(n as u8),
        _ => Err(wrong(&format!("units[{}]", i), Some(v), "a number from 0 to 255")),
    };
    list.items().enumerate().map(unit).collect()
}

fn topic(s: &Settings) -> Result<Vec<Part>, String> {
    let text = s.text("topic")?.unwrap_or_else(|| "modbus/{unit}/{name}".into());
    let bad = || format!("topic: expected 1 to 256 bytes, with {{unit}} and {{name}} but no other placeholders and no wildcards, found \"{}\"", text);
    if text.is_empty() || text.len() > 256 || text.bytes().any(|c| c < 0x20 || matches!(c, b'+' | b'#' | b'*')) {
        return Err(bad());
    }
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c| matches!(c, '{' | '}')) {
        parts.push(Part::Literal(rest[..at].into()));
        rest = &rest[at..];
        let (part, length) = match rest {
            r if r.starts_with("{unit}") => (Part::Unit, 6),
            r if r.starts_with("{name}") => (Part::Name, 6),
            _ => return Err(bad()),
        };
        parts.push(part);
        rest = &rest[length..];
    }
    parts.push(Part::Literal(rest.into()));
    Ok(parts)
}
