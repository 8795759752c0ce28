//! Texts with placeholders: `truck/{identity}/telemetry`. `{{` and `}}` stand for
//! the braces themselves, `{name...}` lets a value have several levels.

use weft::{Content, Lent, Message, Writer};

/// What a value is held to.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    /// Part of a topic: within its level, no wildcard.
    Topic,
    /// Part of a destination's name.
    Name,
}

/// Longer values are refused: a template of any length then fits a topic.
const LONGEST_VALUE: usize = 1024;
const LONGEST_TEXT: usize = 1024;
/// In all destinations of a route together, defaults included.
pub const MOST_PLACEHOLDERS: usize = 16;

#[derive(Clone)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone)]
enum Part {
    Literal(String),
    Value(Value),
}

#[derive(Clone)]
struct Value {
    source: Source,
    /// The classes of bytes that may not be in it.
    refused: u8,
    /// Nothing stands before it in a topic: it must not begin with `$`.
    leads: bool,
    otherwise: Option<Template>,
    /// The reason for which a message is dropped.
    bad: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Topic,
    Listener,
    /// The session's context, then the message's attributes: what a session has
    /// been given goes before what its messages say.
    Named(String),
}

impl Source {
    pub fn of(name: &str) -> Source {
        match name {
            "topic" => Source::Topic,
            "listener" => Source::Listener,
            _ => Source::Named(name.into()),
        }
    }

    #[inline]
    pub fn value<'a>(&self, m: &Message<'a>) -> Option<&'a [u8]> {
        match self {
            Source::Named(name) => m.context(name).or_else(|| m.attribute(name)),
            Source::Topic => Some(m.topic_bytes()),
            Source::Listener => Some(m.listener().as_bytes()),
        }
    }
}

impl Template {
    /// Compiles a text. `defaults` are the templates of values that are missing
    /// or not allowed.
    pub fn new(text: &str, place: Place, defaults: &[(String, String)]) -> Result<Template, String> {
        if text.is_empty() || text.len() > LONGEST_TEXT {
            return Err(format!("expected a text of 1 to {} bytes, found {}", LONGEST_TEXT, text.len()));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(|c| matches!(c, '{' | '}')) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if rest.starts_with(brace) {
                literal.push_str(brace);
                rest = &rest[1..];
                continue;
            }
            let end = rest.find('}').filter(|_| brace == "{");
            let end = end.ok_or_else(|| format!("a lone {} in \"{}\"; write {}{} for the brace itself", brace, text, brace, brace))?;
            let leads = parts.is_empty() && literal.is_empty();
            push(&mut parts, &mut literal);
            parts.push(Part::Value(Value::new(&rest[..end], place, leads, defaults)?));
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        push(&mut parts, &mut literal);
        let template = Template { parts };
        template.check(text, place)?;
        Ok(template)
    }

    /// The template with a text before it.
    pub fn behind(mut self, text: &str) -> Template {
        self.parts.insert(0, Part::Literal(text.into()));
        self
    }

    /// Several templates as one, a line for each.
    pub fn lines(templates: Vec<Template>) -> Template {
        let mut parts = Vec::new();
        for t in templates {
            if !parts.is_empty() {
                parts.push(Part::Literal("\n".into()));
            }
            parts.extend(t.parts);
        }
        Template { parts }
    }

    fn check(&self, text: &str, place: Place) -> Result<(), String> {
        if self.values() > MOST_PLACEHOLDERS {
            return Err(format!("{} placeholders, at most {} are allowed", self.values(), MOST_PLACEHOLDERS));
        }
        for part in &self.parts {
            if let Part::Literal(l) = part {
                if l.bytes().any(|c| c < 0x20) {
                    return Err(format!("a control character in \"{}\"", text));
                }
                if place == Place::Topic && l.contains(|c| matches!(c, '#' | '+' | '*')) {
                    return Err(format!("a wildcard in \"{}\"; messages go to topics, not to patterns", text));
                }
            }
        }
        Ok(())
    }

    /// How many placeholders it has, its defaults' included.
    pub fn values(&self) -> usize {
        let of = |part: &Part| match part {
            Part::Literal(_) => 0,
            Part::Value(v) => 1 + v.otherwise.as_ref().map_or(0, Template::values),
        };
        self.parts.iter().map(of).sum()
    }

    /// Everything that its values come from.
    pub fn sources(&self, to: &mut Vec<Source>) {
        for part in &self.parts {
            if let Part::Value(v) = part {
                to.push(v.source.clone());
                if let Some(t) = &v.otherwise {
                    t.sources(to)
                }
            }
        }
    }

    /// The text for a message; the error is the reason for which it is dropped.
    #[inline]
    pub fn fill(&self, m: &Message) -> Result<Lent, &str> {
        // One value between two texts is what nearly all templates are.
        if let [Part::Literal(before), Part::Value(v), Part::Literal(behind)] = &self.parts[..] {
            if let Some(value) = v.plain(m) {
                return Ok([before.as_bytes(), value, behind.as_bytes()].place());
            }
        }
        let mut text = Writer::new();
        self.write(m, &mut text)?;
        Ok(text.place())
    }

    /// Writes the text with its values.
    pub fn write(&self, m: &Message, to: &mut Writer) -> Result<(), &str> {
        for part in &self.parts {
            match part {
                Part::Literal(l) => to.push(l.as_bytes()),
                Part::Value(v) => v.write(m, to)?,
            }
        }
        Ok(())
    }
}

fn push(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Literal(core::mem::take(literal)));
    }
}

