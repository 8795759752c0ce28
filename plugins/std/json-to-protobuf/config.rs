//! The configuration, checked once.

use crate::base64;
use crate::schema::{Kind, Schema};
use crate::settings::{meant, wrong, Settings};
use weft::json::{Kind as Json, Value};

const KEYS: &[&str] = &["descriptors", "message", "rules", "direction", "unknown", "invalid", "names", "defaults", "enums"];

/// How the mapping goes where there is a choice.
pub struct Options {
    /// What the schema does not know is left out; else it is a fault.
    pub ignore: bool,
    pub proto_names: bool,
    pub defaults: bool,
    pub numbers: bool,
}

/// What becomes of a payload that cannot be converted.
#[derive(Clone, Copy, PartialEq)]
pub enum Invalid {
    Drop,
    Continue,
    DeadLetter,
}

pub struct Config {
    pub schema: Schema,
    pub options: Options,
    pub invalid: Invalid,
    pub to_json: bool,
    /// Patterns and the messages of topics that match; the first that does counts.
    pub rules: Vec<(String, usize)>,
    /// The message of all other topics.
    pub message: Option<usize>,
}

pub fn parse(text: &str) -> Result<Config, String> {
    let s = Settings::new(text, KEYS)?;
    let schema = schema(&s)?;
    let message = match s.text("message")? {
        None => None,
        Some(name) => Some(find(&schema, "message", &name)?),
    };
    let rules = rules(&s, &schema)?;
    if message.is_none() && rules.is_empty() {
        return Err("message: is missing; expected a message's full name, or rules: [{topic: PATTERN, message: NAME}]".into());
    }
    let to_json = s.word("direction", &["to-protobuf", "to-json"])?.map_or(false, |w| w == "to-json");
    for key in ["names", "defaults", "enums"] {
        if !to_json && s.get(key).is_some() {
            return Err(format!("{}: is set, but direction is to-protobuf", key));
        }
    }
    Ok(Config {
        options: Options {
            ignore: s.word("unknown", &["reject", "ignore"])?.map_or(to_json, |w| w == "ignore"),
            proto_names: s.word("names", &["json", "proto"])?.map_or(false, |w| w == "proto"),
            defaults: s.flag("defaults")?.unwrap_or(false),
            numbers: s.word("enums", &["name", "number"])?.map_or(false, |w| w == "number"),
        },
        invalid: match s.word("invalid", &["drop", "continue", "dead-letter"])?.as_deref() {
            Some("continue") => Invalid::Continue,
            Some("dead-letter") => Invalid::DeadLetter,
            _ => Invalid::Drop,
        },
        schema, to_json, rules, message,
    })
}

fn schema(s: &Settings) -> Result<Schema, String> {
    let text = s.text("descriptors")?.ok_or("descriptors: is missing; expected a FileDescriptorSet in base64 (protoc --include_imports --descriptor_set_out=F, base64 -w0 F)")?;
    let text: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let mut set = Vec::new();
    base64::lenient(&text, &mut set).ok_or("descriptors: is not base64")?;
    Schema::read(&set).map_err(|e| format!("descriptors: {}", e))
}

fn rules(s: &Settings, schema: &Schema) -> Result<Vec<(String, usize)>, String> {
    let list = match s.get("rules") {
        None => return Ok(Vec::new()),
        Some(v) if v.kind() == Json::Array => v,
        found => return Err(wrong("rules", found, "an array of rules")),
    };
    let rule = |(i, v): (usize, Value)| {
        let s = Settings::of(v, format!("rules[{}]", i), &["topic", "message"])?;
        let missing = |key: &str| format!("{}: is missing", s.path(key));
        let topic = s.text("topic")?.ok_or_else(|| missing("topic"))?;
        let levels = topic.split('/').count();
        let legal = |(i, level): (usize, &str)| match level {
            "#" => i == levels - 1,
            "+" | "*" => true,
            _ => !level.contains(|c| matches!(c, '#' | '+' | '*')),
        };
        if topic.is_empty() || !topic.split('/').enumerate().all(legal) {
            return Err(format!("{}: expected a topic or a pattern with + and #, found \"{}\"", s.path("topic"), topic));
        }
        let name = s.text("message")?.ok_or_else(|| missing("message"))?;
        Ok((topic, find(schema, &s.path("message"), &name)?))
    };
    list.items().enumerate().map(rule).collect()
}

/// The message of a name, if everything in it can be converted.
fn find(schema: &Schema, place: &str, name: &str) -> Result<usize, String> {
    let index = schema.find(name).ok_or_else(|| {
        let names: Vec<&str> = schema.messages.iter().map(|m| m.name.as_str()).filter(|n| !n.starts_with("google.protobuf.")).take(20).collect();
        format!("{}: no message \"{}\" in the descriptors{}", place, name, meant(name, &names))
    })?;
    let mut seen = vec![false; schema.messages.len()];
    let mut open = vec![index];
    while let Some(i) = open.pop() {
        if core::mem::replace(&mut seen[i], true) {
            continue;
        }
        for f in &schema.messages[i].fields {
            match f.kind {
                Kind::Group => return Err(format!("{}: {}.{} is a group, which is not supported", place, schema.messages[i].name, f.name)),
                Kind::Message => open.push(f.target),
                _ => {}
            }
        }
    }
    Ok(index)
}

/// Whether a topic matches a pattern.
pub fn matches(pattern: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for p in pattern.split('/') {
        match (p, levels.next()) {
            ("#", _) => return true,
            (_, None) => return false,
            ("+" | "*", Some(_)) => {}
            (p, Some(level)) if p == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
