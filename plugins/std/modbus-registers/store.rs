//! The registers' values, kept in weft's key-value store: one value for each unit,
//! which lists what was ever written. So a write of several registers is one step
//! for everybody, and a map with other registers takes over those that it has.

use crate::map::{Config, Register, Table};
use weft::{kv, Error};

/// Table, address and value.
const ENTRY: usize = 5;
const TRIES: u32 = 16;

/// The values of a unit as they were at a revision.
pub struct Image {
    key: Vec<u8>,
    /// None: not read yet.
    revision: Option<u64>,
    pub values: Vec<u16>,
    /// What the store holds at that revision, what this map does not have included.
    state: Vec<u8>,
    /// For each register one more than where in it its entry begins; 0 for none.
    places: Vec<u32>,
}

impl Image {
    /// The values of a unit; none: of all units.
    pub fn new(unit: Option<u8>) -> Image {
        let key = match unit {
            Some(n) => format!("modbus/{}", n),
            None => "modbus/all".into(),
        };
        Image { key: key.into_bytes(), revision: None, values: Vec::new(), state: Vec::new(), places: Vec::new() }
    }

    /// Brings the values up to date.
    pub fn read(&mut self, config: &Config) -> Result<(), Error> {
        let revision = kv::revision(&self.key)?.unwrap_or(0);
        if self.revision == Some(revision) {
            return Ok(());
        }
        self.state = match revision {
            0 => Vec::new(),
            _ => kv::get(&self.key)?.unwrap_or_default(),
        };
        self.values.clear();
        self.values.extend(config.registers.iter().map(|r| r.value));
        self.places.clear();
        self.places.resize(config.registers.len(), 0);
        for (n, entry) in self.state.chunks(ENTRY).enumerate() {
            let [table, a0, a1, v0, v1] = <[u8; ENTRY]>::try_from(entry).map_err(|_| Error::Failed)?;
            if let Some(i) = index(&config.registers, table, u16::from_le_bytes([a0, a1])) {
                self.values[i] = u16::from_le_bytes([v0, v1]);
                self.places[i] = (n * ENTRY) as u32 + 1;
            }
        }
        self.revision = Some(revision);
        Ok(())
    }

    /// Writes registers in a row from an index on. The values were read before.
    pub fn write(&mut self, config: &Config, first: usize, values: &[u16]) -> Result<(), Error> {
        for _ in 0..TRIES {
            // Until it is stored nobody knows of it, this instance neither.
            let revision = self.revision.take().unwrap_or(0);
            for (i, value) in values.iter().enumerate() {
                self.put(&config.registers[first + i], first + i, *value);
            }
            match kv::compare_and_set(&self.key, revision, &self.state, None) {
                Ok(revision) => {
                    self.revision = Some(revision);
                    return Ok(());
                }
                Err(Error::Conflict) => self.read(config)?,
                Err(e) => return Err(e),
            }
        }
        Err(Error::Conflict)
    }

    fn put(&mut self, register: &Register, at: usize, value: u16) {
        self.values[at] = value;
        let (a, v) = (register.address.to_le_bytes(), value.to_le_bytes());
        match self.places[at] {
            0 => {
                self.places[at] = self.state.len() as u32 + 1;
                self.state.extend([register.table as u8, a[0], a[1], v[0], v[1]]);
            }
            place => self.state[place as usize + 2..place as usize + 4].copy_from_slice(&v),
        }
    }
}

/// A register that can be written; one that no longer can keeps what it has.
fn index(registers: &[Register], table: u8, address: u16) -> Option<usize> {
    let at = registers.binary_search_by_key(&(table, address), |r| (r.table as u8, r.address)).ok()?;
    Some(at).filter(|i| registers[*i].writable && matches!(registers[*i].table, Table::Coils | Table::Holding))
}
