//! Who may speak to the listeners in whose chains the plugin stands, with the
//! operator's grant `filter`. A rule is enforced before a byte becomes a message, in
//! the kernel where weft can, and ends by itself.
//!
//! A source is the text of an address, with or without a port, as the attribute
//! `peer` has it in `open`. A `ttl` of `None` is the operator's longest; one beyond
//! it, more sources at once or more changes a second than granted are
//! [`Error::Limit`], and nothing changes.

use crate::abi;
use crate::error::{self, Error};
use crate::host;
use crate::message::Message;
use core::fmt;
use std::time::Duration;

/// The address that a session's messages come from.
#[derive(Clone, Copy)]
pub struct Source {
    text: [u8; abi::MAX_SOURCE],
    length: usize,
}

impl Source {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..self.length]).unwrap_or("")
    }
}

impl AsRef<str> for Source {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

fn milliseconds(ttl: Option<Duration>) -> i64 {
    match ttl {
        None => 0,
        Some(d) => d.as_millis().clamp(1, i64::MAX as u128) as i64,
    }
}

/// Where the message's session comes from; `None` if it has no session, or that is
/// gone.
pub fn source(m: &Message) -> Result<Option<Source>, Error> {
    let mut text = [0; abi::MAX_SOURCE];
    let length = match error::found(host::filter_source(m.session(), &mut text))? {
        None => return Ok(None),
        Some(n) => n as usize,
    };
    if length > text.len() {
        return Err(Error::Failed);
    }
    Ok(Some(Source { text, length }))
}

/// Lets nothing in that comes from the source.
pub fn block(source: impl AsRef<str>, ttl: Option<Duration>) -> Result<(), Error> {
    error::number(host::filter_block(source.as_ref().as_bytes(), milliseconds(ttl)) as i64).map(|_| ())
}

/// Lets nothing in that comes from where this message came from; false if it has no
/// session, or that is gone.
pub fn block_source(m: &Message, ttl: Option<Duration>) -> Result<bool, Error> {
    match source(m)? {
        None => Ok(false),
        Some(source) => block(source, ttl).map(|()| true),
    }
}

/// Lets in what comes from the source.
pub fn allow(source: impl AsRef<str>, ttl: Option<Duration>) -> Result<(), Error> {
    error::number(host::filter_allow(source.as_ref().as_bytes(), milliseconds(ttl)) as i64).map(|_| ())
}

/// Takes back what the plugin has said of the source; false if that is nothing.
pub fn unblock(source: impl AsRef<str>) -> Result<bool, Error> {
    error::found(host::filter_unblock(source.as_ref().as_bytes()) as i64).map(|n| n.is_some())
}
