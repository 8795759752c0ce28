//! The configuration, compiled: an error names the rule and the key.

use crate::template::Template;
use crate::value::Name;
use weft::json::{self, Kind, Value};
use weft::Type;

const MAX_REASON: usize = 256;
const MAX_DESTINATIONS: usize = 16;
const RULE_KEYS: [&str; 8] = ["when", "topic", "emit", "route", "drop", "priority", "type", "continue"];

/// One rule: what a message must have, and what then happens.
pub struct Rule {
    /// Names and their values; None for any value.
    pub when: Vec<(Name, Option<String>)>,
    pub action: Action,
    pub priority: Option<u8>,
    pub message_type: Option<Type>,
    /// Whether the rules behind are asked too.
    pub go_on: bool,
}

pub enum Action {
    Topic(Template),
    Emit(Template),
    Route(Vec<Template>),
    Drop(String),
    /// Only the priority or the type is set.
    Mark,
}

impl Rule {
    /// Every name that the rule looks at.
    pub fn names(&self) -> Vec<&Name> {
        let mut names: Vec<&Name> = self.when.iter().map(|(name, _)| name).collect();
        match &self.action {
            Action::Topic(t) | Action::Emit(t) => t.names(&mut names),
            Action::Route(list) => list.iter().for_each(|t| t.names(&mut names)),
            Action::Drop(_) | Action::Mark => {}
        }
        names
    }
}

type Defaults = [(String, String)];

pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let doc = json::parse(text).map_err(|e| e.to_string())?;
    for (key, _) in doc.fields() {
        if key != "rules" && key != "defaults" {
            return Err(format!("{}: no such key; expected rules or defaults", key));
        }
    }
    let mut defaults = Vec::new();
    if let Some(map) = doc.get("defaults") {
        for (name, v) in object("defaults", &map)?.fields() {
            let text = v.string().ok_or_else(|| format!("defaults.{}: expected a text", name))?;
            Template::compile(&text, &[]).map_err(|e| format!("defaults.{}: {}", name, e))?;
            defaults.push((name.into_owned(), text));
        }
    }
    let rules = match doc.get("rules") {
        Some(v) if v.kind() == Kind::Array => v,
        Some(_) => return Err("rules: expected a list".into()),
        None => return Err("rules: missing; expected a list of rules".into()),
    };
    rules.items().enumerate().map(|(i, v)| rule(&v, &defaults).map_err(|e| format!("rules[{}]: {}", i, e))).collect()
}

fn rule(v: &Value, defaults: &Defaults) -> Result<Rule, String> {
    if v.kind() != Kind::Object {
        return Err("expected names and values".into());
    }
    for (key, _) in v.fields() {
        if !RULE_KEYS.contains(&&*key) {
            return Err(format!("{}: no such key; expected one of {}", key, RULE_KEYS.join(", ")));
        }
    }
    let action = action(v, defaults)?;
    let priority = priority(v)?;
    let message_type = message_type(v)?;
    if matches!(action, Action::Mark) && priority.is_none() && message_type.is_none() {
        return Err("says nothing to do; expected topic, emit, route, drop, priority or type".into());
    }
    let go_on = match v.get("continue") {
        None => false,
        Some(c) => c.bool().ok_or("continue: expected true or false")?,
    };
    if go_on && matches!(action, Action::Route(_) | Action::Drop(_)) {
        return Err("continue: route and drop end the rules".into());
    }
    Ok(Rule { when: when(v)?, action, priority, message_type, go_on })
}

fn action(v: &Value, defaults: &Defaults) -> Result<Action, String> {
    let named: Vec<&str> = ["topic", "emit", "route", "drop"].into_iter().filter(|k| v.get(k).is_some()).collect();
    let key = match named[..] {
        [] => return Ok(Action::Mark),
        [key] => key,
        _ => return Err(format!("{}: expected one of them", named.join(" and "))),
    };
    let value = v.get(key).ok_or("missing")?;
    match key {
        "topic" => Ok(Action::Topic(topic("topic", &value, defaults)?)),
        "emit" => Ok(Action::Emit(topic("emit", &value, defaults)?)),
        "route" => route(&value, defaults),
        _ => match value.string() {
            Some(reason) if !reason.is_empty() && reason.len() <= MAX_REASON => Ok(Action::Drop(reason)),
            _ => Err(format!("drop: expected a reason of 1 to {} bytes", MAX_REASON)),
        },
    }
}

