//! The time, with the operator's grant `clock`. A message's own time
//! ([`Message::time`](crate::Message::time)) costs no call.

use crate::host;

/// Nanoseconds since 1970-01-01 UTC.
#[inline]
pub fn wall() -> i64 {
    host::clock_wall()
}

/// Nanoseconds since an arbitrary moment, never going back.
#[inline]
pub fn monotonic() -> i64 {
    host::clock_monotonic()
}
