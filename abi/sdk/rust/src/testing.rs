//! Runs a plugin in an ordinary test, without weft and without WebAssembly: the
//! same code over the same records, with stand-ins for the host functions.
//!
//! ```
//! use weft::testing::{Guest, Input, Decision};
//! # use weft::{Message, Plugin, Verdict};
//! # struct Guard;
//! # impl Plugin for Guard {
//! #     fn init(_: &str) -> Result<Self, String> { Ok(Guard) }
//! #     fn message(&mut self, m: &mut Message) -> Verdict {
//! #         if m.payload().is_empty() { Verdict::drop("empty") } else { Verdict::Continue }
//! #     }
//! # }
//! let mut guest = Guest::<Guard>::new("{}").unwrap();
//! let out = guest.message(&Input { topic: "raw".into(), ..Input::default() });
//! assert_eq!(out.decision, Decision::Drop("empty".into()));
//! ```

use crate::abi;
use crate::arena;
use crate::attributes::Attributes;
use crate::host::standin;
use crate::memory;
use crate::needs::Hook;
use crate::plugin::{self, Plugin};
use crate::verdict::Verdict;

pub use crate::host::standin::{Request, Rule};
pub use crate::log::Level;
pub use crate::message::Type;

/// A message as it comes to the plugin.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Input {
    pub topic: String,
    pub payload: Vec<u8>,
    pub attributes: Vec<(String, Vec<u8>)>,
    pub context: Vec<(String, Vec<u8>)>,
    pub message_type: Type,
    pub priority: u8,
    pub qos: u8,
    pub session: u64,
    pub seq: u64,
    pub time: i64,
    pub listener: String,
    /// For [`Guest::resume`]: which call was answered, and how.
    pub token: u64,
    pub answer_status: i32,
    pub answer: Vec<u8>,
}

impl Default for Input {
    fn default() -> Self {
        Input {
            topic: String::new(),
            payload: Vec::new(),
            attributes: Vec::new(),
            context: Vec::new(),
            message_type: Type::Event,
            priority: 0,
            qos: 0,
            session: 1,
            seq: 0,
            time: 0,
            listener: String::new(),
            token: 0,
            answer_status: 0,
            answer: Vec::new(),
        }
    }
}

impl Input {
    /// A message with this topic and payload.
    pub fn new(topic: &str, payload: impl AsRef<[u8]>) -> Input {
        Input { topic: topic.into(), payload: payload.as_ref().to_vec(), ..Input::default() }
    }

    /// The same with an attribute.
    pub fn attribute(mut self, name: &str, value: impl AsRef<[u8]>) -> Input {
        self.attributes.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// The same with a value in the session's context.
    pub fn context(mut self, name: &str, value: impl AsRef<[u8]>) -> Input {
        self.context.push((name.into(), value.as_ref().to_vec()));
        self
    }

    /// The same with an answer of a server to the request with this token.
    pub fn answered(mut self, token: u64, status: u16, header: &[(&str, &str)], body: impl AsRef<[u8]>) -> Input {
        let header: Vec<_> = header.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())).collect();
        let block = block(&header);
        self.token = token;
        self.answer = (status as u32).to_le_bytes().to_vec();
        self.answer.extend_from_slice(&(block.len() as u32).to_le_bytes());
        self.answer.extend_from_slice(&block);
        self.answer.extend_from_slice(body.as_ref());
        self
    }

    /// The same with the news that there is no answer to the request with this
    /// token; `status` is a number of abi/SPEC.md, section 6, such as -7.
    pub fn failed(mut self, token: u64, status: i32) -> Input {
        self.token = token;
        self.answer_status = status;
        self
    }
}

/// A verdict with what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Decision {
    Continue,
    Drop(String),
    Reply(Vec<u8>),
    Route(Vec<String>),
    Close(String),
    Pause(u64),
}

/// What a plugin caused beside its verdict.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Effect {
    Emit {
        topic: String,
        payload: Vec<u8>,
        attributes: Vec<(String, Vec<u8>)>,
        message_type: Type,
        priority: u8,
        qos: u8,
        seq: u64,
        retain: bool,
    },
    Subscribe { pattern: String, qos: u8 },
    Unsubscribe { pattern: String },
}

/// A message as the plugin left it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Output {
    pub decision: Decision,
    pub topic: String,
    pub payload: Vec<u8>,
    pub attributes: Vec<(String, Vec<u8>)>,
    pub context: Vec<(String, Vec<u8>)>,
    pub message_type: Type,
    pub priority: u8,
    pub qos: u8,
    pub seq: u64,
    pub effects: Vec<Effect>,
    /// The fields that were changed, as bits of the contract.
    pub changes: u32,
}

impl Output {
    /// The value of an attribute as text.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        lookup(&self.attributes, name)
    }

    /// A value in the session's context as text.
    pub fn context(&self, name: &str) -> Option<&str> {
        lookup(&self.context, name)
    }
}

