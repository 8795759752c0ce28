//! Cryptographically secure random bytes, with the operator's grant `random`.

use crate::abi;
use crate::error::{self, Error};
use crate::host;

/// Fills the slice.
pub fn fill(to: &mut [u8]) -> Result<(), Error> {
    for part in to.chunks_mut(abi::MAX_HOST_BYTES) {
        error::number(host::random(part) as i64)?;
    }
    Ok(())
}

/// A random number.
pub fn number() -> Result<u64, Error> {
    let mut b = [0; 8];
    fill(&mut b)?;
    Ok(u64::from_le_bytes(b))
}
