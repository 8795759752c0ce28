//! Why a host function failed.

use crate::abi;
use core::fmt;

/// Why a host function failed. A missing key is no error: it is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Outside the scope that the operator granted.
    Denied,
    /// Over a limit of the grant or of the contract.
    Limit,
    /// A malformed argument.
    Invalid,
    /// Compare-and-set: another revision is there.
    Conflict,
    /// The host could not do it.
    Failed,
    /// The deadline of an asynchronous call has passed.
    Timeout,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Error::Denied => "denied: outside the granted scope",
            Error::Limit => "over a limit",
            Error::Invalid => "invalid argument",
            Error::Conflict => "conflict: another revision is there",
            Error::Failed => "the host could not do it",
            Error::Timeout => "the deadline has passed",
        })
    }
}

impl std::error::Error for Error {}

/// None for "not found", the number itself if it is not negative.
pub(crate) fn found(status: i64) -> Result<Option<u64>, Error> {
    if status >= 0 {
        return Ok(Some(status as u64));
    }
    if status == abi::STATUS_NOT_FOUND as i64 {
        return Ok(None);
    }
    Err(from(status))
}

/// The number itself if it is not negative.
pub(crate) fn number(status: i64) -> Result<u64, Error> {
    if status >= 0 {
        return Ok(status as u64);
    }
    Err(from(status))
}

pub(crate) fn from(status: i64) -> Error {
    const DENIED: i64 = abi::STATUS_DENIED as i64;
    const LIMIT: i64 = abi::STATUS_LIMIT as i64;
    const INVALID: i64 = abi::STATUS_INVALID as i64;
    const CONFLICT: i64 = abi::STATUS_CONFLICT as i64;
    const TIMEOUT: i64 = abi::STATUS_TIMEOUT as i64;
    match status {
        DENIED => Error::Denied,
        LIMIT => Error::Limit,
        INVALID => Error::Invalid,
        CONFLICT => Error::Conflict,
        TIMEOUT => Error::Timeout,
        _ => Error::Failed,
    }
}
