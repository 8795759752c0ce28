//! What buckets are told apart by: a text with placeholders, filled in for each
//! message.

use crate::sha256::{Sha256, SIZE};
use weft::{Message, Needs};

/// A key's bytes: its length, and the text itself or, if that is longer, its hash.
pub const KEY: usize = 1 + SIZE;
const HASHED: u8 = 255;
const SESSION: u8 = 254;
const MOST_PARTS: usize = 16;
const MOST_LEVELS: usize = 64;

/// The template of keys.
pub struct Template {
    parts: Vec<Part>,
    /// The sessions' numbers alone.
    session: bool,
}

enum Part {
    Literal(String),
    Session,
    Topic,
    Listener,
    /// A level of the topic, from 0.
    Level(usize),
    /// The session's context, then the message's attributes.
    Named(String),
}

impl Template {
    pub fn new(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (literal, placeholder) = rest.split_at(at);
            let end = placeholder.find('}').ok_or_else(|| format!("a lone {{ in \"{}\"", text))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.into()));
            }
            parts.push(Part::new(&placeholder[1..end])?);
            rest = &placeholder[end + 1..];
        }
        if rest.contains('}') || parts.len() > MOST_PARTS {
            return Err(format!("expected a text with at most {} placeholders like {{session}}, found \"{}\"", MOST_PARTS / 2, text));
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        if parts.is_empty() {
            return Err("expected a text like {session}, found an empty one".into());
        }
        let session = matches!(parts[..], [Part::Session]);
        Ok(Template { parts, session })
    }

    pub fn needs(&self, needs: Needs) -> Needs {
        self.parts.iter().fold(needs, |needs, part| match part {
            Part::Literal(_) | Part::Session => needs,
            Part::Topic | Part::Level(_) => needs.topic(),
            Part::Listener => needs.listener(),
            Part::Named(_) => needs.context().attributes(),
        })
    }

    /// Whether the address that sessions come from is a part.
    pub fn source(&self) -> bool {
        self.parts.iter().any(|p| matches!(p, Part::Named(n) if n == crate::SOURCE))
    }
}

impl Part {
    fn new(name: &str) -> Result<Part, String> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(format!("{{{}}} is no placeholder; expected a name of letters, digits, '_', '-' and '.'", name));
        }
        Ok(match (name, name.strip_prefix("topic.")) {
            ("session", _) => Part::Session,
            ("topic", _) => Part::Topic,
            ("listener", _) => Part::Listener,
            (_, Some(n)) => match n.parse() {
                Ok(n) if (1..=MOST_LEVELS).contains(&n) => Part::Level(n - 1),
                _ => return Err(format!("{{{}}}: expected the number of a level from 1 to {}", name, MOST_LEVELS)),
            },
            _ => Part::Named(name.into()),
        })
    }

    /// The value; a missing one is empty: who has none shares one bucket.
    fn value<'a>(&'a self, m: &Message<'a>) -> &'a [u8] {
        match self {
            Part::Literal(text) => text.as_bytes(),
            Part::Topic => m.topic_bytes(),
            Part::Listener => m.listener_bytes(),
            Part::Level(n) => m.topic_bytes().split(|c| *c == b'/').nth(*n).unwrap_or(&[]),
            Part::Named(name) => m.context(name).or_else(|| m.attribute(name)).unwrap_or(&[]),
            Part::Session => &[], // a number, written apart
        }
    }
}

/// The key of one message.
pub struct Key([u8; KEY]);

impl Key {
    #[inline]
    pub fn of(template: &Template, m: &Message) -> Key {
        if template.session {
            let mut key = [0; KEY];
            key[0] = SESSION;
            key[1..9].copy_from_slice(&m.session().to_le_bytes());
            return Key(key);
        }
        if let [part] = &template.parts[..] {
            return Key::text(part.value(m));
        }
        Key::joined(&template.parts, m)
    }

    /// Several values, each behind its length: no two lists give the same text.
    fn joined(parts: &[Part], m: &Message) -> Key {
        let mut text = [0; SIZE];
        let mut n = 0;
        let mut long: Option<Sha256> = None;
        let mut add = |b: &[u8]| {
            if let (None, Some(room)) = (&long, text.get_mut(n..n + b.len())) {
                room.copy_from_slice(b);
                n += b.len();
                return;
            }
            long.get_or_insert_with(|| {
                let mut hash = Sha256::new();
                hash.update(&text[..n]);
                hash
            })
            .update(b);
        };
        for part in parts {
            let number = m.session().to_le_bytes();
            match part {
                Part::Literal(_) => continue, // the same for all
                Part::Session => add(&number),
                part => {
                    let value = part.value(m);
                    add(&(value.len() as u32).to_le_bytes());
                    add(value);
                }
            }
        }
        match long {
            Some(hash) => Key::hashed(hash),
            None => Key::text(&text[..n]),
        }
    }

    #[inline]
    pub fn text(text: &[u8]) -> Key {
        let mut key = [0; KEY];
        match key[1..].get_mut(..text.len()) {
            Some(room) => room.copy_from_slice(text),
            None => {
                let mut hash = Sha256::new();
                hash.update(text);
                return Key::hashed(hash);
            }
        }
        key[0] = text.len() as u8 + 1; // a key of zeros is none
        Key(key)
    }

    fn hashed(hash: Sha256) -> Key {
        let mut key = [HASHED; KEY];
        key[1..].copy_from_slice(&hash.finish());
        Key(key)
    }

    #[inline]
    pub fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

/// The address of `10.0.0.1:999` or `[::1]:999`.
pub fn without_port(peer: &[u8]) -> Option<&[u8]> {
    let colon = peer.iter().rposition(|c| *c == b':')?;
    match &peer[..colon] {
        [b'[', address @ .., b']'] => Some(address),
        address => Some(address),
    }
    .filter(|a| !a.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (peer, want) in [("10.0.0.1:999", Some("10.0.0.1")), ("[::1]:9", Some("::1")), ("nothing", None), (":1", None)] {
            assert_eq!(without_port(peer.as_bytes()), want.map(str::as_bytes));
        }
    }

    #[test]
    fn texts_differ() {
        let long = [b'x'; 33];
        let keys = [Key::text(b""), Key::text(b"\0"), Key::text(b"a"), Key::text(&long[..32]), Key::text(&long)];
        for (i, a) in keys.iter().enumerate() {
            assert_ne!(a.0, [0; KEY]);
            for b in &keys[i + 1..] {
                assert_ne!(a.0, b.0);
            }
        }
    }

    #[test]
    fn templates() {
        for text in ["{session}", "{identity}", "a{topic.2}b{listener}"] {
            assert!(Template::new(text).is_ok(), "{}", text);
        }
        for text in ["", "{", "}", "{a", "{}", "{topic.0}", "{topic.x}", "{a b}", "{a}}"] {
            assert!(Template::new(text).is_err(), "{}", text);
        }
    }
}
