import * as abi from "./abi";
import { take } from "./arena";
import { Attributes, change, find, valueAt } from "./attributes";
import { Bytes, place, placedAt, placedLength } from "./bytes";
import { Emit } from "./emit";
import { Response } from "./http";

/** A plugin's decision about one message. All but Continue are made by the methods of Message. */
export enum Verdict {
  /** The message, as changed, goes to the next plugin, and after the last one to the configured routes. */
  Continue = 0,
  /** See Message.drop. */
  Drop = 1,
  /** See Message.reply. */
  Reply = 2,
  /** See Message.route. */
  Route = 3,
  /** See Message.close. */
  Close = 4,
  /** See Message.pause. */
  Pause = 5,
}

/** What a message is for. */
export enum Type {
  /** Nobody answers it. */
  Event = 0,
  /** A response with the same sequence id is expected. */
  Request = 1,
  /** Answers the request with the same sequence id. */
  Response = 2,
  /** Says that a message was taken over. */
  Ack = 3,
  /** Keeps a connection alive. Weft answers these itself. */
  Heartbeat = 4,
}

/**
 * One message of a batch. Reading a field costs a load; changing one copies the
 * new value at most once and tells weft. What the readers return lives until the
 * hook returns. It is an address, not an object: do not keep it.
 *
 * In `open`, `close` and `tick` it is not a message but the event: it has a
 * session (except in `tick`), attributes, a context, a time and a listener.
 */
@unmanaged
export class Message {
  // No fields: a Message is the address of its record.

  // @ts-ignore: decorator
  @inline
  private get record(): usize {
    return changetype<usize>(this);
  }

  // @ts-ignore: decorator
  @inline
  private span(offset: usize): Bytes {
    return Bytes.of(load<u32>(this.record + offset), load<u32>(this.record + offset, 4));
  }

  // @ts-ignore: decorator
  @inline
  private change(bit: u32): void {
    store<u32>(this.record, load<u32>(this.record, abi.RECORD_CHANGES) | bit, abi.RECORD_CHANGES);
  }

  /** The topic. */
  // @ts-ignore: decorator
  @inline
  get topic(): Bytes {
    return this.span(abi.RECORD_TOPIC);
  }

  /** The payload; only its beginning if payloadIsCut. */
  // @ts-ignore: decorator
  @inline
  get payload(): Bytes {
    return this.span(abi.RECORD_PAYLOAD);
  }

  /** The payload's whole length in bytes, also if it is cut. */
  get payloadTotal(): i32 {
    return load<u32>(this.record, abi.RECORD_PAYLOAD_TOTAL);
  }

  /** True if `needs` asked for fewer bytes of the payload than there are. */
  get payloadIsCut(): bool {
    return this.flag(abi.FLAG_PAYLOAD_PREFIX);
  }

  /** The value of an attribute, null if there is none of that name. */
  attribute(name: string): Bytes | null {
    const at = find(load<u32>(this.record, abi.RECORD_ATTRS), load<u32>(this.record, abi.RECORD_ATTRS + 4), name);
    return at == 0 ? null : valueAt(at);
  }

  /** Every attribute: `for (let a = m.attributes; a.next(); ) { a.name, a.value }`. */
  get attributes(): Attributes {
    return Attributes.of(load<u32>(this.record, abi.RECORD_ATTRS), load<u32>(this.record, abi.RECORD_ATTRS + 4));
  }

  /** Every attribute as one block of bytes (abi/SPEC.md, section 4.1), for `setAttributes`. */
  // @ts-ignore: decorator
  @inline
  get attributeBlock(): Bytes {
    return this.span(abi.RECORD_ATTRS);
  }

  /** A value in the session's context, null if there is none of that name. */
  context(name: string): Bytes | null {
    const at = find(load<u32>(this.record, abi.RECORD_CONTEXT), load<u32>(this.record, abi.RECORD_CONTEXT + 4), name);
    return at == 0 ? null : valueAt(at);
  }

  /** Everything in the session's context. */
  get contexts(): Attributes {
    return Attributes.of(load<u32>(this.record, abi.RECORD_CONTEXT), load<u32>(this.record, abi.RECORD_CONTEXT + 4));
  }

  /** The protocol's sequence id, 0 where it has none. */
  // @ts-ignore: decorator
  @inline
  get seq(): u64 {
    return load<u64>(this.record, abi.RECORD_SEQ);
  }

  /** What the message is for. A type of a later version reads as an event. */
  get type(): Type {
    const t = load<u8>(this.record, abi.RECORD_TYPE);
    return t > abi.TYPE_HEARTBEAT ? Type.Event : <Type>t;
  }

  /** 0 to 7, higher is delivered first. */
  // @ts-ignore: decorator
  @inline
  get priority(): u8 {
    return load<u8>(this.record, abi.RECORD_PRIORITY);
  }

