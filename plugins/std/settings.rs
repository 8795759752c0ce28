//! Reads the configuration of a plugin. Every error names the key, what was
//! found there and what was expected.
#![allow(dead_code)] // not every plugin uses everything

use weft::json::{self, Kind, Value};

/// One object of the configuration and the place where it stands.
pub struct Settings<'a> {
    object: Value<'a>,
    place: String,
}

impl<'a> Settings<'a> {
    /// The whole configuration; only the given keys are allowed in it.
    pub fn new(text: &'a str, keys: &[&str]) -> Result<Settings<'a>, String> {
        let object = json::parse(text).map_err(|e| format!("the configuration: {}", e))?;
        Settings::of(object, String::new(), keys)
    }

    /// An object inside the configuration.
    pub fn of(object: Value<'a>, place: String, keys: &[&str]) -> Result<Settings<'a>, String> {
        let settings = Settings { object, place };
        if object.kind() != Kind::Object {
            return Err(settings.wrong("", "an object"));
        }
        for (key, _) in object.fields() {
            if !keys.contains(&key.as_ref()) {
                return Err(format!("{}: unknown key{}", settings.path(&key), meant(&key, keys)));
            }
        }
        Ok(settings)
    }

    /// Where a key stands, as errors write it.
    pub fn path(&self, key: &str) -> String {
        match (self.place.is_empty(), key.is_empty()) {
            (true, true) => "the configuration".into(),
            (true, false) => key.into(),
            (false, true) => self.place.clone(),
            (false, false) => format!("{}.{}", self.place, key),
        }
    }

    /// The value of a key; null counts as none.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.object.get(key).filter(|v| !v.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> String {
        let found = match key {
            "" => Some(self.object),
            key => self.object.get(key),
        };
        wrong(&self.path(key), found, expected)
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => v.string().map(Some).ok_or_else(|| self.wrong(key, "a string")),
        }
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => v.bool().map(Some).ok_or_else(|| self.wrong(key, "true or false")),
        }
    }

    /// A whole number within bounds, both included.
    pub fn number(&self, key: &str, least: i64, most: i64) -> Result<Option<i64>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(v) => match v.i64() {
                Some(n) if n >= least && n <= most => Ok(Some(n)),
                _ => Err(self.wrong(key, &format!("a whole number from {} to {}", least, most))),
            },
        }
    }

    /// One of several words.
    pub fn word(&self, key: &str, words: &[&str]) -> Result<Option<String>, String> {
        match self.text(key)? {
            Some(w) if !words.contains(&w.as_str()) => {
                Err(format!("{}: unknown value \"{}\"{}", self.path(key), w, meant(&w, words)))
            }
            found => Ok(found),
        }
    }

    /// An object of strings; none is an empty one.
    pub fn texts(&self, key: &str) -> Result<Vec<(String, String)>, String> {
        self.pairs(key, "a string", |v| v.string())
    }

    /// An object of strings, numbers, true and false, as texts.
    pub fn scalars(&self, key: &str) -> Result<Vec<(String, String)>, String> {
        self.pairs(key, "a string, a number, true or false", |v| match v.kind() {
            Kind::Number | Kind::Bool => Some(String::from_utf8_lossy(v.raw()).into_owned()),
            _ => v.string(),
        })
    }

    fn pairs(&self, key: &str, expected: &str, text: fn(Value) -> Option<String>) -> Result<Vec<(String, String)>, String> {
        let object = match self.get(key) {
            None => return Ok(Vec::new()),
            Some(v) if v.kind() == Kind::Object => v,
            Some(_) => return Err(self.wrong(key, "an object")),
        };
        let mut texts = Vec::new();
        for (name, value) in object.fields() {
            let place = format!("{}.{}", self.path(key), name);
            let text = text(value).ok_or_else(|| wrong(&place, Some(value), expected))?;
            texts.push((name.into_owned(), text));
        }
        Ok(texts)
    }
}

/// The error about a value that is not what was expected.
pub fn wrong(place: &str, found: Option<Value>, expected: &str) -> String {
    let found = match found {
        None => "nothing".into(),
        Some(v) => {
            let text = String::from_utf8_lossy(v.raw());
            match text.char_indices().nth(40) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text.into_owned(),
            }
        }
    };
    format!("{}: expected {}, found {}", place, expected, found)
}

/// What a misspelt word may have been meant to be, and what it can be.
pub fn meant(word: &str, words: &[&str]) -> String {
    let near = words.iter().map(|w| (distance(word, w), w)).min();
    let all = words.join(", ");
    match near {
        Some((d, w)) if d <= 2 && d < w.len() => format!(", did you mean \"{}\"? Expected one of {}", w, all),
        _ => format!("; expected one of {}", all),
    }
}

/// How many letters must be changed, added or taken away to get from a to b.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let changed = diagonal + (x != y) as usize;
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_key() {
        let s = Settings::new(r#"{"a": 5, "b": "x", "c": {"d": 1}, "e": null}"#, &["a", "b", "c", "e"]).unwrap();
        assert_eq!(s.text("a").unwrap_err(), "a: expected a string, found 5");
        assert_eq!(s.flag("b").unwrap_err(), "b: expected true or false, found \"x\"");
        assert_eq!(s.number("a", 0, 4).unwrap_err(), "a: expected a whole number from 0 to 4, found 5");
        assert_eq!(s.texts("c").unwrap_err(), "c.d: expected a string, found 1");
        assert_eq!(s.text("e").unwrap(), None);
        assert_eq!(s.word("b", &["xx", "zzz"]).unwrap_err(), "b: unknown value \"x\", did you mean \"xx\"? Expected one of xx, zzz");
        let error = |text, keys: &[&str]| Settings::new(text, keys).err().unwrap();
        assert_eq!(error("[]", &[]), "the configuration: expected an object, found []");
        assert_eq!(error("{", &[]), "the configuration: not JSON from byte 1 on");
        assert_eq!(error(r#"{"issur": 1}"#, &["issuer", "key"]), "issur: unknown key, did you mean \"issuer\"? Expected one of issuer, key");
        assert_eq!(error(r#"{"x": 1}"#, &["issuer", "key"]), "x: unknown key; expected one of issuer, key");
    }
}
