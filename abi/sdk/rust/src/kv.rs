//! The key-value store, with the operator's grant `kv`. It is common to all
//! instances of a plugin, and to plugins with the same namespace. Keys have at
//! most 1 KiB, values at most 1 MiB. A `ttl` of `None` is for ever.

use crate::abi;
use crate::error::{self, Error};
use crate::host;
use std::time::Duration;

fn milliseconds(ttl: Option<Duration>) -> i64 {
    match ttl {
        None => 0,
        Some(d) => d.as_millis().clamp(1, i64::MAX as u128) as i64,
    }
}

/// The value of a key.
pub fn get(key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, Error> {
    let key = key.as_ref();
    let mut value = vec![0; 256];
    loop {
        match get_into(key, &mut value)? {
            None => return Ok(None),
            Some(n) if n <= value.len() => {
                value.truncate(n);
                return Ok(Some(value));
            }
            Some(n) => value.resize(n, 0),
        }
    }
}

/// Copies the value of a key into `buffer` and gives its length. A length of
/// more than the buffer's says that it did not fit and nothing was copied.
pub fn get_into(key: impl AsRef<[u8]>, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
    error::found(host::kv_get(key.as_ref(), buffer)).map(|n| n.map(|n| n as usize))
}

/// Sets a key.
pub fn set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl: Option<Duration>) -> Result<(), Error> {
    error::number(host::kv_set(key.as_ref(), value.as_ref(), milliseconds(ttl)) as i64).map(|_| ())
}

/// The revision of a key, at least 1, for [`compare_and_set`].
pub fn revision(key: impl AsRef<[u8]>) -> Result<Option<u64>, Error> {
    error::found(host::kv_revision(key.as_ref()))
}

/// Sets a key only if its revision is still `revision` (0: only if there is no
/// such key), and gives the new revision. [`Error::Conflict`] if it is not.
pub fn compare_and_set(
    key: impl AsRef<[u8]>,
    revision: u64,
    value: impl AsRef<[u8]>,
    ttl: Option<Duration>,
) -> Result<u64, Error> {
    error::number(host::kv_cas(key.as_ref(), revision as i64, value.as_ref(), milliseconds(ttl)))
}

/// Removes a key; false if there was none.
pub fn delete(key: impl AsRef<[u8]>) -> Result<bool, Error> {
    error::found(host::kv_delete(key.as_ref()) as i64).map(|n| n.is_some())
}

/// Adds `delta` to a key's value, an 8-byte integer, as one step, and gives the
/// sum. A missing key counts as 0 and gets the `ttl`.
pub fn add(key: impl AsRef<[u8]>, delta: i64, ttl: Option<Duration>) -> Result<i64, Error> {
    let sum = host::kv_add(key.as_ref(), delta, milliseconds(ttl));
    // Sums may be negative: statuses are counted from the lowest number up.
    let status = sum.wrapping_sub(i64::MIN);
    if (0..=255).contains(&status) {
        return Err(match status {
            n if n == -(abi::STATUS_NOT_FOUND as i64) => Error::Failed,
            n => error::from(-n),
        });
    }
    Ok(sum)
}
