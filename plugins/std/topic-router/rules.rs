//! The rules, compiled once.

use crate::memo::Names;
use crate::settings::{meant, wrong, Settings};
use crate::template::{Place, Source, Template, MOST_PLACEHOLDERS};
use weft::json::{Kind, Value};
use weft::{Message, Needs, Type};

const TYPES: &[&str] = &["event", "request", "response", "ack"];
const RULE: &[&str] = &["when", "priority", "type", "topic", "emit", "route", "drop", "continue"];

const MOST_DESTINATIONS: usize = 16;

pub struct Rule {
    conditions: Vec<Condition>,
    /// Lowest and highest priority.
    priority: (u8, u8),
    kind: Option<Type>,
    pub action: Action,
    /// No further rule is looked at.
    pub last: bool,
}

struct Condition {
    source: Source,
    /// None: any value that is not empty.
    value: Option<String>,
}

pub enum Action {
    Topic(Template),
    Emit(Template),
    /// Destinations, one a line.
    Route(Template),
    Drop(String),
}

impl Rule {
    #[inline]
    pub fn applies(&self, m: &Message) -> bool {
        self.conditions.iter().all(|c| c.holds(m))
            && (self.priority == ANY || (self.priority.0..=self.priority.1).contains(&m.priority()))
            && self.kind.map_or(true, |k| k == m.message_type())
    }
}

impl Condition {
    #[inline]
    fn holds(&self, m: &Message) -> bool {
        match (self.source.value(m), &self.value) {
            (Some(found), Some(wanted)) => found == wanted.as_bytes(),
            (Some(found), None) => !found.is_empty(),
            (None, _) => false,
        }
    }
}

const ANY: (u8, u8) = (0, 7);

pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let s = Settings::new(text, &["rules", "defaults"])?;
    let defaults = s.texts("defaults")?;
    for (name, text) in &defaults {
        Template::new(text, Place::Topic, &[]).map_err(|e| format!("defaults.{}: {}", name, e))?;
    }
    let list = match s.get("rules") {
        Some(v) if v.kind() == Kind::Array => v,
        found => return Err(wrong("rules", found, "an array of rules")),
    };
    list.items().enumerate().map(|(i, v)| rule(v, format!("rules[{}]", i), &defaults)).collect()
}

fn rule(v: Value, place: String, defaults: &[(String, String)]) -> Result<Rule, String> {
    let s = Settings::of(v, place, RULE)?;
    let mut conditions = Vec::new();
    for (name, value) in s.scalars("when")? {
        let value = Some(value).filter(|v| v != "*");
        conditions.push(Condition { source: Source::of(&name), value });
    }
    let kind = match s.word("type", TYPES)?.as_deref() {
        None => None,
        Some("request") => Some(Type::Request),
        Some("response") => Some(Type::Response),
        Some("ack") => Some(Type::Ack),
        Some(_) => Some(Type::Event),
    };
    let action = action(&s, defaults)?;
    let last = match (&action, s.flag("continue")?) {
        (Action::Route(_) | Action::Drop(_), Some(true)) => {
            return Err(format!("{}: is true, but nothing can follow route or drop", s.path("continue")))
        }
        (Action::Emit(_), None) => false,
        (_, goes_on) => !goes_on.unwrap_or(false),
    };
    Ok(Rule { conditions, priority: priority(&s)?, kind, action, last })
}

fn action(s: &Settings, defaults: &[(String, String)]) -> Result<Action, String> {
    let given: Vec<&str> = ["topic", "emit", "route", "drop"].iter().copied().filter(|k| s.get(k).is_some()).collect();
    let key = match given[..] {
        [key] => key,
        _ => {
            let found = if given.is_empty() { "none".into() } else { given.join(" and ") };
            return Err(format!("{}: expected one of topic, emit, route and drop, found {}", s.path(""), found));
        }
    };
    let template = |text: &str| Template::new(text, Place::Topic, defaults).map_err(|e| format!("{}: {}", s.path(key), e));
    Ok(match key {
        "topic" => Action::Topic(template(&s.text(key)?.unwrap_or_default())?),
        "emit" => Action::Emit(template(&s.text(key)?.unwrap_or_default())?),
        "route" => Action::Route(route(s, defaults)?),
        _ => match s.text(key)?.unwrap_or_default() {
            reason if reason.len() > 256 => return Err(format!("{}: expected at most 256 bytes, found {}", s.path(key), reason.len())),
            reason => Action::Drop(reason),
        },
    })
}

