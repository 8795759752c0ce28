//! Turns JSON payloads into Protobuf by a descriptor set, or back.

#[allow(dead_code)] // each plugin uses a part of it
#[path = "../base64.rs"]
mod base64;
mod config;
mod decode;
mod encode;
mod known;
mod number;
mod reader;
mod schema;
#[path = "../settings.rs"]
mod settings;
mod wire;

use config::{Config, Invalid, Options};
use decode::Decoder;
use encode::Encoder;
use reader::{Fault, Reader};
use weft::{Message, Needs, Plugin, Verdict};

/// How deep messages, lists and objects may be within each other.
pub const DEPTH: u32 = 64;
/// The attribute of a dead letter that says why it is one.
const ERROR: &str = "error";

struct JsonToProtobuf {
    config: Config,
    out: Vec<u8>,
    seen: Vec<u64>,
    found: Vec<(u32, wire::Record)>,
}

impl Plugin for JsonToProtobuf {
    fn init(config: &str) -> Result<Self, String> {
        Ok(JsonToProtobuf { config: config::parse(config)?, out: Vec::new(), seen: Vec::new(), found: Vec::new() })
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::none().whole_payload();
        if !self.config.rules.is_empty() {
            needs = needs.topic();
        }
        if self.config.invalid == Invalid::DeadLetter {
            needs = needs.attributes();
        }
        needs
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        let index = match self.wanted(m) {
            Some(index) => index,
            None => return Verdict::Continue,
        };
        self.out.clear();
        self.seen.clear();
        self.found.clear();
        match self.convert(m.payload(), index) {
            Ok(()) => {
                m.set_payload(&self.out);
                Verdict::Continue
            }
            Err((fault, place)) => self.invalid(m, fault, place),
        }
    }
}

type Place = Option<(usize, usize)>;

impl JsonToProtobuf {
    /// The message that the topic's payloads are.
    fn wanted(&self, m: &Message) -> Option<usize> {
        if self.config.rules.is_empty() {
            return self.config.message;
        }
        let topic = m.topic();
        let rule = self.config.rules.iter().find(|(pattern, _)| config::matches(pattern, topic));
        rule.map(|(_, index)| *index).or(self.config.message)
    }

    fn convert(&mut self, payload: &[u8], index: usize) -> Result<(), (Fault, Place)> {
        let (schema, options, out) = (&self.config.schema, &self.config.options, &mut self.out);
        if self.config.to_json {
            let mut d = Decoder { schema, options, out, found: &mut self.found, place: None };
            return d.message(payload, index, DEPTH).map_err(|fault| (fault, d.place));
        }
        let mut e = Encoder { schema, options, out, seen: &mut self.seen, place: None };
        let mut r = Reader::new(payload);
        let read = e.message(&mut r, index, DEPTH).and_then(|_| r.end());
        read.map_err(|fault| (fault, e.place))
    }

    #[cold]
    fn invalid(&self, m: &mut Message, fault: Fault, place: Place) -> Verdict {
        match self.config.invalid {
            Invalid::Continue => Verdict::Continue,
            Invalid::Drop => Verdict::drop(fault),
            Invalid::DeadLetter => {
                let mut text = String::from(fault);
                if let Some((message, field)) = place {
                    let message = &self.config.schema.messages[message];
                    text = format!("{} (at {}.{})", text, message.name, message.fields[field].name);
                }
                m.set_attribute(ERROR, text);
                Verdict::route(&["dead-letter"])
            }
        }
    }
}

weft::plugin!(JsonToProtobuf);
