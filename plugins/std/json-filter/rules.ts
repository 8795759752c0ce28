import { Bytes, Json } from "weft";
import { Slot, Text } from "./names";
import { number } from "./scan";

/** An attribute that a message gets: from one of its values, or with a text of the configuration. */
export class Attribute {
  constructor(
    /** What it begins with, see `beginOf`. */
    public begin: Text,
    public slot: Slot,
    public text: Text
  ) {}
}

/** A condition on one value, and what it sets. */
export class Rule {
  above: f64 = NaN;
  below: f64 = NaN;
  compares: bool = false;
  /** The value must be in the message, or must not. */
  present: bool = true;
  /** What the value must equal: a string's text, or any other scalar as JSON. */
  equals: Text | null = null;
  equalsString: bool = false;
  set: Attribute[] = [];
  constructor(public slot: Slot) {}
}

/** Whether a rule holds for the message of this number. */
// @ts-ignore: decorator
@inline
export function holds(r: Rule, message: u64): bool {
  const slot = r.slot;
  if (slot.message != message) return !r.present;
  if (!r.present) return false;
  const equals = r.equals;
  if (equals !== null && !same(slot, equals, r.equalsString)) return false;
  if (!r.compares) return true;
  const n = numberOf(slot.value, slot.end);
  return !(n <= r.above) && !(n >= r.below) && n == n;
}

/** A number, or a string that holds one; NaN for anything else. */
function numberOf(at: usize, end: usize): f64 {
  if (load<u8>(at) == 0x22) {
    at++;
    end--;
    const c = load<u8>(at); // a quote in an empty string, which also ends every run of digits
    if ((c != 0x2d && <u32>c - 0x30 >= 10) || number(at) != end) return NaN;
  }
  const c = load<u8>(at);
  return c == 0x2d || <u32>c - 0x30 < 10 ? decimal(at, end) : NaN;
}

// What a number without an exponent is multiplied by for the digits of its fraction.
const POWERS: StaticArray<f64> = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/**
 * The value of a number. Up to 15 digits without an exponent are exact in a float,
 * and so are these powers of ten: one division rounds right. The rest goes the
 * long way.
 */
function decimal(from: usize, end: usize): f64 {
  let at = from;
  const negative = load<u8>(at) == 0x2d;
  if (negative) at++;
  let n: u64 = 0;
  let point: usize = 0;
  if (end - at > 16) return Json.of(from, end).f64();
  for (; at < end; at++) {
    const c = load<u8>(at);
    const d = <u32>c - 0x30;
    if (d < 10) n = n * 10 + d;
    else if (c == 0x2e) point = at;
    else return Json.of(from, end).f64();
  }
  let value = <f64>n;
  if (point != 0) value /= unchecked(POWERS[<i32>(end - point) - 1]);
  return negative ? -value : value;
}

function same(slot: Slot, equals: Text, isString: bool): bool {
  const j = Json.of(slot.value, slot.end);
  if (j.isString != isString) return false;
  const b = j.isString ? j.bytes() : j.raw;
  if (b.length == equals.length && memory.compare(b.at, equals.at, b.length) == 0) return true;
  return j.isNumber && decimal(slot.value, slot.end) == decimal(equals.at, equals.at + equals.length);
}

/** A scalar as the text of an attribute, null for null, arrays and objects. */
// @ts-ignore: decorator
@inline
export function scalar(slot: Slot): Bytes | null {
  const c = load<u8>(slot.value);
  if (c == 0x22) return Json.of(slot.value, slot.end).bytes();
  if (c == 0x7b || c == 0x5b || c == 0x6e) return null;
  return Bytes.of(slot.value, <i32>(slot.end - slot.value));
}
