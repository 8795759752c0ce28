// Takes what matters out of JSON payloads: one pass over the bytes, which builds
// nothing and changes only what the configuration names.

import { Bytes, Json, Message, Needs, Plugin, Verdict, Writer, parse, register } from "weft";
import { Config, Rule } from "./config";
import { Member, Slot } from "./keys";
import { numberAt } from "./number";
import { begin, changed, count, member, scan, space, trim } from "./scan";
export * from "weft/plugin";

/** A longer value does not become an attribute. */
const MAX_VALUE: i32 = 1024;
/** Attributes are not added to a message that has this many bytes of them. */
const MAX_BLOCK: i32 = 32 << 10;

class JsonFilter extends Plugin {
  config: Config = new Config();

  init(doc: Json): string | null {
    this.config = Config.read(doc);
    return this.config.error;
  }

  needs(): Needs {
    const needs = Needs.none().payload();
    const c = this.config;
    return c.copies.length + c.rules.length > 0 ? needs.attributes() : needs;
  }

  message(m: Message): Verdict {
    const c = this.config;
    const payload = m.payload;
    const at = begin(payload.at, payload.at + payload.length);
    const end = trim(at, payload.at + payload.length);
    if (end - at >= 2 && load<u8>(at) == 0x7b && load<u8>(end - 1) == 0x7d) {
      clearSlots(c.slots);
      if (scan(at, end - 1, c.onlyNamed)) {
        if (changed) m.setPayload(rewritten(payload));
        if (count > 0 || c.wantsAbsence) setAttributes(m, c);
        return Verdict.Continue;
      }
    }
    return c.dropInvalid ? m.drop("json: not an object") : Verdict.Continue;
  }
}

// @ts-ignore: decorator
@inline
function clearSlots(slots: StaticArray<usize>): void {
  for (let i = 0, n = slots.length; i < n; i++) changetype<Slot>(unchecked(slots[i])).winner = 0;
}

/** Whether the payload loses the member with index `i`. */
// @ts-ignore: decorator
@inline
function goes(i: i32): bool {
  const known = member(i).known;
  return known == null || known.slot.removed || known.slot.winner != i + 1;
}

/** The payload with every change. */
function rewritten(payload: Bytes): Writer {
  const end = payload.at + payload.length;
  const to = Writer.create();
  let from = payload.at; // everything before it was written or left out
  let gone = 0; // members that were left out
  for (let i = 0; i < count; i++) {
    const it = member(i);
    if (!goes(i)) {
      const known = it.known!;
      if (!known.renamed) continue;
      to.raw(from, <i32>(it.key - from));
      to.raw(known.slot.quoted, known.slot.quotedLength);
      from = it.keyEnd;
      continue;
    }
    if (it.before > from) to.raw(from, <i32>(it.before - from));
    from = it.valueEnd;
    // While nothing is left in front of it, the comma behind it goes with it.
    if (gone++ == it.ordinal) {
      const comma = space(from);
      if (load<u8>(comma) == 0x2c) from = comma + 1;
    }
  }
  return to.raw(from, <i32>(end - from));
}

function setAttributes(m: Message, c: Config): void {
  if (c.copies.length + c.rules.length == 0 || !hasRoom(m)) return;
  for (let i = 0, n = c.copies.length; i < n; i++) {
    const copy = unchecked(c.copies[i]);
    const winner = copy.slot.winner;
    if (winner == 0) continue;
    const text = scalar(member(winner - 1));
    if (text != null && text.length <= MAX_VALUE) m.setAttribute<Bytes>(copy.attribute, text);
  }
  for (let i = 0, n = c.rules.length; i < n; i++) {
    const rule = unchecked(c.rules[i]);
    if (!holds(rule)) continue;
    for (let k = 0, n = rule.set.length; k < n; k++) {
      const mark = unchecked(rule.set[k]);
      m.setAttribute(mark.attribute, mark.value);
    }
  }
}

/** Whether the attributes that a configuration can set fit beside those that are there. */
function hasRoom(m: Message): bool {
  let size = 0;
  for (let a = m.attributes; a.next(); ) size += 4 + a.name.length + a.value.length;
  return size <= MAX_BLOCK;
}

/** The text of a value: a string's own, a number's or a bool's; null for anything else. */
function scalar(it: Member): Bytes | null {
  const length = <i32>(it.valueEnd - it.value);
  const c = load<u8>(it.value);
  if (c == 0x22) {
    const inside = Bytes.of(it.value + 1, length - 2);
    return inside.indexOf(0x5c) < 0 ? inside : parse(Bytes.of(it.value, length)).bytes();
  }
  return c == 0x6e || c == 0x7b || c == 0x5b ? null : Bytes.of(it.value, length);
}

/** Whether what a rule wants is so. A null is as good as no value. */
function holds(rule: Rule): bool {
  const winner = rule.slot.winner;
  if (winner == 0) return rule.wantsAbsence;
  const it = member(winner - 1);
  if (load<u8>(it.value) == 0x6e) return rule.wantsAbsence;
  if (rule.wantsAbsence) return false;
  if (rule.comparesNumber) {
    const n = numberAt(it.value, it.valueEnd);
    // What is no number is NaN, and neither above nor below nor equal.
    if (rule.hasAbove && !(n > rule.above)) return false;
    if (rule.hasBelow && !(n < rule.below)) return false;
    if (rule.hasNumber && n != rule.number) return false;
  }
  const text = rule.text;
  if (text !== null) return parse(Bytes.of(it.value, <i32>(it.valueEnd - it.value))).is(text);
  const word = rule.word;
  return word === null || Bytes.of(it.value, <i32>(it.valueEnd - it.value)).is(word);
}

register(new JsonFilter());