  /** 0, 1 or 2: at most once, at least once, exactly once. */
  // @ts-ignore: decorator
  @inline
  get qos(): u8 {
    return load<u8>(this.record, abi.RECORD_QOS);
  }

  /** Names the connection's session; 0 for messages from the API and in `tick`. */
  // @ts-ignore: decorator
  @inline
  get session(): u64 {
    return load<u64>(this.record, abi.RECORD_SESSION);
  }

  /** When the message came, in nanoseconds since 1970-01-01 UTC; 0 unless the operator grants `clock`. */
  // @ts-ignore: decorator
  @inline
  get time(): i64 {
    return load<i64>(this.record, abi.RECORD_TIME);
  }

  /** The name of the listener that it came in by. */
  get listener(): Bytes {
    return this.span(abi.RECORD_LISTENER);
  }

  /** The sender asked that the message be kept for later subscribers. */
  get retain(): bool {
    return this.flag(abi.FLAG_RETAIN);
  }

  /** The message may have been delivered before. */
  get redelivered(): bool {
    return this.flag(abi.FLAG_REDELIVERED);
  }

  /** A plugin made this message. */
  get emitted(): bool {
    return this.flag(abi.FLAG_EMITTED);
  }

  // @ts-ignore: decorator
  @inline
  private flag(bit: u32): bool {
    return (load<u32>(this.record, abi.RECORD_FLAGS) & bit) != 0;
  }

  /** In `resume`: what the asynchronous call brought. */
  get answer(): Bytes {
    return this.span(abi.RECORD_ANSWER);
  }

  /** In `resume`: 0, or the number of the error. */
  get answerStatus(): i32 {
    return load<i32>(this.record, abi.RECORD_ANSWER_STATUS);
  }

  /** In `resume`: what a server answered; null if it did not, `answerStatus` says why. */
  get response(): Response | null {
    return this.answerStatus == 0 ? Response.of(this.answer) : null;
  }

  /** In `resume`: which call it was, the token given to `pause`. */
  get token(): u64 {
    return load<u64>(this.record, abi.RECORD_TOKEN);
  }

  /** Replaces the topic: 1 to 65,535 bytes, no wildcard, no zero byte. */
  setTopic<T>(topic: T): void {
    this.put<T>(abi.RECORD_TOPIC, topic);
    this.change(abi.CHANGED_TOPIC);
  }

  /** Replaces the payload, all of it: at most 16 MiB. */
  setPayload<T>(payload: T): void {
    this.put<T>(abi.RECORD_PAYLOAD, payload);
    this.change(abi.CHANGED_PAYLOAD);
  }

  /**
   * Sets an attribute, in place of one with the same name. If `needs` did not ask
   * for attributes, those that weft did not show are lost.
   */
  setAttribute<T>(name: string, value: T): void {
    place<T>(value);
    change(this.record + abi.RECORD_ATTRS, name, true);
    this.change(abi.CHANGED_ATTRS);
  }

  /**
   * Replaces all attributes at once by a block of bytes as abi/SPEC.md, section
   * 4.1, has it: for who sets several with every message. Weft refuses a malformed one.
   */
  // @ts-ignore: decorator
  @inline
  setAttributes<T>(block: T): void {
    this.put<T>(abi.RECORD_ATTRS, block);
    this.change(abi.CHANGED_ATTRS);
  }

  /** Removes an attribute; without an effect if there is none of the name. */
  removeAttribute(name: string): void {
    if (this.attribute(name) == null) return;
    change(this.record + abi.RECORD_ATTRS, name, false);
    this.change(abi.CHANGED_ATTRS);
  }

  /** Removes every attribute. */
  clearAttributes(): void {
    store<u64>(this.record, 0, abi.RECORD_ATTRS);
    this.change(abi.CHANGED_ATTRS);
  }

  /**
   * Remembers a value for the session: every plugin sees it with this and every
   * later message of the session. 4 KiB for all values together.
   */
  setContext<T>(name: string, value: T): void {
    place<T>(value);
    change(this.record + abi.RECORD_CONTEXT, name, true);
    this.change(abi.CHANGED_CONTEXT);
  }

  /** Forgets a value of the session. */
  removeContext(name: string): void {
    if (this.context(name) == null) return;
    change(this.record + abi.RECORD_CONTEXT, name, false);
    this.change(abi.CHANGED_CONTEXT);
  }

  /** Changes the sequence id. */
  setSeq(seq: u64): void {
    store<u64>(this.record, seq, abi.RECORD_SEQ);
    this.change(abi.CHANGED_SEQ);
  }

