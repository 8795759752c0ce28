//! What the commands that read have to say.

use crate::value;
use std::fmt::Display;
use weft::{Attributes, Error, Message};

/// Lines of words.
#[derive(Default)]
pub struct Report {
    pub text: String,
}

impl Report {
    /// Begins a line with its verb.
    pub fn line(&mut self, verb: &str) -> &mut Report {
        self.text.push_str(verb);
        self
    }

    /// Adds a number, or any word that needs no encoding.
    pub fn word(&mut self, word: impl Display) -> &mut Report {
        self.text.push(' ');
        self.text.push_str(&word.to_string());
        self
    }

    /// Adds bytes.
    pub fn value(&mut self, b: impl AsRef<[u8]>) -> &mut Report {
        self.text.push(' ');
        value::write(&mut self.text, b.as_ref());
        self
    }

    /// Adds bytes that may not be there.
    pub fn found(&mut self, b: Option<&[u8]>) -> &mut Report {
        match b {
            Some(b) => self.value(b),
            None => self.word("!none"),
        }
    }

    /// Adds what a host function could not do.
    pub fn error(&mut self, e: Error) -> &mut Report {
        self.word(match e {
            Error::Denied => "!denied",
            Error::Limit => "!limit",
            Error::Invalid => "!invalid",
            Error::Conflict => "!conflict",
            Error::Failed => "!failed",
            Error::Timeout => "!timeout",
        })
    }

    /// Adds the length of bytes and their digest.
    pub fn digest<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> &mut Report {
        let (mut length, mut h) = (0, 0xcbf29ce484222325u64);
        for part in parts {
            length += part.len();
            for &c in part {
                h = (h ^ c as u64).wrapping_mul(0x100000001b3);
            }
        }
        self.word(length).word(format_args!("{:016x}", h))
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.text.push('\n');
    }

    /// Every field of a message.
    pub fn echo(&mut self, hook: &str, m: &Message) {
        self.line("hook").word(hook).end();
        self.line("type").word(m.message_type() as u8).end();
        self.line("priority").word(m.priority()).end();
        self.line("qos").word(m.qos()).end();
        self.line("flags").word(flags(m)).end();
        self.line("session").word(m.session()).end();
        self.line("seq").word(m.seq()).end();
        self.line("time").word(m.time()).end();
        self.line("topic").value(m.topic()).end();
        self.block("attribute", m.attributes());
        self.block("context", m.contexts());
        self.line("payload").value(m.payload()).end();
        self.line("total").word(m.payload_total()).end();
        self.line("listener").value(m.listener()).end();
        if hook == "resume" {
            let a = m.answer();
            self.line("answer").word(a.token).word(a.status).value(a.bytes).end();
        }
    }

    fn block(&mut self, verb: &str, block: Attributes) {
        for (name, v) in block {
            self.line(verb).value(name).value(v).end();
        }
    }
}

fn flags(m: &Message) -> String {
    let all = [
        ("cut", m.payload_is_cut()),
        ("retain", m.retain()),
        ("redelivered", m.redelivered()),
        ("emitted", m.emitted()),
    ];
    let set: Vec<&str> = all.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    if set.is_empty() {
        return "-".into();
    }
    set.join(",")
}
