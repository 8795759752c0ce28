//! Buckets in weft's key-value store, which all loops share and which outlive the
//! plugin. A full one expires there.

use crate::bucket::{Answer, Limit};
use crate::key::{Key, KEY};
use std::time::Duration;
use weft::kv;
use weft::Error;

/// Others may have written in between: so often it is tried again.
const TRIES: u32 = 16;
const PREFIX: &[u8; 5] = b"rate/";

/// Takes tokens; none if the store cannot take the bucket (it is full), so that
/// the instance's own table must do.
pub fn take(key: &Key, cost: u64, now: i64, limit: &Limit) -> Option<Answer> {
    let mut name = [0; PREFIX.len() + KEY];
    name[..PREFIX.len()].copy_from_slice(PREFIX);
    name[PREFIX.len()..].copy_from_slice(key.bytes());
    let name = &name[..];
    for _ in 0..TRIES {
        let revision = kv::revision(name).ok()?.unwrap_or(0);
        let mut value = [0; 8];
        let full_at = match (revision, kv::get_into(name, &mut value)) {
            (0, _) | (_, Ok(None)) => 0,
            (_, Ok(Some(8))) => i64::from_le_bytes(value),
            _ => return None, // not of this plugin
        };
        let (answer, full_at) = limit.take(full_at, cost, now);
        if answer != Answer::Passes {
            return Some(answer);
        }
        let lives = Duration::from_nanos((full_at - now) as u64) + Duration::from_secs(1);
        match kv::compare_and_set(name, revision, full_at.to_le_bytes(), Some(lives)) {
            Ok(_) => return Some(answer),
            Err(Error::Conflict) => continue,
            Err(_) => return None,
        }
    }
    Some(Answer::Over)
}
