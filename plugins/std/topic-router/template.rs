//! Texts with placeholders, compiled when they are configured.

use crate::value::Name;
use weft::{Message, Writer};

/// Bytes of a template in the configuration.
const MAX_TEMPLATE: usize = 1024;
const MAX_PLACEHOLDERS: usize = 16;

/// A text with placeholders.
pub struct Template(Vec<Part>);

enum Part {
    Text(String),
    Value(Name),
    /// A value and what stands in for it.
    Or(Name, Template),
}

impl Template {
    /// Compiles a text; `defaults` are what stands in for values.
    pub fn compile(text: &str, defaults: &[(String, String)]) -> Result<Template, String> {
        if text.len() > MAX_TEMPLATE {
            return Err(format!("{} bytes, at most {} are allowed", text.len(), MAX_TEMPLATE));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("{:?} holds a control character", text));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, behind) = (&rest[..open], &rest[open + 1..]);
            let close = behind.find('}').ok_or_else(|| format!("{:?} has a {{ without its }}", text))?;
            let name = &behind[..close];
            if name.is_empty() || name.contains('{') {
                return Err(format!("{:?} has a placeholder without a name", text));
            }
            push_text(&mut parts, before, text)?;
            parts.push(placeholder(name, defaults)?);
            rest = &behind[close + 1..];
        }
        push_text(&mut parts, rest, text)?;
        if parts.iter().filter(|p| !matches!(p, Part::Text(_))).count() > MAX_PLACEHOLDERS {
            return Err(format!("{:?} has more than {} placeholders", text, MAX_PLACEHOLDERS));
        }
        Ok(Template(parts))
    }

    /// The text for a message, or the name whose value does not fit.
    #[inline]
    pub fn fill(&self, m: &Message) -> Result<Writer, &Name> {
        let mut to = Writer::new();
        self.append(m, &mut to)?;
        Ok(to)
    }

    /// Appends the text for a message.
    pub fn append(&self, m: &Message, to: &mut Writer) -> Result<(), &Name> {
        for part in &self.0 {
            match part {
                Part::Text(text) => to.push(text.as_bytes()),
                Part::Value(name) => to.push(name.for_topic(m).ok_or(name)?),
                Part::Or(name, otherwise) => match name.for_topic(m) {
                    Some(v) => to.push(v),
                    None => otherwise.append(m, to).map_err(|_| name)?,
                },
            }
        }
        Ok(())
    }

    /// Adds the names of the placeholders to a list.
    pub fn names<'t>(&'t self, to: &mut Vec<&'t Name>) {
        for part in &self.0 {
            match part {
                Part::Text(_) => {}
                Part::Value(name) => to.push(name),
                Part::Or(name, otherwise) => {
                    to.push(name);
                    otherwise.names(to);
                }
            }
        }
    }

    /// The template with `x` in each placeholder's place.
    pub fn sample(&self) -> String {
        self.0.iter().map(|p| if let Part::Text(text) = p { text } else { "x" }).collect()
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str, whole: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err(format!("{:?} has a }} without its {{", whole));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok(())
}

/// Defaults have placeholders, but no defaults of their own.
fn placeholder(name: &str, defaults: &[(String, String)]) -> Result<Part, String> {
    match defaults.iter().find(|(n, _)| n == name) {
        None => Ok(Part::Value(Name::new(name))),
        Some((_, text)) => {
            let otherwise = Template::compile(text, &[]).map_err(|e| format!("defaults.{}: {}", name, e))?;
            Ok(Part::Or(Name::new(name), otherwise))
        }
    }
}
