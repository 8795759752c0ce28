//! HTTP requests, with the operator's grant `http`, which names the hosts. A
//! request takes its time: it gives a token at once, the message pauses for it,
//! and comes back to [`Plugin::resume`](crate::Plugin::resume) with the answer.
//!
//! ```
//! use weft::{http, Message, Plugin, Verdict};
//!
//! struct Guard;
//!
//! impl Plugin for Guard {
//!     fn init(_: &str) -> Result<Self, String> { Ok(Guard) }
//!
//!     fn message(&mut self, m: &mut Message) -> Verdict {
//!         match http::get("https://api.example.org/allowed") {
//!             Ok(token) => Verdict::Pause(token),
//!             Err(_) => Verdict::drop("nobody to ask"),
//!         }
//!     }
//!
//!     fn resume(&mut self, m: &mut Message) -> Verdict {
//!         match m.answer().http() {
//!             Ok(r) if r.status == 200 => Verdict::Continue,
//!             Ok(_) => Verdict::drop("not allowed"),
//!             Err(_) => Verdict::drop("no answer"),
//!         }
//!     }
//! }
//! ```
//!
//! The hook has to be exported: `weft::plugin!(Guard, hooks: [resume]);`

use crate::abi;
use crate::attributes::Attributes;
use crate::error::{self, Error};
use crate::host;
use crate::message::Answer;
use std::time::Duration;

/// Begins a GET. The token to pause with.
pub fn get(url: &str) -> Result<u64, Error> {
    Request::new("GET", url).send()
}

/// Begins a POST of a body of this content type. The token to pause with.
pub fn post(url: &str, content_type: &str, body: impl AsRef<[u8]>) -> Result<u64, Error> {
    Request::new("POST", url).header("content-type", content_type).body(body).send()
}

/// A request. Its URL is absolute and ASCII.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    method: &'a str,
    url: &'a str,
    header: Vec<u8>,
    body: Vec<u8>,
    deadline: i64,
    valid: bool,
}

impl<'a> Request<'a> {
    /// A request without a header or a body.
    pub fn new(method: &'a str, url: &'a str) -> Request<'a> {
        Request { method, url, header: Vec::new(), body: Vec::new(), deadline: 0, valid: true }
    }

    /// The same with one more field in its header. Those of the connection
    /// (`host`, `content-length` and so on) are the host's.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.valid &= !name.is_empty() && name.len() <= abi::MAX_ATTRIBUTE && value.len() <= abi::MAX_ATTRIBUTE;
        if self.valid {
            self.header.extend_from_slice(&(name.len() as u16).to_le_bytes());
            self.header.extend_from_slice(&(value.len() as u16).to_le_bytes());
            self.header.extend_from_slice(name.as_bytes());
            self.header.extend_from_slice(value);
        }
        self
    }

    /// The same with this body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The same with a shorter deadline than the operator's.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after.as_millis().clamp(1, i64::MAX as u128) as i64;
        self
    }

    /// Begins it. The token to pause with.
    pub fn send(&self) -> Result<u64, Error> {
        if !self.valid {
            return Err(Error::Invalid);
        }
        let (method, url) = (self.method.as_bytes(), self.url.as_bytes());
        error::number(host::http_send(method, url, &self.header, &self.body, self.deadline))
    }
}

/// What a server has answered, whatever it said.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The status code, 200 to 599.
    pub status: u16,
    /// The header: names in lower case. Bytes that are no UTF-8 stay as they are.
    pub header: Attributes<'a>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The answer of a request: an error where there is none.
    /// [`Error::Denied`]: it was redirected to a host that is not granted.
    /// [`Error::Limit`]: it is too large. [`Error::Timeout`]: it took too long.
    pub fn http(&self) -> Result<Response<'a>, Error> {
        error::number(self.status as i64)?;
        let word = |at: usize| {
            let bytes = self.bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        let status = word(abi::ANSWER_HTTP_STATUS).ok_or(Error::Failed)?;
        let length = word(abi::ANSWER_HTTP_HEADER).ok_or(Error::Failed)? as usize;
        let rest = &self.bytes[abi::ANSWER_HTTP_SIZE..];
        if length > rest.len() {
            return Err(Error::Failed);
        }
        let (header, body) = rest.split_at(length);
        Ok(Response { status: status as u16, header: Attributes::new(header), body })
    }
}