/// The destinations of a rule as one text, a line for each.
fn route(s: &Settings, defaults: &[(String, String)]) -> Result<Template, String> {
    let key = s.path("route");
    let list = match s.get("route") {
        Some(v) if v.kind() == Kind::Array && v.items().next().is_some() => v,
        found => return Err(wrong(&key, found, "an array of destinations")),
    };
    let mut lines = Vec::new();
    for (i, v) in list.items().enumerate() {
        let place = format!("{}[{}]", key, i);
        let text = v.string().ok_or_else(|| wrong(&place, Some(v), "a destination"))?;
        lines.push(destination(&text, defaults).map_err(|e| format!("{}: {}", place, e))?);
    }
    let lines = Template::lines(lines);
    if list.items().count() > MOST_DESTINATIONS || lines.values() > MOST_PLACEHOLDERS {
        return Err(format!("{}: at most {} destinations with {} placeholders are allowed", key, MOST_DESTINATIONS, MOST_PLACEHOLDERS));
    }
    Ok(lines)
}

fn destination(text: &str, defaults: &[(String, String)]) -> Result<Template, String> {
    const ALONE: &[&str] = &["subscribers", "all", "reply", "dead-letter"];
    const NAMED: &[&str] = &["topic", "node", "queue", "upstream"];
    let (kind, name) = match text.split_once(':') {
        None if ALONE.contains(&text) => return Template::new(text, Place::Name, &[]),
        None if NAMED.contains(&text) => return Err(format!("a name is missing, as in {}:NAME", text)),
        None => return Err(format!("unknown destination \"{}\"{}, topic:NAME, node:NAME, queue:NAME, upstream:NAME", text, meant(text, ALONE))),
        Some(parts) => parts,
    };
    if !NAMED.contains(&kind) {
        return Err(format!("unknown kind of destination \"{}\"{}", kind, meant(kind, NAMED)));
    }
    let place = if kind == "topic" { Place::Topic } else { Place::Name };
    Ok(Template::new(name, place, defaults)?.behind(&format!("{}:", kind)))
}

/// `4`, `"4"`, `">=4"`, `"<3"` or `"2-5"`.
fn priority(s: &Settings) -> Result<(u8, u8), String> {
    let v = match s.get("priority") {
        None => return Ok(ANY),
        Some(v) => v,
    };
    let text = v.string().unwrap_or_else(|| String::from_utf8_lossy(v.raw()).into_owned());
    let digit = |t: &str| match t.trim().as_bytes() {
        [c @ b'0'..=b'7'] => Some(c - b'0'),
        _ => None,
    };
    let text = text.trim();
    let range = if let Some(t) = text.strip_prefix(">=") {
        digit(t).map(|n| (n, 7))
    } else if let Some(t) = text.strip_prefix("<=") {
        digit(t).map(|n| (0, n))
    } else if let Some(t) = text.strip_prefix('>') {
        digit(t).filter(|n| *n < 7).map(|n| (n + 1, 7))
    } else if let Some(t) = text.strip_prefix('<') {
        digit(t).filter(|n| *n > 0).map(|n| (0, n - 1))
    } else if let Some((low, high)) = text.split_once('-') {
        digit(low).and_then(|l| digit(high).filter(|h| l <= *h).map(|h| (l, h)))
    } else {
        digit(text).map(|n| (n, n))
    };
    range.ok_or_else(|| wrong(&s.path("priority"), Some(v), "a number from 0 to 7, \">=4\", \"<3\" or \"2-5\""))
}

/// Everything that the rules look at.
fn sources(rules: &[Rule]) -> Vec<Source> {
    let mut sources = Vec::new();
    for rule in rules {
        sources.extend(rule.conditions.iter().map(|c| c.source.clone()));
        match &rule.action {
            Action::Topic(t) | Action::Route(t) | Action::Emit(t) => t.sources(&mut sources),
            Action::Drop(_) => {}
        }
    }
    sources
}

/// The names that the rules look up.
pub fn names(rules: &[Rule]) -> Names {
    let mut names = Names::default();
    for source in sources(rules) {
        if let Source::Named(name) = source {
            names.add(&name);
        }
    }
    names
}

/// What the host must fill in for the rules.
pub fn needs(rules: &[Rule]) -> Needs {
    let mut needs = Needs::none();
    for source in sources(rules) {
        needs = match source {
            Source::Topic => needs.topic(),
            Source::Listener => needs.listener(),
            Source::Named(_) => needs.attributes().context(),
        };
    }
    // Only a copy needs the bytes themselves.
    if rules.iter().any(|r| matches!(r.action, Action::Emit(_))) {
        needs = needs.whole_payload().attributes();
    }
    needs
}
