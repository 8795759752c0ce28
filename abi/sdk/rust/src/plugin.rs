//! The trait that a plugin implements, and the loop over a batch.

use crate::arena;
use crate::memory;
use crate::message::Message;
use crate::needs::Needs;
use crate::verdict::Verdict;
use crate::abi;

/// A plugin. Weft makes one instance for each event loop that uses it; calls
/// never overlap. [`plugin!`](crate::plugin) makes a type that implements this a
/// module that weft loads.
pub trait Plugin: Sized {
    /// Makes the plugin from its configuration: JSON, `{}` where the operator
    /// gave none. The operator reads the error.
    fn init(config: &str) -> Result<Self, String>;

    /// Decides about a message. Called again with the same message if another
    /// one of its batch made the instance fail.
    fn message(&mut self, m: &mut Message) -> Verdict;

    /// What weft must fill in. Less is faster; everything by default.
    fn needs(&self) -> Needs {
        Needs::all()
    }

    /// A session begins. Continue accepts it, drop and close refuse it, reply
    /// accepts it and sends a greeting.
    fn open(&mut self, _session: &mut Message) -> Verdict {
        Verdict::Continue
    }

    /// A session has ended; the attribute `reason` says why.
    fn close(&mut self, _session: &mut Message) {}

    /// Time has passed, as often as the operator's configuration says.
    fn tick(&mut self, _tick: &mut Message) {}

    /// The asynchronous call that the message waited for has been answered.
    fn resume(&mut self, _m: &mut Message) -> Verdict {
        Verdict::Continue
    }

    /// What the plugin's next generation is to know; no hook is called after it.
    fn snapshot(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over what the previous generation's `snapshot` gave.
    fn restore(&mut self, _state: &[u8]) -> Result<(), String> {
        Ok(())
    }
}

/// Calls `hook` for each of `count` records and writes its answers into them.
///
/// # Safety
/// `records` must be the address of that many records that the host filled in.
#[inline(always)]
pub unsafe fn run(records: u32, count: u32, mut hook: impl FnMut(&mut Message) -> Verdict) -> u32 {
    const SIZE: u32 = abi::RECORD_SIZE as u32;
    arena::reset();
    let end = records + count * SIZE;
    let mut at = records;
    while at != end {
        let mut m = Message::at(at);
        let verdict = hook(&mut m);
        m.decide(verdict);
        at += SIZE;
        if let Some((session, context)) = m.changed_context() {
            carry(at, end, session, context);
        }
    }
    count
}

/// Later messages of the same session in the batch were filled in before its
/// context was changed.
#[inline(never)]
unsafe fn carry(mut at: u32, end: u32, session: u64, context: u64) {
    while at != end {
        Message::at(at).inherit(session, context);
        at += abi::RECORD_SIZE as u32;
    }
}

/// Makes a plugin, and gives the error as a packed span.
///
/// # Safety
/// The span must be the configuration in the input buffer.
pub unsafe fn init<P: Plugin>(plugin: &mut Option<P>, config: u32, length: u32) -> u64 {
    arena::reset();
    let made = match core::str::from_utf8(memory::bytes(config, length)) {
        Ok(text) => P::init(text),
        Err(e) => Err(format!("the configuration is not UTF-8: {}", e)),
    };
    match made {
        Ok(p) => {
            *plugin = Some(p);
            0
        }
        Err(e) => packed(error(&e).as_bytes()),
    }
}

/// Hands a snapshot to the plugin, and gives the error as a packed span.
///
/// # Safety
/// The span must be the state in the input buffer.
pub unsafe fn restore<P: Plugin>(plugin: &mut P, state: u32, length: u32) -> u64 {
    arena::reset();
    match plugin.restore(memory::bytes(state, length)) {
        Ok(()) => 0,
        Err(e) => packed(error(&e).as_bytes()),
    }
}

/// Takes a snapshot: its packed span, 0 for none.
pub fn snapshot<P: Plugin>(plugin: &mut P) -> u64 {
    arena::reset();
    match plugin.snapshot() {
        Some(state) if !state.is_empty() => packed(&state),
        _ => 0,
    }
}

/// An error's text within its limit; something where there is nothing, because
/// an empty text would say that there is no error.
fn error(text: &str) -> &str {
    if text.is_empty() {
        return "the plugin gave no reason";
    }
    let mut end = text.len().min(abi::MAX_ERROR);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn packed(b: &[u8]) -> u64 {
    let lent = arena::lend(b);
    (lent.address as u64) << 32 | lent.length as u64
}