fn topic(key: &str, v: &Value, defaults: &Defaults) -> Result<Template, String> {
    let text = v.string().ok_or_else(|| format!("{}: expected a text", key))?;
    let template = Template::compile(&text, defaults).map_err(|e| format!("{}: {}", key, e))?;
    publishable(&template.sample()).map_err(|e| format!("{}: {:?} {}", key, text, e))?;
    Ok(template)
}

/// Whether something can be published to a topic.
fn publishable(topic: &str) -> Result<(), &'static str> {
    if topic.is_empty() {
        return Err("is empty");
    }
    if topic.split('/').any(|level| matches!(level, "#" | "+" | "*")) {
        return Err("holds a wildcard");
    }
    Ok(())
}

fn route(v: &Value, defaults: &Defaults) -> Result<Action, String> {
    let mut list = Vec::new();
    for (i, d) in v.items().enumerate() {
        let text = d.string().ok_or_else(|| format!("route[{}]: expected a text", i))?;
        let template = Template::compile(&text, defaults).map_err(|e| format!("route[{}]: {}", i, e))?;
        destination(&template.sample()).map_err(|e| format!("route[{}]: {:?} {}", i, text, e))?;
        list.push(template);
    }
    if v.kind() != Kind::Array || list.is_empty() || list.len() > MAX_DESTINATIONS {
        return Err(format!("route: expected a list of 1 to {} destinations", MAX_DESTINATIONS));
    }
    Ok(Action::Route(list))
}

fn destination(text: &str) -> Result<(), &'static str> {
    match text.split_once(':') {
        Some(("topic", name)) => publishable(name),
        Some(("node" | "queue" | "upstream", name)) if !name.is_empty() => Ok(()),
        None if matches!(text, "subscribers" | "all" | "reply" | "dead-letter") => Ok(()),
        _ => Err("is no destination; expected subscribers, all, reply, dead-letter, topic:, node:, queue: or upstream: with a name"),
    }
}

fn when(v: &Value) -> Result<Vec<(Name, Option<String>)>, String> {
    let map = match v.get("when") {
        None => return Ok(Vec::new()),
        Some(map) => map,
    };
    let mut list = Vec::new();
    for (name, want) in object("when", &map)?.fields() {
        let want = match want.kind() {
            Kind::String => want.string(),
            Kind::Number | Kind::Bool => Some(String::from_utf8_lossy(want.raw()).into_owned()),
            _ => None,
        };
        let want = want.ok_or_else(|| format!("when.{}: expected a value, or \"*\" for any", name))?;
        list.push((Name::new(&name), Some(want).filter(|w| w != "*")));
    }
    Ok(list)
}

fn priority(v: &Value) -> Result<Option<u8>, String> {
    match v.get("priority") {
        None => Ok(None),
        Some(p) => match p.i64() {
            Some(n @ 0..=7) => Ok(Some(n as u8)),
            _ => Err("priority: expected 0 to 7".into()),
        },
    }
}

fn message_type(v: &Value) -> Result<Option<Type>, String> {
    let text = match v.get("type") {
        None => return Ok(None),
        Some(t) => t.string().unwrap_or_default(),
    };
    match &*text {
        "event" => Ok(Some(Type::Event)),
        "request" => Ok(Some(Type::Request)),
        "response" => Ok(Some(Type::Response)),
        "ack" => Ok(Some(Type::Ack)),
        _ => Err(format!("type: {:?}; expected event, request, response or ack", text)),
    }
}

fn object<'v, 'a>(key: &str, v: &'v Value<'a>) -> Result<&'v Value<'a>, String> {
    match v.kind() {
        Kind::Object => Ok(v),
        _ => Err(format!("{}: expected names and values", key)),
    }
}
