//! What an answer can be made of, and the writer that makes one piece by piece.

use crate::arena::{self, Lent};
use crate::memory;
use core::fmt;
use core::ops::Deref;

/// Bytes for an answer: a topic, a payload, a reason. Strings, byte slices,
/// vectors, arrays of strings or slices (which are joined) and a [`Writer`].
/// A writer, and any slice of the message itself, is passed on without copying;
/// everything else is copied once.
///
/// ```
/// # fn f(m: &mut weft::Message) {
/// m.set_topic("alarm/7");
/// m.set_topic(["alarm/", m.context_str("identity").unwrap_or("nobody")]);
/// m.set_payload(format!("{} bytes", m.payload().len()));
/// # }
/// ```
pub trait Content {
    /// Puts the bytes where the host finds them until the next call.
    fn place(self) -> Lent;
}

impl Content for Lent {
    #[inline(always)]
    fn place(self) -> Lent {
        self
    }
}

macro_rules! as_bytes {
    ($($t:ty),*) => {$(
        impl Content for $t {
            #[inline]
            fn place(self) -> Lent {
                arena::lend(AsRef::<[u8]>::as_ref(&self))
            }
        }
    )*};
}
as_bytes!(&str, &[u8], &String, &Vec<u8>, String, Vec<u8>);

impl<const N: usize> Content for &[u8; N] {
    #[inline]
    fn place(self) -> Lent {
        arena::lend(self)
    }
}

impl<T: AsRef<[u8]> + Copy, const N: usize> Content for [T; N] {
    #[inline]
    fn place(self) -> Lent {
        join(&self)
    }
}

impl Content for &[&str] {
    #[inline]
    fn place(self) -> Lent {
        join(self)
    }
}

impl Content for &[&[u8]] {
    #[inline]
    fn place(self) -> Lent {
        join(self)
    }
}

fn join<T: AsRef<[u8]>>(parts: &[T]) -> Lent {
    let length: usize = parts.iter().map(|p| p.as_ref().len()).sum();
    let address = arena::take(length as u32, 1);
    let mut at = address;
    for p in parts {
        let p = p.as_ref();
        arena::copy(p, at);
        at += p.len() as u32;
    }
    Lent { address, length: length as u32 }
}

/// Builds bytes where the host can read them, so that the result is not copied
/// again. Also takes `write!`. It belongs to the call that it was made in.
///
/// ```
/// use std::fmt::Write;
/// # fn f(m: &mut weft::Message) {
/// let mut w = weft::Writer::new();
/// w.push(b"{\"celsius\":");
/// let _ = write!(w, "{:.1}", 4.5);
/// w.push(b"}");
/// m.set_payload(w);
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    address: u32,
    length: u32,
    room: u32,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, b: &[u8]) {
        let n = b.len() as u32;
        if self.room - self.length < n {
            self.grow(n);
        }
        arena::copy(b, self.address + self.length);
        self.length += n;
    }

    fn grow(&mut self, more: u32) {
        let room = (self.length + more).max(self.room * 2).max(64);
        if self.room > 0 && arena::resize(self.address, self.room, room) {
            self.room = room;
            return;
        }
        let address = arena::take(room, 1);
        arena::copy(self, address);
        self.address = address;
        self.room = room;
    }
}

impl Deref for Writer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        unsafe { memory::bytes(self.address, self.length) }
    }
}

impl fmt::Write for Writer {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s.as_bytes());
        Ok(())
    }
}

impl Content for Writer {
    fn place(self) -> Lent {
        arena::resize(self.address, self.room, self.length);
        Lent { address: self.address, length: self.length }
    }
}
