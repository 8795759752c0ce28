//! The answer to one message, for those behind it that are alike: a device's
//! readings come in runs. Weft writes what a run has in common once, so that the
//! same address says that it is the same.

use weft::{Lent, Message, Type};

/// Where bytes lie, and how many.
type Place = (*const u8, usize);

#[inline(always)]
fn place(b: &[u8]) -> Place {
    (b.as_ptr(), b.len())
}

/// All that rules look at: where it lies, not what it is.
pub struct Likeness {
    call: u32,
    context: Place,
    attributes: Place,
    topic: Place,
    listener: Place,
    message_type: Type,
    priority: u8,
}

impl Likeness {
    #[inline]
    pub fn of(m: &Message) -> Likeness {
        Likeness {
            call: m.call(),
            context: place(m.contexts().as_bytes()),
            attributes: place(m.attributes().as_bytes()),
            topic: place(m.topic_bytes()),
            listener: place(m.listener_bytes()),
            message_type: m.message_type(),
            priority: m.priority(),
        }
    }

    /// What differs most often comes first.
    #[inline(always)]
    fn is(&self, m: &Message) -> bool {
        self.context == place(m.contexts().as_bytes())
            && self.attributes == place(m.attributes().as_bytes())
            && self.call == m.call()
            && self.topic == place(m.topic_bytes())
            && self.listener == place(m.listener_bytes())
            && self.priority == m.priority()
            && self.message_type == m.message_type()
    }
}

/// What became of the last message: its new topic, none if it went on unchanged.
#[derive(Default)]
pub struct Memo(Option<(Likeness, Option<Lent>)>);

impl Memo {
    /// The answer to a message that is like the last one.
    #[inline(always)]
    pub fn find(&self, m: &Message) -> Option<Option<Lent>> {
        match &self.0 {
            Some((last, topic)) if last.is(m) => Some(*topic),
            _ => None,
        }
    }

    /// Keeps the answer to a message; `like` was taken before it was changed.
    #[inline(always)]
    pub fn keep(&mut self, like: Likeness, topic: Option<Lent>) {
        self.0 = Some((like, topic));
    }
}
