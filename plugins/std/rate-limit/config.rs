//! The configuration, checked once.

use crate::bucket::Limit;
use crate::key::Template;
use crate::settings::{wrong, Settings};
use crate::sha256::{Sha256, SIZE};
use weft::json::{Kind, Value};

const KEYS: &[&str] = &["key", "rate", "burst", "cost", "over", "reason", "reply", "mark", "keys", "shared"];
const MOST_KEYS: i64 = 1 << 20;
const MOST_TOKENS: u64 = 1_000_000_000;
/// What a bucket for bytes holds at least, unless it is said.
const BYTES_AT_ONCE: u64 = 64 << 10;

pub struct Config {
    pub key: Template,
    pub limit: Limit,
    /// A message costs its payload's bytes, not one token.
    pub bytes: bool,
    pub over: Over,
    /// Why messages are dropped and sessions closed.
    pub reason: String,
    /// How many buckets are kept at least.
    pub keys: usize,
    pub shared: bool,
    print: [u8; SIZE],
}

/// What becomes of a message that is over the rate.
pub enum Over {
    Drop,
    Close,
    Reply(String),
    Mark(String, String),
}

impl Config {
    /// Tells configurations apart whose buckets do not mean the same.
    pub fn print(&self) -> [u8; SIZE] {
        self.print
    }
}

pub fn parse(text: &str) -> Result<Config, String> {
    let s = Settings::new(text, KEYS)?;
    let key = s.text("key")?.unwrap_or_else(|| "{session}".into());
    let bytes = s.word("cost", &["message", "byte"])?.map_or(false, |w| w == "byte");
    let (tokens, seconds) = rate(s.get("rate"))?;
    let a_second = (tokens + seconds - 1) / seconds;
    let usual = if bytes { a_second.max(BYTES_AT_ONCE) } else { a_second };
    let burst = s.number("burst", 1, MOST_TOKENS as i64)?.map_or(usual, |n| n as u64);
    let mut print = Sha256::new();
    print.update(&[bytes as u8]);
    print.update(key.as_bytes());
    let reason = s.text("reason")?.unwrap_or_else(|| "rate: too fast".into());
    if reason.is_empty() || reason.len() > 256 {
        return Err(format!("reason: expected 1 to 256 bytes, found {}", reason.len()));
    }
    Ok(Config {
        key: Template::new(&key).map_err(|e| format!("key: {}", e))?,
        limit: Limit::new(tokens, seconds, burst),
        bytes,
        over: over(&s)?,
        reason,
        keys: s.number("keys", 8, MOST_KEYS)?.unwrap_or(4096) as usize,
        shared: s.flag("shared")?.unwrap_or(false),
        print: print.finish(),
    })
}

/// `100`, `0.5`, `"100/s"`, `"600/m"`, `"10/h"` as tokens in so many seconds.
fn rate(v: Option<Value>) -> Result<(u64, u64), String> {
    let fail = || wrong("rate", v, "how many in a second, like 100 or 0.5, or \"100/s\", \"600/m\", \"10/h\"");
    let v = v.ok_or_else(fail)?;
    let text = match v.kind() {
        Kind::Number => String::from_utf8_lossy(v.raw()).into_owned(),
        _ => v.string().ok_or_else(fail)?,
    };
    let (count, seconds) = match text.split_once('/') {
        None => (text.as_str(), 1),
        Some((count, "s")) => (count, 1),
        Some((count, "m")) => (count, 60),
        Some((count, "h")) => (count, 3600),
        Some(_) => return Err(fail()),
    };
    let (whole, fraction) = count.trim().split_once('.').unwrap_or((count.trim(), ""));
    let digits = [whole, fraction].concat();
    if whole.is_empty() || fraction.len() > 3 || digits.len() > 13 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err(fail());
    }
    let tokens: u64 = digits.parse().map_err(|_| fail())?;
    let scale = 10u64.pow(fraction.len() as u32);
    if tokens == 0 || tokens > MOST_TOKENS * scale {
        return Err(fail());
    }
    Ok((tokens, seconds * scale))
}

fn over(s: &Settings) -> Result<Over, String> {
    let word = s.word("over", &["drop", "close", "reply", "mark"])?.unwrap_or_else(|| "drop".into());
    let mark = s.texts("mark")?;
    let reply = s.text("reply")?;
    for (key, set) in [("reply", reply.is_some()), ("mark", !mark.is_empty())] {
        if set && word != key {
            return Err(format!("{}: is set, but over is {}", key, word));
        }
    }
    Ok(match word.as_str() {
        "drop" => Over::Drop,
        "close" => Over::Close,
        "reply" => Over::Reply(reply.unwrap_or_else(|| "too fast".into())),
        _ => match <[_; 1]>::try_from(mark) {
            Ok([(name, value)]) if !name.is_empty() => Over::Mark(name, value),
            Ok(_) => return Err("mark: expected a name that is not empty".into()),
            Err(m) if m.is_empty() => Over::Mark("rate".into(), "over".into()),
            Err(m) => return Err(format!("mark: expected one attribute, found {}", m.len())),
        },
    })
}