impl Value {
    fn new(inner: &str, place: Place, leads: bool, defaults: &[(String, String)]) -> Result<Value, String> {
        let name = inner.strip_suffix("...").unwrap_or(inner);
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(format!("{{{}}} is no placeholder; expected a name of letters, digits, '_', '-' and '.'", inner));
        }
        let otherwise = match defaults.iter().find(|(n, _)| n == name) {
            None => None,
            // A default's own placeholders have none: nothing goes in circles.
            Some((_, text)) => Some(Template::new(text, place, &[]).map_err(|e| format!("defaults.{}: {}", name, e))?),
        };
        let source = Source::of(name);
        let refused = match place {
            Place::Topic if inner.len() > name.len() || source == Source::Topic => CONTROL | WILD,
            Place::Topic => CONTROL | WILD | SLASH,
            Place::Name => CONTROL,
        };
        let leads = leads && place == Place::Topic;
        Ok(Value { source, refused, leads, otherwise, bad: format!("topic: bad value of {}", name) })
    }

    fn write(&self, m: &Message, to: &mut Writer) -> Result<(), &str> {
        match self.allowed(m) {
            Some(value) => {
                to.push(value);
                Ok(())
            }
            None => self.replace(m, to),
        }
    }

    /// The value that is written, if it, or the one in its place, is a single one.
    #[inline]
    fn plain<'m>(&self, m: &Message<'m>) -> Option<&'m [u8]> {
        match (self.allowed(m), &self.otherwise) {
            (Some(value), _) => Some(value),
            (None, Some(Template { parts })) => match &parts[..] {
                [Part::Value(v)] => v.allowed(m),
                _ => None,
            },
            _ => None,
        }
    }

    #[inline]
    fn allowed<'m>(&self, m: &Message<'m>) -> Option<&'m [u8]> {
        match self.source.value(m) {
            Some(value) if self.allows(value) => Some(value),
            _ => None,
        }
    }

    #[inline(never)]
    fn replace(&self, m: &Message, to: &mut Writer) -> Result<(), &str> {
        match &self.otherwise {
            Some(t) => t.write(m, to),
            None => Err(&self.bad),
        }
    }

    #[inline]
    fn allows(&self, value: &[u8]) -> bool {
        let mut seen = 0;
        for &c in value {
            seen |= CLASSES[c as usize];
        }
        !value.is_empty()
            && value.len() <= LONGEST_VALUE
            && seen & self.refused == 0
            && (seen & HIGH == 0 || core::str::from_utf8(value).is_ok())
            && !(self.leads && value[0] == b'$')
    }
}

// Classes of bytes.
const CONTROL: u8 = 1;
const SLASH: u8 = 2;
const WILD: u8 = 4;
const HIGH: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut c = 0;
    while c < 256 {
        classes[c] = match c as u8 {
            0..=0x1f | 0x7f => CONTROL,
            b'/' => SLASH,
            b'+' | b'#' | b'*' => WILD,
            0x80..=0xff => HIGH,
            _ => 0,
        };
        c += 1;
    }
    classes
};
