//! Has a source blocked that sends what is no reading: see README.md.

use std::collections::HashMap;
use std::time::Duration;
use weft::{filter, Emit, Message, Needs, Plugin, Verdict};

struct Guard {
    strikes: u32,
    block: Duration,
    seen: HashMap<u64, u32>, // strikes by session
}

impl Plugin for Guard {
    fn init(config: &str) -> Result<Self, String> {
        let config = weft::json::parse(config).map_err(|e| e.to_string())?;
        let number = |key: &str, otherwise: i64| config.get(key).map_or(Some(otherwise), |v| v.i64()).filter(|n| *n > 0);
        Ok(Guard {
            strikes: number("strikes", 3).ok_or("strikes: expected a number above 0")? as u32,
            block: Duration::from_secs(number("seconds", 60).ok_or("seconds: expected a number above 0")? as u64),
            seen: HashMap::new(),
        })
    }

    fn needs(&self) -> Needs {
        Needs::none().whole_payload()
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        let session = m.session();
        if is_reading(m.payload()) {
            self.seen.remove(&session);
            return Verdict::Continue;
        }
        let strikes = self.seen.entry(session).or_insert(0);
        *strikes += 1;
        if *strikes < self.strikes {
            return Verdict::drop("no reading");
        }
        self.seen.remove(&session);
        match filter::source(m) {
            Ok(Some(source)) if filter::block(&source, Some(self.block)).is_ok() => {
                m.emit(Emit { topic: "guard/blocked", payload: source.as_str().as_bytes(), ..Emit::default() });
                Verdict::close("blocked")
            }
            _ => Verdict::close("no readings"), // over a ceiling of the grant, say
        }
    }

    fn close(&mut self, session: &mut Message) {
        self.seen.remove(&session.session());
    }
}

/// A reading is a JSON object with a number called celsius.
fn is_reading(payload: &[u8]) -> bool {
    let text = match std::str::from_utf8(payload) {
        Ok(text) => text,
        Err(_) => return false,
    };
    weft::json::parse(text).ok().and_then(|v| v.get("celsius").and_then(|v| v.f64())).is_some()
}

weft::plugin!(Guard, hooks: [close]);
