//! The answer to one message, for those behind it that are alike: a device's
//! readings come in runs. Weft writes what a run has in common once, so that the
//! same address says that it is the same.

use weft::{Attributes, Lent, Message, Type};

/// Where bytes lie, and how many.
type Place = (*const u8, usize);

#[inline(always)]
fn place(b: &[u8]) -> Place {
    (b.as_ptr(), b.len())
}

/// The names that rules look up, by their lengths, a bit for each: attributes with
/// names of other lengths make no difference to the answer.
#[derive(Clone, Copy, Default)]
pub struct Names(u64);

impl Names {
    pub fn add(&mut self, name: &str) {
        self.0 |= 1 << name.len().min(63);
    }

    /// The place of attributes that may make a difference; of others, nowhere.
    #[inline(always)]
    fn place(self, attributes: Attributes) -> Place {
        let mut rest = attributes.as_bytes();
        while let [n0, n1, v0, v1, tail @ ..] = rest {
            let name = u16::from_le_bytes([*n0, *n1]) as usize;
            if self.0 >> name.min(63) & 1 != 0 {
                return place(attributes.as_bytes());
            }
            rest = tail.get(name + u16::from_le_bytes([*v0, *v1]) as usize..).unwrap_or(&[]);
        }
        (core::ptr::null(), 0)
    }
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
    pub fn of(m: &Message, names: Names) -> Likeness {
        Likeness {
            call: m.call(),
            context: place(m.contexts().as_bytes()),
            attributes: names.place(m.attributes()),
            topic: place(m.topic_bytes()),
            listener: place(m.listener_bytes()),
            message_type: m.message_type(),
            priority: m.priority(),
        }
    }

    /// What differs most often comes first.
    #[inline(always)]
    fn is(&self, m: &Message, names: Names) -> bool {
        self.context == place(m.contexts().as_bytes())
            && self.call == m.call()
            && self.topic == place(m.topic_bytes())
            && self.listener == place(m.listener_bytes())
            && self.priority == m.priority()
            && self.message_type == m.message_type()
            && self.attributes == names.place(m.attributes())
    }
}

/// What became of the last message: its new topic, none if it went on unchanged.
#[derive(Default)]
pub struct Memo(Option<(Likeness, Option<Lent>)>);

impl Memo {
    /// The answer to a message that is like the last one.
    #[inline(always)]
    pub fn find(&self, m: &Message, names: Names) -> Option<Option<Lent>> {
        match &self.0 {
            Some((last, topic)) if last.is(m, names) => Some(*topic),
            _ => None,
        }
    }

    /// Keeps the answer to a message; `like` was taken before it was changed.
    #[inline(always)]
    pub fn keep(&mut self, like: Likeness, topic: Option<Lent>) {
        self.0 = Some((like, topic));
    }
}