fn lookup<'a>(list: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    list.iter().find(|(n, _)| n == name).and_then(|(_, v)| std::str::from_utf8(v).ok())
}

/// An instance of a plugin under test.
pub struct Guest<P: Plugin> {
    plugin: P,
}

impl<P: Plugin> Guest<P> {
    /// Makes the plugin from its configuration. The host functions' stand-ins
    /// begin anew.
    pub fn new(config: &str) -> Result<Guest<P>, String> {
        standin::with(|h| *h = standin::Host::default());
        P::init(config).map(|plugin| Guest { plugin })
    }

    /// The plugin itself.
    pub fn plugin(&mut self) -> &mut P {
        &mut self.plugin
    }

    /// Passes one message.
    pub fn message(&mut self, m: &Input) -> Output {
        self.messages(std::slice::from_ref(m)).remove(0)
    }

    /// Passes a batch.
    pub fn messages(&mut self, batch: &[Input]) -> Vec<Output> {
        let p = &mut self.plugin;
        run(Hook::Messages, batch, |m| p.message(m))
    }

    /// Brings a paused message back, with its answer.
    pub fn resume(&mut self, m: &Input) -> Output {
        let p = &mut self.plugin;
        run(Hook::Resume, std::slice::from_ref(m), |m| p.resume(m)).remove(0)
    }

    /// Begins a session.
    pub fn open(&mut self, session: &Input) -> Output {
        let p = &mut self.plugin;
        run(Hook::Open, std::slice::from_ref(session), |m| p.open(m)).remove(0)
    }

    /// Ends a session.
    pub fn close(&mut self, session: &Input) -> Output {
        let p = &mut self.plugin;
        run(Hook::Close, std::slice::from_ref(session), |m| {
            p.close(m);
            Verdict::Continue
        })
        .remove(0)
    }

    /// Lets time pass, to `time` on both clocks.
    pub fn tick(&mut self, time: i64) -> Output {
        set_time(time);
        let p = &mut self.plugin;
        let input = Input { session: 0, time, ..Input::default() };
        run(Hook::Tick, &[input], |m| {
            p.tick(m);
            Verdict::Continue
        })
        .remove(0)
    }

    /// Ends this instance, and hands its snapshot to a new one.
    pub fn swap(mut self, config: &str) -> Result<Guest<P>, String> {
        let state = self.plugin.snapshot();
        let mut plugin = P::init(config)?;
        if let Some(state) = state {
            plugin.restore(&state)?;
        }
        Ok(Guest { plugin })
    }
}

/// Sets both clocks, in nanoseconds.
pub fn set_time(time: i64) {
    standin::with(|h| {
        h.wall = time;
        h.monotonic = time;
    })
}

/// The lines that were logged on this thread since the guest was made.
pub fn logs() -> Vec<String> {
    standin::with(|h| h.logs.iter().map(|(_, text)| text.clone()).collect())
}

/// The requests that were begun on this thread since the guest was made; the first
/// has the token 1.
pub fn requests() -> Vec<Request> {
    standin::with(|h| h.requests.clone())
}

/// What was said of sources on this thread since the guest was made, in order; a
/// source that was unblocked is not there.
pub fn rules() -> Vec<Rule> {
    standin::with(|h| h.rules.clone())
}

/// Sets where a session comes from.
pub fn set_source(session: u64, address: &str) {
    standin::with(|h| h.sources.insert(session, address.to_string()));
}

/// The value of a counter or gauge, or how many values a histogram observed.
pub fn metric(name: &str) -> Option<f64> {
    standin::with(|h| h.metrics.iter().find(|m| m.0 == name).map(|m| m.2))
}

fn run(hook: Hook, batch: &[Input], f: impl FnMut(&mut crate::Message) -> Verdict) -> Vec<Output> {
    const SIZE: usize = abi::RECORD_SIZE;
    let bytes: usize = batch.iter().map(size).sum();
    let records = arena::input((batch.len() * SIZE + bytes) as u32);
    let mut free = records + (batch.len() * SIZE) as u32;
    for (i, m) in batch.iter().enumerate() {
        free = write(hook, records + (i * SIZE) as u32, free, m);
    }
    let count = unsafe { plugin::run(records, batch.len() as u32, f) };
    assert_eq!(count as usize, batch.len());
    (0..batch.len()).map(|i| read(records + (i * SIZE) as u32)).collect()
}

fn size(m: &Input) -> usize {
    let block = |list: &[(String, Vec<u8>)]| list.iter().map(|(n, v)| 4 + n.len() + v.len()).sum::<usize>();
    m.topic.len() + m.payload.len() + m.listener.len() + m.answer.len() + block(&m.attributes) + block(&m.context)
}

