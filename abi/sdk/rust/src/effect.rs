//! What a message causes beside its verdict.

use crate::abi;
use crate::arena::{self, Lent};
use crate::attributes;
use crate::memory;
use crate::message::Type;

/// A message for [`Message::emit`](crate::Message::emit).
///
/// ```
/// # fn f(m: &mut weft::Message) {
/// m.emit(weft::Emit { topic: "alarm/7", payload: b"too warm", priority: 7, ..Default::default() });
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Emit<'b> {
    /// 1 to 65,535 bytes, no wildcard, no zero byte.
    pub topic: &'b str,
    /// At most 16 MiB.
    pub payload: &'b [u8],
    /// Names and values, no name twice.
    pub attributes: &'b [(&'b str, &'b [u8])],
    /// An event unless said otherwise.
    pub message_type: Type,
    /// 0 to 7.
    pub priority: u8,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The sequence id.
    pub seq: u64,
    /// Keep it for later subscribers.
    pub retain: bool,
}

impl Default for Emit<'_> {
    fn default() -> Self {
        Emit {
            topic: "",
            payload: &[],
            attributes: &[],
            message_type: Type::Event,
            priority: 0,
            qos: 0,
            seq: 0,
            retain: false,
        }
    }
}

/// Makes room for one more effect record behind `count` others, and gives the
/// array and the new count. The record is zero. Arrays have room for a power of
/// two, and their count tells which.
pub(crate) fn one_more(array: u32, count: u32) -> (u32, u32) {
    const SIZE: u32 = abi::EFFECT_SIZE as u32;
    const FIRST: u32 = 4;
    let mut array = array;
    if count == 0 || count >= FIRST && count.is_power_of_two() {
        let wider = arena::take((count * 2).max(FIRST) * SIZE, 8);
        arena::copy(unsafe { memory::bytes(array, count * SIZE) }, wider);
        array = wider;
    }
    for word in 0..SIZE / 8 {
        unsafe { memory::store(array + count * SIZE + word * 8, 0u64) }
    }
    (array, count + 1)
}

pub(crate) fn emit(at: u32, e: Emit) {
    let flags = if e.retain { abi::FLAG_RETAIN } else { 0 };
    unsafe {
        memory::store(at + abi::EFFECT_KIND as u32, abi::EFFECT_EMIT);
        memory::store(at + abi::EFFECT_TYPE as u32, e.message_type as u8);
        memory::store(at + abi::EFFECT_PRIORITY as u32, e.priority);
        memory::store(at + abi::EFFECT_QOS as u32, e.qos);
        memory::store(at + abi::EFFECT_FLAGS as u32, flags);
        memory::store(at + abi::EFFECT_SEQ as u32, e.seq);
    }
    span(at + abi::EFFECT_TOPIC as u32, arena::lend(e.topic.as_bytes()));
    span(at + abi::EFFECT_PAYLOAD as u32, arena::lend(e.payload));
    if !e.attributes.is_empty() {
        span(at + abi::EFFECT_ATTRS as u32, attributes::block(e.attributes));
    }
}

pub(crate) fn subscription(at: u32, kind: u8, qos: u8, pattern: Lent) {
    unsafe {
        memory::store(at + abi::EFFECT_KIND as u32, kind);
        memory::store(at + abi::EFFECT_QOS as u32, qos);
    }
    span(at + abi::EFFECT_TOPIC as u32, pattern);
}

fn span(at: u32, to: Lent) {
    unsafe {
        memory::store(at, to.address);
        memory::store(at + 4, to.length);
    }
}
