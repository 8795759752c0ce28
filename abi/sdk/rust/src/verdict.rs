//! What a plugin decides about a message.

use crate::arena::{self, Lent};
use crate::content::Content;

/// A plugin's decision about one message. The variants that carry bytes are
/// made by the functions of the same name.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// The message, as changed, goes to the next plugin, and after the last one
    /// to the configured routes.
    Continue,
    /// The message ends; see [`Verdict::drop`].
    Drop(Lent),
    /// The message ends and is answered; see [`Verdict::reply`].
    Reply(Lent),
    /// The chain ends and the message goes where it is told; see [`Verdict::route`].
    Route(Lent),
    /// The message ends and its session is closed; see [`Verdict::close`].
    Close(Lent),
    /// The message waits for the asynchronous call with this token.
    Pause(u64),
}

impl Verdict {
    /// Ends the message. The reason (at most 256 bytes) is counted and logged by
    /// weft: use few different ones.
    #[inline]
    pub fn drop(reason: impl Content) -> Verdict {
        Verdict::Drop(reason.place())
    }

    /// Ends the message and sends `payload` to its session as a response with
    /// the message's sequence id, priority, topic and attributes.
    #[inline]
    pub fn reply(payload: impl Content) -> Verdict {
        Verdict::Reply(payload.place())
    }

    /// Ends the chain and sends the message to each of the destinations instead
    /// of the configured routes: `subscribers`, `topic:NAME`, `node:NAME`, `all`,
    /// `queue:NAME`, `upstream:NAME`, `reply`, `dead-letter`.
    #[inline]
    pub fn route<T: AsRef<[u8]>>(destinations: &[T]) -> Verdict {
        let total: usize = destinations.iter().map(|d| d.as_ref().len() + 1).sum();
        let address = arena::take(total as u32, 1);
        let mut at = address;
        for (i, d) in destinations.iter().enumerate() {
            if i > 0 {
                arena::copy(b"\n", at);
                at += 1;
            }
            arena::copy(d.as_ref(), at);
            at += d.as_ref().len() as u32;
        }
        Verdict::Route(Lent { address, length: at - address })
    }

    /// Ends the message and closes its session once what was sent before has
    /// left. The reason is at most 256 bytes long.
    #[inline]
    pub fn close(reason: impl Content) -> Verdict {
        Verdict::Close(reason.place())
    }
}