fn write(hook: Hook, at: u32, mut free: u32, m: &Input) -> u32 {
    let put = |offset: usize, b: &[u8]| arena::copy(b, at + offset as u32);
    put(0, &[0; abi::RECORD_SIZE]);
    put(abi::RECORD_HOOK, &[hook as u8, m.message_type as u8, m.priority, m.qos]);
    put(abi::RECORD_SESSION, &m.session.to_le_bytes());
    put(abi::RECORD_SEQ, &m.seq.to_le_bytes());
    put(abi::RECORD_TOKEN, &m.token.to_le_bytes());
    put(abi::RECORD_ANSWER_STATUS, &m.answer_status.to_le_bytes());
    put(abi::RECORD_TIME, &m.time.to_le_bytes());
    put(abi::RECORD_PAYLOAD_TOTAL, &(m.payload.len() as u32).to_le_bytes());
    let mut span = |offset: usize, b: &[u8]| {
        arena::copy(b, free);
        put(offset, &free.to_le_bytes());
        put(offset + 4, &(b.len() as u32).to_le_bytes());
        free += b.len() as u32;
    };
    span(abi::RECORD_TOPIC, m.topic.as_bytes());
    span(abi::RECORD_ATTRS, &block(&m.attributes));
    span(abi::RECORD_CONTEXT, &block(&m.context));
    span(abi::RECORD_PAYLOAD, &m.payload);
    span(abi::RECORD_LISTENER, m.listener.as_bytes());
    span(abi::RECORD_ANSWER, &m.answer);
    free
}

fn block(list: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut b = Vec::new();
    for (n, v) in list {
        b.extend((n.len() as u16).to_le_bytes());
        b.extend((v.len() as u16).to_le_bytes());
        b.extend(n.as_bytes());
        b.extend(v);
    }
    b
}

fn read(at: u32) -> Output {
    let span = |offset: usize| span(at + offset as u32);
    let number = |offset: usize| unsafe { memory::load::<u32>(at + offset as u32) };
    let byte = |offset: usize| unsafe { memory::load::<u8>(at + offset as u32) };
    let out = span(abi::RECORD_OUT);
    let decision = match number(abi::RECORD_VERDICT) {
        abi::VERDICT_CONTINUE => Decision::Continue,
        abi::VERDICT_DROP => Decision::Drop(text(out)),
        abi::VERDICT_REPLY => Decision::Reply(out.to_vec()),
        abi::VERDICT_ROUTE => Decision::Route(text(out).split('\n').map(String::from).collect()),
        abi::VERDICT_CLOSE => Decision::Close(text(out)),
        _ => Decision::Pause(unsafe { memory::load(at + abi::RECORD_TOKEN as u32) }),
    };
    let effects = number(abi::RECORD_EFFECTS);
    let count = number(abi::RECORD_EFFECTS + 4);
    Output {
        decision,
        topic: text(span(abi::RECORD_TOPIC)),
        payload: span(abi::RECORD_PAYLOAD).to_vec(),
        attributes: list(span(abi::RECORD_ATTRS)),
        context: list(span(abi::RECORD_CONTEXT)),
        message_type: Type::from(byte(abi::RECORD_TYPE)),
        priority: byte(abi::RECORD_PRIORITY),
        qos: byte(abi::RECORD_QOS),
        seq: unsafe { memory::load(at + abi::RECORD_SEQ as u32) },
        effects: (0..count).map(|i| effect(effects + i * abi::EFFECT_SIZE as u32)).collect(),
        changes: number(abi::RECORD_CHANGES),
    }
}

fn effect(at: u32) -> Effect {
    let span = |offset: usize| span(at + offset as u32);
    let byte = |offset: usize| unsafe { memory::load::<u8>(at + offset as u32) };
    let topic = text(span(abi::EFFECT_TOPIC));
    match byte(abi::EFFECT_KIND) {
        abi::EFFECT_SUBSCRIBE => Effect::Subscribe { pattern: topic, qos: byte(abi::EFFECT_QOS) },
        abi::EFFECT_UNSUBSCRIBE => Effect::Unsubscribe { pattern: topic },
        _ => Effect::Emit {
            topic,
            payload: span(abi::EFFECT_PAYLOAD).to_vec(),
            attributes: list(span(abi::EFFECT_ATTRS)),
            message_type: Type::from(byte(abi::EFFECT_TYPE)),
            priority: byte(abi::EFFECT_PRIORITY),
            qos: byte(abi::EFFECT_QOS),
            seq: unsafe { memory::load(at + abi::EFFECT_SEQ as u32) },
            retain: byte(abi::EFFECT_FLAGS) & abi::FLAG_RETAIN as u8 != 0,
        },
    }
}

fn span<'a>(at: u32) -> &'a [u8] {
    unsafe { memory::bytes(memory::load(at), memory::load(at + 4)) }
}

fn text(b: &[u8]) -> String {
    String::from_utf8_lossy(b).into_owned()
}

fn list(block: &[u8]) -> Vec<(String, Vec<u8>)> {
    Attributes::new(block).map(|(n, v)| (n.to_string(), v.to_vec())).collect()
}
