//! Requests and answers of the MODBUS Application Protocol V1.1b3, without what
//! carries them: a PDU begins with the function code.

use crate::map::Table;
use weft::Writer;

/// The most bytes of a PDU (section 4.1).
pub const LONGEST: usize = 253;

/// Exception codes (section 7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exception {
    Function = 1,
    Address = 2,
    /// Also for a length that does not fit.
    Value = 3,
    Failure = 4,
}

/// What a PDU asks for.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub table: Table,
    pub start: u16,
    pub count: u16,
    /// What is to be written: register values, or 0 and 1.
    pub values: Option<Vec<u16>>,
}

/// Reads a request. The order is that of the state diagrams in section 6: the
/// function code, then quantities and lengths; addresses come later.
pub fn parse(pdu: &[u8]) -> Result<Request, Exception> {
    match pdu[0] {
        1 => read(Table::Coils, 2000, pdu),
        2 => read(Table::Discrete, 2000, pdu),
        3 => read(Table::Holding, 125, pdu),
        4 => read(Table::Input, 125, pdu),
        5 => match fixed(pdu)? {
            (start, 0x0000) => Ok(write(Table::Coils, start, vec![0])),
            (start, 0xff00) => Ok(write(Table::Coils, start, vec![1])),
            _ => Err(Exception::Value),
        },
        6 => fixed(pdu).map(|(start, value)| write(Table::Holding, start, vec![value])),
        15 => {
            let (start, count, bytes) = several(pdu, 0x7b0, |count| (count + 7) / 8)?;
            let bit = |i: usize| (bytes[i / 8] >> (i % 8) & 1) as u16;
            Ok(write(Table::Coils, start, (0..count as usize).map(bit).collect()))
        }
        16 => {
            let (start, _, bytes) = several(pdu, 0x7b, |count| count * 2)?;
            Ok(write(Table::Holding, start, bytes.chunks(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect()))
        }
        _ => Err(Exception::Function),
    }
}

/// The two numbers of a request that has no more.
fn fixed(pdu: &[u8]) -> Result<(u16, u16), Exception> {
    match pdu {
        [_, a, b, c, d] => Ok((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
        _ => Err(Exception::Value),
    }
}

fn read(table: Table, most: u16, pdu: &[u8]) -> Result<Request, Exception> {
    match fixed(pdu)? {
        (start, count) if (1..=most).contains(&count) => Ok(Request { table, start, count, values: None }),
        _ => Err(Exception::Value),
    }
}

fn write(table: Table, start: u16, values: Vec<u16>) -> Request {
    Request { table, start, count: values.len() as u16, values: Some(values) }
}

/// Address, quantity and values of a request to write several.
fn several(pdu: &[u8], most: u16, length: fn(u16) -> u16) -> Result<(u16, u16, &[u8]), Exception> {
    if pdu.len() < 6 {
        return Err(Exception::Value);
    }
    let (start, count) = fixed(&pdu[..5])?;
    let (bytes, values) = (pdu[5] as u16, &pdu[6..]);
    if !(1..=most).contains(&count) || bytes != length(count) || values.len() != bytes as usize {
        return Err(Exception::Value);
    }
    Ok((start, count, values))
}

/// The answer to a request to read: packed bits, or registers.
pub fn values(function: u8, table: Table, values: &[u16]) -> Writer {
    let mut pdu = Writer::new();
    if !table.is_bits() {
        pdu.push(&[function, (values.len() * 2) as u8]);
        for v in values {
            pdu.push(&v.to_be_bytes());
        }
        return pdu;
    }
    pdu.push(&[function, ((values.len() + 7) / 8) as u8]);
    for bits in values.chunks(8) {
        pdu.push(&[bits.iter().rev().fold(0, |byte, bit| byte << 1 | *bit as u8)]);
    }
    pdu
}

/// The answer to a request to write, which is its beginning.
pub fn written(pdu: &[u8]) -> Writer {
    let mut answer = Writer::new();
    answer.push(&pdu[..5]);
    answer
}

/// The answer to a request that failed.
pub fn exception(function: u8, e: Exception) -> Writer {
    let mut answer = Writer::new();
    answer.push(&[function | 0x80, e as u8]);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_quantities() {
        for (pdu, want) in [
            (&[0u8][..], Exception::Function),
            (&[7], Exception::Function),
            (&[0x83, 0, 0, 0, 1], Exception::Function),
            (&[3], Exception::Value),
            (&[3, 0, 0, 0], Exception::Value),
            (&[3, 0, 0, 0, 1, 0], Exception::Value),
            (&[3, 0, 0, 0, 0], Exception::Value),
            (&[3, 0, 0, 0, 126], Exception::Value),
            (&[1, 0, 0, 0x07, 0xd1], Exception::Value),
            (&[5, 0, 0, 0, 1], Exception::Value),
            (&[5, 0, 0, 0xff, 1], Exception::Value),
            (&[15, 0, 0, 0, 9, 1, 0], Exception::Value),
            (&[15, 0, 0, 0, 9, 2, 0], Exception::Value),
            (&[16, 0, 0, 0, 1, 2, 0], Exception::Value),
            (&[16, 0, 0, 0, 1, 1, 0], Exception::Value),
            (&[16, 0, 0, 0, 0, 0], Exception::Value),
            (&[16, 0, 0, 0, 1], Exception::Value),
        ] {
            assert_eq!(parse(pdu), Err(want), "{:?}", pdu);
        }
    }

    // The examples of sections 6.11 and 6.12.
    #[test]
    fn several_values() {
        let bits = parse(&[15, 0, 0x13, 0, 0x0a, 2, 0xcd, 0x01]).unwrap();
        assert_eq!((bits.start, bits.values.unwrap()), (0x13, vec![1, 0, 1, 1, 0, 0, 1, 1, 1, 0]));
        let registers = parse(&[16, 0, 1, 0, 2, 4, 0, 0x0a, 1, 2]).unwrap();
        assert_eq!((registers.start, registers.values.unwrap()), (1, vec![0x0a, 0x0102]));
    }
}
