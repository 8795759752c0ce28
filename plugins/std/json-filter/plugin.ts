// Rewrites JSON objects on their way: renames and removes keys, copies values to
// attributes, sets attributes by rules. One pass over the bytes; nested values
// pass as they are.

import { Json, Message, Needs, Plugin, Verdict, register } from "weft";
import { Mode, attributes, dropsInvalid, mode, read, rules } from "./config";
import * as block from "./block";
import * as edits from "./edits";
import { Slot, keyEnd as scannedEnd, scanKey } from "./names";
import { holds, scalar } from "./rules";
import { FAULT, isSpace, space, value } from "./scan";
export * from "weft/plugin";

/** A longer value is not copied to an attribute. */
const LONGEST_VALUE: i32 = 4096;

class JsonFilter extends Plugin {
  private number: u64 = 0;

  init(config: Json): string | null {
    return read(config);
  }

  needs(): Needs {
    const needs = Needs.none().payload();
    return attributes.length > 0 || rules.length > 0 ? needs.attributes() : needs;
  }

  message(m: Message): Verdict {
    const payload = m.payload;
    let first = payload.at;
    let end = first + payload.length;
    while (first < end && isSpace(load<u8>(first))) first++;
    while (end > first && isSpace(load<u8>(end - 1))) end--;
    if (end - first < 2 || load<u8>(first) != 0x7b || load<u8>(end - 1) != 0x7d) return invalid(m);
    const number = ++this.number;
    edits.clear();
    if (!members(first + 1, end - 1, number)) return invalid(m);
    if (edits.edits > 0) m.setPayload(edits.apply(payload.at, first + 1, end - 1, payload.at + payload.length));
    setAttributes(m, number);
    return Verdict.Continue;
  }
}

function invalid(m: Message): Verdict {
  return dropsInvalid ? m.drop("json: invalid") : Verdict.Continue;
}

/** Scans the members of an object between its braces. False if it is none. */
function members(start: usize, last: usize, number: u64): bool {
  let key = space(start);
  if (key == last) return true;
  while (true) {
    if (load<u8>(key) != 0x22) return false;
    const known = scanKey(key, last);
    const keyEnd = scannedEnd;
    if (keyEnd == FAULT) return false;
    let at = space(keyEnd);
    if (load<u8>(at) != 0x3a) return false;
    const from = space(at + 1);
    const to = value(from, last);
    if (to == FAULT || to > last) return false;
    at = space(to);
    if (known !== null) {
      if (take(known.slot, known.renamed, from, to, number)) {
        edits.add(start, key, keyEnd, known.renamed && stays(known.slot) ? known.slot : null, at);
      }
    } else if (mode == Mode.Keep) {
      edits.add(start, key, keyEnd, null, at);
    }
    const c = load<u8>(at);
    if (c != 0x2c) return c == 0x7d && at == last;
    start = at + 1;
    key = space(start);
  }
}

// @ts-ignore: decorator
@inline
function stays(slot: Slot): bool {
  return mode == Mode.All || slot.listed == (mode == Mode.Keep);
}

/**
 * Notes a value. Of several for one key the last counts, as nearly every reader
 * of JSON has it, and the key's own go before those of keys renamed to it. True
 * if the member is changed.
 */
// @ts-ignore: decorator
@inline
function take(slot: Slot, renamed: bool, from: usize, to: usize, number: u64): bool {
  if (slot.message != number) {
    slot.message = number;
    slot.own = false;
  }
  if (!renamed) slot.own = true;
  else slot.winner = edits.edits;
  if (!renamed || !slot.own) {
    slot.value = from;
    slot.end = to;
  }
  return renamed || !stays(slot);
}

function setAttributes(m: Message, number: u64): void {
  block.clear();
  for (let i = 0, n = attributes.length; i < n; i++) {
    const a = unchecked(attributes[i]);
    if (a.slot.message != number) continue;
    const b = scalar(a.slot);
    if (b !== null && b.length <= LONGEST_VALUE) block.note(m, a.begin, b.at, b.length);
  }
  for (let i = 0, n = rules.length; i < n; i++) {
    const r = unchecked(rules[i]);
    if (!holds(r, number)) continue;
    for (let k = 0, n = r.set.length; k < n; k++) {
      const a = unchecked(r.set[k]);
      block.note(m, a.begin, a.text.at, a.text.length);
    }
  }
  block.write(m);
}

register(new JsonFilter());
