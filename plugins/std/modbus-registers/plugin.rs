//! Answers Modbus requests from a map of registers.

mod map;
mod pdu;
#[path = "../settings.rs"]
mod settings;
mod store;

use map::{Config, Part};
use pdu::{Exception, Request};
use std::fmt::Write;
use store::Image;
use weft::{json, Emit, Message, Needs, Plugin, Type, Verdict, Writer};

const UNIT: &str = "unit";

struct ModbusRegisters {
    config: Config,
    images: Vec<(Option<u8>, Image)>,
}

impl Plugin for ModbusRegisters {
    fn init(config: &str) -> Result<Self, String> {
        let config = map::parse(config)?;
        let mut images: Vec<_> = config.units.iter().map(|u| (Some(*u), Image::new(Some(*u)))).collect();
        if images.is_empty() {
            images.push((None, Image::new(None)));
        }
        Ok(ModbusRegisters { config, images })
    }

    fn needs(&self) -> Needs {
        // One byte more than a PDU may have shows what is too long.
        Needs::none().attributes().payload(pdu::LONGEST as u32 + 1)
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        if m.emitted() || matches!(m.message_type(), Type::Response | Type::Ack) {
            return Verdict::Continue; // no request
        }
        let request = m.payload();
        let function = match request.first() {
            Some(function) => *function,
            None => return Verdict::drop("modbus: empty"),
        };
        let unit = match m.attribute(UNIT).map(number) {
            None => None,
            Some(None) => return Verdict::drop("modbus: bad unit"),
            Some(unit) => unit,
        };
        // Without a unit the first one is meant.
        let served = |u: &Option<u8>| u.is_none() || unit.is_none() || *u == unit;
        let at = match self.images.iter().position(|(u, _)| served(u)) {
            Some(at) => at,
            None => return Verdict::drop("modbus: another unit"),
        };
        let unit = unit.or(self.images[at].0).unwrap_or(1);
        match self.answer(m, at, unit, request) {
            Ok(answer) => Verdict::reply(answer),
            Err(e) => Verdict::reply(pdu::exception(function, e)),
        }
    }
}

impl ModbusRegisters {
    fn answer(&mut self, m: &mut Message, at: usize, unit: u8, bytes: &[u8]) -> Result<Writer, Exception> {
        let request = pdu::parse(bytes)?;
        let config = &self.config;
        let first = config.find(request.table, request.start, request.count).ok_or(Exception::Address)?;
        let range = first..first + request.count as usize;
        if request.values.is_some() && !config.registers[range.clone()].iter().all(|r| r.writable) {
            return Err(Exception::Address);
        }
        let image = &mut self.images[at].1;
        image.read(config).map_err(|_| Exception::Failure)?;
        match &request.values {
            None => Ok(pdu::values(bytes[0], request.table, &image.values[range])),
            Some(values) => {
                image.write(config, first, values).map_err(|_| Exception::Failure)?;
                publish(config, m, unit, bytes[0], first, &request);
                Ok(pdu::written(bytes))
            }
        }
    }
}

fn number(text: &[u8]) -> Option<u8> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// Tells who listens what was written: a JSON object of names and values.
fn publish(config: &Config, m: &mut Message, unit: u8, function: u8, first: usize, request: &Request) {
    let registers = &config.registers[first..];
    let mut topic = String::new();
    for part in &config.topic {
        let _ = match part {
            Part::Literal(text) => topic.write_str(text),
            Part::Unit => write!(topic, "{}", unit),
            Part::Name => topic.write_str(&registers[0].name),
        };
    }
    let mut payload = Writer::new();
    for (i, (register, value)) in registers.iter().zip(request.values.iter().flatten()).enumerate() {
        payload.push(if i == 0 { b"{" } else { b"," });
        let _ = json::quote(&register.name, &mut payload);
        let _ = match (request.table.is_bits(), value) {
            (true, v) => write!(payload, ":{}", *v == 1),
            (false, v) => write!(payload, ":{}", v),
        };
    }
    payload.push(b"}");
    let (unit, function) = (unit.to_string(), function.to_string());
    let attributes: &[(&str, &[u8])] = &[(UNIT, unit.as_bytes()), ("function", function.as_bytes())];
    m.emit(Emit { topic: &topic, payload: &payload, attributes, priority: m.priority(), qos: m.qos(), ..Emit::default() });
}

weft::plugin!(ModbusRegisters);
