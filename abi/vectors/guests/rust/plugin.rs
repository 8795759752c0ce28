//! The conformance guest: abi/vectors/README.md says what it does.

mod command;
mod report;
mod value;

use command::Run;
use weft::json::Value;
use weft::{Hook, Message, Needs, Plugin, Verdict};

#[derive(Default)]
struct Conformance {
    needs: Option<Needs>,
    messages: Option<String>,
    open: Option<String>,
    close: Option<String>,
    tick: Option<String>,
    resume: Option<String>,
    count: u64,
    sent: u64,
}

impl Plugin for Conformance {
    fn init(config: &str) -> Result<Self, String> {
        let config = weft::json::parse(config).map_err(|e| e.to_string())?;
        let text = |key: &str| config.get(key).and_then(|v| v.string());
        if let Some(error) = text("error") {
            return Err(error);
        }
        if config.get("trap").and_then(|v| v.bool()) == Some(true) {
            panic!("init was told to trap");
        }
        Ok(Conformance {
            needs: config.get("needs").map(needs),
            messages: text("messages"),
            open: text("open"),
            close: text("close"),
            tick: text("tick"),
            resume: text("resume"),
            count: 0,
            sent: 0,
        })
    }

    fn needs(&self) -> Needs {
        self.needs.unwrap_or_else(Needs::all)
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        Run::new("messages", &mut self.count, &mut self.sent).all(m, self.messages.as_deref(), true)
    }

    fn open(&mut self, m: &mut Message) -> Verdict {
        Run::new("open", &mut self.count, &mut self.sent).all(m, self.open.as_deref(), true)
    }

    fn close(&mut self, m: &mut Message) {
        let _ = Run::new("close", &mut self.count, &mut self.sent).all(m, self.close.as_deref(), false);
    }

    fn tick(&mut self, m: &mut Message) {
        let _ = Run::new("tick", &mut self.count, &mut self.sent).all(m, self.tick.as_deref(), false);
    }

    fn resume(&mut self, m: &mut Message) -> Verdict {
        let commands = self.resume.as_deref().unwrap_or("echo");
        Run::new("resume", &mut self.count, &mut self.sent).all(m, Some(commands), true)
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        Some(self.count.to_string().into_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        let digits = (1..=18).contains(&state.len()) && state.iter().all(|c| c.is_ascii_digit());
        if !digits {
            return Err("not a count".into());
        }
        self.count = state.iter().fold(0, |n, c| n * 10 + (c - b'0') as u64);
        Ok(())
    }
}

/// What the object `needs` of the configuration asks for.
fn needs(v: Value) -> Needs {
    let wants = |key: &str| v.get(key).and_then(|v| v.bool()) == Some(true);
    let mut n = Needs::none();
    if wants("topic") {
        n = n.topic();
    }
    if wants("attributes") {
        n = n.attributes();
    }
    if wants("context") {
        n = n.context();
    }
    if wants("listener") {
        n = n.listener();
    }
    n = match v.get("payload").and_then(|v| v.i64()).unwrap_or(0) {
        -1 => n.whole_payload(),
        bytes => n.payload(bytes as u32),
    };
    for hook in v.get("without").iter().flat_map(|v| v.items()) {
        n = match hook.str().as_deref() {
            Some("messages") => n.without(Hook::Messages),
            Some("open") => n.without(Hook::Open),
            Some("close") => n.without(Hook::Close),
            Some("tick") => n.without(Hook::Tick),
            Some("resume") => n.without(Hook::Resume),
            _ => n,
        };
    }
    n
}

weft::plugin!(Conformance, hooks: [open, close, tick, resume, snapshot]);
