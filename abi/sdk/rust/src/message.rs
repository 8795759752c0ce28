//! One message of a batch, as a plugin sees and changes it.

use crate::abi;
use crate::arena::{self, Lent};
use crate::attributes::{self, Attributes};
use crate::content::Content;
use crate::effect::{self, Emit};
use crate::memory;
use crate::text;
use crate::verdict::Verdict;
use core::marker::PhantomData;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// Nobody answers it. A type of a later version reads as this one.
    Event = abi::TYPE_EVENT,
    /// A response with the same sequence id is expected.
    Request = abi::TYPE_REQUEST,
    /// Answers the request with the same sequence id.
    Response = abi::TYPE_RESPONSE,
    /// Says that a message was taken over.
    Ack = abi::TYPE_ACK,
    /// Keeps a connection alive. Weft answers these itself.
    Heartbeat = abi::TYPE_HEARTBEAT,
}

impl From<u8> for Type {
    #[inline]
    fn from(n: u8) -> Type {
        match n {
            abi::TYPE_REQUEST => Type::Request,
            abi::TYPE_RESPONSE => Type::Response,
            abi::TYPE_ACK => Type::Ack,
            abi::TYPE_HEARTBEAT => Type::Heartbeat,
            _ => Type::Event,
        }
    }
}

/// What an asynchronous host call brought; see [`Message::answer`].
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Which call it was, the token given to [`Verdict::Pause`].
    pub token: u64,
    /// 0, or the number of the error.
    pub status: i32,
    /// The answer itself.
    pub bytes: &'a [u8],
}

/// One message of a batch. Reading a field costs a load; changing one copies
/// the new value once and tells weft. What the readers return lives until the
/// hook returns, also when the field is changed meanwhile.
///
/// In `open`, `close` and `tick` it is not a message but the event: it has a
/// session (except in `tick`), attributes, a context, a time and a listener.
#[derive(Debug)]
pub struct Message<'a> {
    record: u32,
    batch: PhantomData<&'a u8>,
}