  /** Changes what the message is for. */
  setType(type: Type): void {
    store<u8>(this.record, <u8>type, abi.RECORD_TYPE);
    this.change(abi.CHANGED_TYPE);
  }

  /** Changes the priority, 0 to 7. */
  setPriority(priority: u8): void {
    store<u8>(this.record, priority, abi.RECORD_PRIORITY);
    this.change(abi.CHANGED_PRIORITY);
  }

  /** Changes the quality of service: 0, 1 or 2. */
  setQoS(qos: u8): void {
    store<u8>(this.record, qos, abi.RECORD_QOS);
    this.change(abi.CHANGED_QOS);
  }

  /**
   * Makes a further message, which goes on with the next plugin right behind this
   * one, whatever the verdict is: `m.emit("alarm/7", "too warm").priority(7)`.
   * At most 64 effects a message.
   */
  emit<T, P>(topic: T, payload: P): Emit {
    const e = this.effect(abi.EFFECT_EMIT);
    place<T>(topic);
    store<u32>(e, <u32>placedAt, abi.EFFECT_TOPIC);
    store<u32>(e, placedLength, abi.EFFECT_TOPIC + 4);
    place<P>(payload);
    store<u32>(e, <u32>placedAt, abi.EFFECT_PAYLOAD);
    store<u32>(e, placedLength, abi.EFFECT_PAYLOAD + 4);
    return changetype<Emit>(e);
  }

  /** Subscribes the message's session to a pattern. */
  subscribe<T>(pattern: T, qos: u8 = 0): void {
    const e = this.effect(abi.EFFECT_SUBSCRIBE);
    place<T>(pattern);
    store<u8>(e, qos, abi.EFFECT_QOS);
    store<u32>(e, <u32>placedAt, abi.EFFECT_TOPIC);
    store<u32>(e, placedLength, abi.EFFECT_TOPIC + 4);
  }

  /** Ends the session's subscription to a pattern. */
  unsubscribe<T>(pattern: T): void {
    const e = this.effect(abi.EFFECT_UNSUBSCRIBE);
    place<T>(pattern);
    store<u32>(e, <u32>placedAt, abi.EFFECT_TOPIC);
    store<u32>(e, placedLength, abi.EFFECT_TOPIC + 4);
  }

  /** Ends the message. The reason (at most 256 bytes) is counted: use few different ones. */
  drop<T>(reason: T): Verdict {
    this.put<T>(abi.RECORD_OUT, reason);
    return Verdict.Drop;
  }

  /**
   * Ends the message and sends `payload` to its session as a response with the
   * message's sequence id, priority, topic and attributes.
   */
  reply<T>(payload: T): Verdict {
    this.put<T>(abi.RECORD_OUT, payload);
    return Verdict.Reply;
  }

  /**
   * Ends the chain and sends the message to destinations, one a line, instead of
   * the configured routes: `subscribers`, `topic:NAME`, `node:NAME`, `all`,
   * `queue:NAME`, `upstream:NAME`, `reply`, `dead-letter`.
   */
  route<T>(destinations: T): Verdict {
    this.put<T>(abi.RECORD_OUT, destinations);
    return Verdict.Route;
  }

  /** Ends the message and closes its session once what was sent before has left. */
  close<T>(reason: T): Verdict {
    this.put<T>(abi.RECORD_OUT, reason);
    return Verdict.Close;
  }

  /** Holds the message until the asynchronous call with this token is answered. */
  pause(token: u64): Verdict {
    store<u64>(this.record, token, abi.RECORD_TOKEN);
    return Verdict.Pause;
  }

  // @ts-ignore: decorator
  @inline
  private put<T>(offset: usize, value: T): void {
    place<T>(value);
    store<u32>(this.record + offset, <u32>placedAt);
    store<u32>(this.record + offset, placedLength, 4);
  }

  /**
   * The address of one more effect record, zero but for its kind. Arrays have
   * room for a power of two, and their count tells which.
   */
  private effect(kind: u8): usize {
    let array: usize = load<u32>(this.record, abi.RECORD_EFFECTS);
    const count: usize = load<u32>(this.record, abi.RECORD_EFFECTS + 4);
    if (count == 0 || (count >= 4 && popcnt(count) == 1)) {
      const wider = take((count < 4 ? 4 : count * 2) * abi.EFFECT_SIZE, 8);
      memory.copy(wider, array, count * abi.EFFECT_SIZE);
      array = wider;
      store<u32>(this.record, <u32>array, abi.RECORD_EFFECTS);
    }
    store<u32>(this.record, <u32>count + 1, abi.RECORD_EFFECTS + 4);
    const e = array + count * abi.EFFECT_SIZE;
    memory.fill(e, 0, abi.EFFECT_SIZE);
    store<u8>(e, kind, abi.EFFECT_KIND);
    return e;
  }
}
