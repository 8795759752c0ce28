//! What rules and templates name, and which values may become part of a topic.

use weft::Message;

/// Bytes of a value in a topic.
const MAX: usize = 1024;

/// Something that a message has.
#[derive(Clone, Debug, PartialEq)]
pub enum Name {
    Topic,
    Listener,
    /// A value of the session's context, or else an attribute: what a plugin has
    /// established about the session wins over what the sender says.
    Key(String),
}

impl Name {
    pub fn new(text: &str) -> Name {
        match text {
            "topic" => Name::Topic,
            "listener" => Name::Listener,
            key => Name::Key(key.into()),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Name::Topic => "topic",
            Name::Listener => "listener",
            Name::Key(key) => key,
        }
    }

    /// What the message has of this name.
    #[inline]
    pub fn of<'a>(&self, m: &Message<'a>) -> Option<&'a [u8]> {
        match self {
            Name::Key(key) => m.context(key).or_else(|| m.attribute(key)),
            Name::Topic => Some(m.topic_bytes()),
            Name::Listener => Some(m.listener().as_bytes()),
        }
    }

    /// The same, if it may be part of a topic. A topic itself may be one with
    /// its levels; any other value is a level or a part of one.
    #[inline]
    pub fn for_topic<'a>(&self, m: &Message<'a>) -> Option<&'a [u8]> {
        let v = self.of(m)?;
        let fits = match self {
            Name::Topic => !v.is_empty() && v.iter().all(|&c| c >= b' ' && c != 0x7f),
            _ => is_level(v),
        };
        if fits { Some(v) } else { None }
    }

    /// Why a message is dropped that has nothing for this name.
    #[cold]
    pub fn reason(&self) -> String {
        format!("topic: bad value of {}", self.text())
    }
}

/// Whether a value can stand in one level of a topic and in a line of
/// destinations: no separators, wildcards or control characters.
#[inline]
fn is_level(v: &[u8]) -> bool {
    let mut seen = 0;
    for &c in v {
        seen |= CLASSES[c as usize];
    }
    v.len().wrapping_sub(1) < MAX && (seen == PLAIN || seen == PLAIN | HIGH && core::str::from_utf8(v).is_ok())
}

const PLAIN: u8 = 0;
const HIGH: u8 = 1;
const BAD: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [PLAIN; 256];
    let mut c = 0;
    while c < 256 {
        if c >= 0x80 {
            classes[c] = HIGH;
        } else if c < 0x20 || c == 0x7f || matches!(c as u8, b'/' | b'+' | b'#' | b'*') {
            classes[c] = BAD;
        }
        c += 1;
    }
    classes
};

/// The text that was put together from texts and checked values.
pub fn text(b: &[u8]) -> &str {
    core::str::from_utf8(b).unwrap_or("")
}