impl<'a> Message<'a> {
    #[inline(always)]
    pub(crate) unsafe fn at(record: u32) -> Message<'a> {
        Message { record, batch: PhantomData }
    }

    #[inline(always)]
    fn get<T: Copy>(&self, offset: usize) -> T {
        unsafe { memory::load(self.record + offset as u32) }
    }

    #[inline(always)]
    fn put<T: Copy>(&mut self, offset: usize, value: T) {
        unsafe { memory::store(self.record + offset as u32, value) }
    }

    #[inline(always)]
    fn span(&self, offset: usize) -> &'a [u8] {
        unsafe { memory::bytes(self.get(offset), self.get(offset + 4)) }
    }

    #[inline(always)]
    fn put_span(&mut self, offset: usize, to: Lent) {
        self.put(offset, to.address);
        self.put(offset + 4, to.length);
    }

    #[inline(always)]
    fn change(&mut self, bit: u32) {
        let had: u32 = self.get(abi::RECORD_CHANGES);
        self.put(abi::RECORD_CHANGES, had | bit);
    }

    /// The number of the call that the message came with. What was placed for one
    /// message (see [`Content::place`]) can be given to others of the same call.
    #[inline]
    pub fn call(&self) -> u32 {
        arena::call()
    }

    /// The topic.
    #[inline]
    pub fn topic(&self) -> &'a str {
        text::utf8(self.span(abi::RECORD_TOPIC))
    }

    /// The topic's bytes, which spares the check that they are text.
    #[inline]
    pub fn topic_bytes(&self) -> &'a [u8] {
        self.span(abi::RECORD_TOPIC)
    }

    /// The payload; only its beginning if [`Message::payload_is_cut`].
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.span(abi::RECORD_PAYLOAD)
    }

    /// The payload's whole length in bytes, also if it is cut.
    #[inline]
    pub fn payload_total(&self) -> usize {
        self.get::<u32>(abi::RECORD_PAYLOAD_TOTAL) as usize
    }

    /// True if `needs` asked for fewer bytes of the payload than there are.
    #[inline]
    pub fn payload_is_cut(&self) -> bool {
        self.flag(abi::FLAG_PAYLOAD_PREFIX)
    }

    /// The value of the attribute `name`.
    #[inline]
    pub fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        self.attributes().get(name)
    }

    /// The value of the attribute `name` as text; none if it is no UTF-8.
    #[inline]
    pub fn attribute_str(&self, name: &str) -> Option<&'a str> {
        self.attributes().get_str(name)
    }

    /// Every attribute: an iterator of names and values.
    #[inline]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.span(abi::RECORD_ATTRS))
    }

    /// The value of `name` in the session's context.
    #[inline]
    pub fn context(&self, name: &str) -> Option<&'a [u8]> {
        self.contexts().get(name)
    }

    /// The value of `name` in the session's context as text.
    #[inline]
    pub fn context_str(&self, name: &str) -> Option<&'a str> {
        self.contexts().get_str(name)
    }

    /// Everything in the session's context: an iterator of names and values.
    #[inline]
    pub fn contexts(&self) -> Attributes<'a> {
        Attributes::new(self.span(abi::RECORD_CONTEXT))
    }

    /// The protocol's sequence id, 0 where it has none.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.get(abi::RECORD_SEQ)
    }

    /// What the message is for.
    #[inline]
    pub fn message_type(&self) -> Type {
        Type::from(self.get::<u8>(abi::RECORD_TYPE))
    }

    /// 0 to 7, higher is delivered first.
    #[inline]
    pub fn priority(&self) -> u8 {
        self.get(abi::RECORD_PRIORITY)
    }

    /// 0, 1 or 2: at most once, at least once, exactly once.
    #[inline]
    pub fn qos(&self) -> u8 {
        self.get(abi::RECORD_QOS)
    }

    /// Names the connection's session; 0 for messages from the API and in `tick`.
    #[inline]
    pub fn session(&self) -> u64 {
        self.get(abi::RECORD_SESSION)
    }

    /// When the message came, in nanoseconds since 1970-01-01 UTC; 0 unless the
    /// operator grants `clock`.
    #[inline]
    pub fn time(&self) -> i64 {
        self.get(abi::RECORD_TIME)
    }

    /// The name of the listener that it came in by.
    #[inline]
    pub fn listener(&self) -> &'a str {
        text::utf8(self.span(abi::RECORD_LISTENER))
    }

    /// The listener's name in bytes, which spares the check that they are text.
    #[inline]
    pub fn listener_bytes(&self) -> &'a [u8] {
        self.span(abi::RECORD_LISTENER)
    }

    /// The sender asked that the message be kept for later subscribers.
    #[inline]
    pub fn retain(&self) -> bool {
        self.flag(abi::FLAG_RETAIN)
    }

    /// The message may have been delivered before.
    #[inline]
    pub fn redelivered(&self) -> bool {
        self.flag(abi::FLAG_REDELIVERED)
    }

    /// A plugin made this message.
    #[inline]
    pub fn emitted(&self) -> bool {
        self.flag(abi::FLAG_EMITTED)
    }

    #[inline(always)]
    fn flag(&self, bit: u32) -> bool {
        self.get::<u32>(abi::RECORD_FLAGS) & bit != 0
    }

    /// In `resume`: what the asynchronous call brought.
    pub fn answer(&self) -> Answer<'a> {
        Answer {
            token: self.get(abi::RECORD_TOKEN),
            status: self.get(abi::RECORD_ANSWER_STATUS),
            bytes: self.span(abi::RECORD_ANSWER),
        }
    }

    /// Replaces the topic: 1 to 65,535 bytes, no wildcard, no zero byte.
    #[inline]
    pub fn set_topic(&mut self, topic: impl Content) {
        self.put_span(abi::RECORD_TOPIC, topic.place());
        self.change(abi::CHANGED_TOPIC);
    }

    /// Replaces the payload, all of it: at most 16 MiB.
    #[inline]
    pub fn set_payload(&mut self, payload: impl Content) {
        let payload = payload.place();
        self.put_span(abi::RECORD_PAYLOAD, payload);
        self.change(abi::CHANGED_PAYLOAD);
    }

    /// Sets an attribute, in place of one with the same name. If `needs` did not
    /// ask for attributes, those that weft did not show are lost.
    ///
    /// # Panics
    /// If the name is empty or one of the two has more than 65,535 bytes.
    pub fn set_attribute(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let block = attributes::with(self.span(abi::RECORD_ATTRS), name, Some(value.as_ref()));
        self.put_span(abi::RECORD_ATTRS, block);
        self.change(abi::CHANGED_ATTRS);
    }

    /// Removes an attribute; without an effect if there is none of the name.
    pub fn remove_attribute(&mut self, name: &str) {
        if self.attribute(name).is_none() {
            return;
        }
        let block = attributes::with(self.span(abi::RECORD_ATTRS), name, None);
        self.put_span(abi::RECORD_ATTRS, block);
        self.change(abi::CHANGED_ATTRS);
    }

    /// Removes every attribute.
    pub fn clear_attributes(&mut self) {
        self.put_span(abi::RECORD_ATTRS, Lent::default());
        self.change(abi::CHANGED_ATTRS);
    }

    /// Remembers a value for the session: every plugin sees it with this and
    /// every later message of the session. 4 KiB for all values together.
    ///
    /// # Panics
    /// If the name is empty or one of the two has more than 65,535 bytes.
    pub fn set_context(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let block = attributes::with(self.span(abi::RECORD_CONTEXT), name, Some(value.as_ref()));
        self.put_span(abi::RECORD_CONTEXT, block);
        self.change(abi::CHANGED_CONTEXT);
    }

    /// Forgets a value of the session.
    pub fn remove_context(&mut self, name: &str) {
        if self.context(name).is_none() {
            return;
        }
        let block = attributes::with(self.span(abi::RECORD_CONTEXT), name, None);
        self.put_span(abi::RECORD_CONTEXT, block);
        self.change(abi::CHANGED_CONTEXT);
    }

    /// Changes the sequence id.
    #[inline]
    pub fn set_seq(&mut self, seq: u64) {
        self.put(abi::RECORD_SEQ, seq);
        self.change(abi::CHANGED_SEQ);
    }

    /// Changes what the message is for.
    #[inline]
    pub fn set_message_type(&mut self, to: Type) {
        self.put(abi::RECORD_TYPE, to as u8);
        self.change(abi::CHANGED_TYPE);
    }

    /// Changes the priority, 0 to 7.
    #[inline]
    pub fn set_priority(&mut self, priority: u8) {
        self.put(abi::RECORD_PRIORITY, priority);
        self.change(abi::CHANGED_PRIORITY);
    }

    /// Changes the quality of service: 0, 1 or 2.
    #[inline]
    pub fn set_qos(&mut self, qos: u8) {
        self.put(abi::RECORD_QOS, qos);
        self.change(abi::CHANGED_QOS);
    }

    /// Makes a further message, which goes on with the next plugin right behind
    /// this one, whatever the verdict is. At most 64 effects a message.
    pub fn emit(&mut self, e: Emit) {
        let at = self.effect();
        effect::emit(at, e);
    }

    /// Subscribes the message's session to a pattern.
    pub fn subscribe(&mut self, pattern: impl Content, qos: u8) {
        let at = self.effect();
        effect::subscription(at, abi::EFFECT_SUBSCRIBE, qos, pattern.place());
    }

    /// Ends the session's subscription to a pattern.
    pub fn unsubscribe(&mut self, pattern: impl Content) {
        let at = self.effect();
        effect::subscription(at, abi::EFFECT_UNSUBSCRIBE, 0, pattern.place());
    }

    /// The address of one more effect record, which is zero.
    fn effect(&mut self) -> u32 {
        let (array, count) = effect::one_more(self.get(abi::RECORD_EFFECTS), self.get(abi::RECORD_EFFECTS + 4));
        self.put(abi::RECORD_EFFECTS, array);
        self.put(abi::RECORD_EFFECTS + 4, count);
        array + (count - 1) * abi::EFFECT_SIZE as u32
    }

    #[inline(always)]
    pub(crate) fn decide(&mut self, verdict: Verdict) {
        let (verdict, out) = match verdict {
            Verdict::Continue => return,
            Verdict::Drop(b) => (abi::VERDICT_DROP, b),
            Verdict::Reply(b) => (abi::VERDICT_REPLY, b),
            Verdict::Route(b) => (abi::VERDICT_ROUTE, b),
            Verdict::Close(b) => (abi::VERDICT_CLOSE, b),
            Verdict::Pause(token) => {
                self.put(abi::RECORD_TOKEN, token);
                (abi::VERDICT_PAUSE, Lent::default())
            }
        };
        self.put(abi::RECORD_VERDICT, verdict);
        self.put_span(abi::RECORD_OUT, out);
    }

    /// The changed context's span and the session, if the context was changed.
    #[inline(always)]
    pub(crate) fn changed_context(&self) -> Option<(u64, u64)> {
        if self.get::<u32>(abi::RECORD_CHANGES) & abi::CHANGED_CONTEXT == 0 {
            return None;
        }
        Some((self.session(), self.get(abi::RECORD_CONTEXT)))
    }

    /// Gives a later message of the batch the context that its session now has.
    pub(crate) fn inherit(&mut self, session: u64, context: u64) {
        if self.session() == session {
            self.put(abi::RECORD_CONTEXT, context);
        }
    }
}
