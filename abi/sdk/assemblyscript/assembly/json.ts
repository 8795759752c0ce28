import { take } from "./arena";
import { Bytes, sameText } from "./bytes";

// A reader for JSON (RFC 8259) that builds nothing: values are slices of the
// document, and looking one up scans past the others.

/** Arrays and objects within each other at most this deep. */
const MAX_DEPTH: i32 = 64;

/** The end of a value that is none. */
const FAULT: usize = 0;

/**
 * One value of a document, or none: looking up what is not there gives a value
 * that does not exist, so look-ups can follow one another.
 *
 *     const limit = config.get("limits").get("celsius").f64(8.0);
 */
@unmanaged
export class Json {
  private at: usize;
  private end: usize;

  // @ts-ignore: decorator
  @inline
  static of(at: usize, end: usize): Json {
    const j = changetype<Json>(take(8, 4));
    j.at = at;
    j.end = end;
    return j;
  }

  private get first(): u8 {
    return this.at == 0 ? 0 : load<u8>(this.at);
  }

  /** Whether there is such a value. */
  get exists(): bool {
    return this.at != 0;
  }

  /** Whether it is null (and exists). */
  get isNull(): bool {
    return this.first == 0x6e;
  }

  get isString(): bool {
    return this.first == 0x22;
  }

  get isNumber(): bool {
    const c = this.first;
    return c == 0x2d || (c >= 0x30 && c <= 0x39);
  }

  get isBool(): bool {
    return this.first == 0x74 || this.first == 0x66;
  }

  get isArray(): bool {
    return this.first == 0x5b;
  }

  get isObject(): bool {
    return this.first == 0x7b;
  }

  /** The value as it stands in the document. */
  get raw(): Bytes {
    return Bytes.of(this.at, <i32>(this.end - this.at));
  }

  /** The value of a key, if it is an object that has it. */
  get(key: string): Json {
    if (!this.isObject) return NONE();
    return lookup(this.at, this.end, key);
  }

  /** The bool, or `otherwise` if it is none. */
  bool(otherwise: bool = false): bool {
    return this.isBool ? this.first == 0x74 : otherwise;
  }

  /** The whole number, or `otherwise` if it is none, has a fraction or exponent, or does not fit. */
  i64(otherwise: i64 = 0): i64 {
    if (!this.isNumber) return otherwise;
    const negative = this.first == 0x2d;
    let n: u64 = 0;
    for (let at = this.at + (negative ? 1 : 0); at < this.end; at++) {
      const d = <u64>load<u8>(at) - 0x30;
      if (d > 9 || n > 922337203685477580) return otherwise;
      n = n * 10 + d;
    }
    if (n > <u64>i64.MAX_VALUE + (negative ? 1 : 0)) return otherwise;
    return negative ? <i64>(0 - n) : <i64>n;
  }

  /** The number, or `otherwise` if it is none. */
  f64(otherwise: f64 = NaN): f64 {
    return this.isNumber ? parseNumber(this.at, this.end) : otherwise;
  }

  /** The bytes of the string, escapes resolved, or none if it is no string. Copies only if there are escapes. */
  bytes(): Bytes {
    if (!this.isString) return Bytes.of(this.at, 0);
    return unescape(this.at + 1, this.end - 1);
  }

  /** The string, or `otherwise` if it is none. */
  text(otherwise: string = ""): string {
    return this.isString ? this.bytes().toString() : otherwise;
  }

  /** Whether it is a string that says `text`. */
  is(text: string): bool {
    return this.isString && this.bytes().is(text);
  }

  /** The values of an array, or the keys and values of an object: `for (let i = j.items(); i.next(); ) { i.value }`. */
  items(): JsonItems {
    return JsonItems.of(this.at, this.isArray || this.isObject ? this.end - 1 : 0, this.isObject);
  }
}

/** The values of an array or object, one after the other. */
@unmanaged
export class JsonItems {
  private at: usize;
  private end: usize;
  private named: bool;
  private key_: usize;
  private keyEnd: usize;
  private value_: usize;
  private valueEnd: usize;

  static of(at: usize, end: usize, named: bool): JsonItems {
    const i = changetype<JsonItems>(take(offsetof<JsonItems>(), 4));
    i.at = at + 1;
    i.end = end;
    i.named = named;
    return i;
  }

  /** Goes to the next value; false if there is none. */
  next(): bool {
    let at = space(this.at, this.end);
    if (at >= this.end) return false;
    if (this.named) {
      const end = stringEnd(at, this.end);
      if (end == FAULT) return false;
      this.key_ = at;
      this.keyEnd = end;
      at = space(space(end, this.end) + 1, this.end);
    }
    const end = valueEnd(at, this.end);
    if (end == FAULT) return false;
    this.value_ = at;
    this.valueEnd = end;
    this.at = space(end, this.end) + 1;
    return true;
  }

  /** The value. */
  get value(): Json {
    return Json.of(this.value_, this.valueEnd);
  }

  /** The value's key in an object, escapes resolved. */
  get key(): Bytes {
    return this.named ? unescape(this.key_ + 1, this.keyEnd - 1) : Bytes.of(this.at, 0);
  }
}

function NONE(): Json {
  return Json.of(0, 0);
}

/** Checks a whole document and gives its value, which does not exist if the document is not JSON. */
export function parse(doc: Bytes): Json {
  const end = doc.at + doc.length;
  const at = space(doc.at, end);
  const last = valueEnd(at, end);
  if (last == FAULT || space(last, end) != end) return NONE();
  return Json.of(at, last);
}

/** The value of a key of the object in `doc`, which is checked only as far as it is read. The first of two alike counts. */
export function find(doc: Bytes, key: string): Json {
  const end = doc.at + doc.length;
  return lookup(space(doc.at, end), end, key);
}

function lookup(at: usize, end: usize, key: string): Json {
  if (at >= end || load<u8>(at) != 0x7b) return NONE();
  at = space(at + 1, end);
  while (true) {
    const keyEnd = stringEnd(at, end);
    if (keyEnd == FAULT) return NONE();
    const found = same(at + 1, keyEnd - 1, key);
    at = space(keyEnd, end);
    if (at >= end || load<u8>(at) != 0x3a) return NONE();
    at = space(at + 1, end);
    const last = valueEnd(at, end);
    if (last == FAULT) return NONE();
    if (found) return Json.of(at, last);
    at = space(last, end);
    if (at >= end || load<u8>(at) != 0x2c) return NONE();
    at = space(at + 1, end);
  }
}

function same(at: usize, end: usize, text: string): bool {
  if (sameText(at, <i32>(end - at), text)) return true;
  return hasEscape(at, end) && unescape(at, end).is(text);
}

// @ts-ignore: decorator
@inline
function space(at: usize, end: usize): usize {
  while (at < end) {
    const c = load<u8>(at);
    if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) break;
    at++;
  }
  return at;
}

/**
 * The end of the value that begins at `at`. Goes into arrays and objects without
 * calling itself: one bit for each level says which of the two it is.
 */
function valueEnd(at: usize, end: usize): usize {
  let objects: u64 = 0;
  let depth: i32 = 0;
  while (true) {
    if (at >= end) return FAULT;
    const c = load<u8>(at);
    if (c == 0x22) {
      at = stringEnd(at, end);
    } else if (c == 0x7b || c == 0x5b) {
      if (depth == MAX_DEPTH) return FAULT;
      depth++;
      objects = (objects << 1) | u64(c == 0x7b);
      at = space(at + 1, end);
      if (at >= end) return FAULT;
      if (load<u8>(at) != c + 2) {
        if (c == 0x7b) at = keyEnd(at, end);
        if (at == FAULT) return FAULT;
        continue;
      }
    } else if (c == 0x2d || (c >= 0x30 && c <= 0x39)) {
      at = numberEnd(at, end);
    } else {
      at = literalEnd(at, end);
    }
    if (at == FAULT) return FAULT;
    // A value has ended: close what ends with it, or go on behind a comma.
    while (true) {
      if (depth == 0) return at;
      at = space(at, end);
      if (at >= end) return FAULT;
      const object = (objects & 1) != 0;
      const next = load<u8>(at);
      if (next == 0x2c) {
        at = space(at + 1, end);
        if (object) at = keyEnd(at, end);
        if (at == FAULT) return FAULT;
        break;
      }
      if (next != (object ? 0x7d : 0x5d)) return FAULT;
      at++;
      depth--;
      objects >>= 1;
    }
  }
}

/** The beginning of the value of the key that begins at `at`. */
function keyEnd(at: usize, end: usize): usize {
  at = stringEnd(at, end);
  if (at == FAULT) return FAULT;
  at = space(at, end);
  if (at >= end || load<u8>(at) != 0x3a) return FAULT;
  return space(at + 1, end);
}

/** The end of the string that begins at `at`, behind its closing quote. */
function stringEnd(at: usize, end: usize): usize {
  if (at >= end || load<u8>(at) != 0x22) return FAULT;
  at++;
  while (at < end) {
    const c = load<u8>(at);
    if (c == 0x22) return at + 1;
    if (c < 0x20) return FAULT;
    if (c == 0x5c) {
      if (at + 1 >= end) return FAULT;
      const e = load<u8>(at, 1);
      if (e == 0x75) {
        if (hex4(at + 2, end) < 0) return FAULT;
        at += 4;
      } else if (e != 0x22 && e != 0x5c && e != 0x2f && e != 0x62 && e != 0x66 && e != 0x6e && e != 0x72 && e != 0x74) {
        return FAULT;
      }
      at++;
    }
    at++;
  }
  return FAULT;
}

function digitsEnd(at: usize, end: usize): usize {
  const from = at;
  while (at < end && <u32>load<u8>(at) - 0x30 < 10) at++;
  return at == from ? FAULT : at;
}

function numberEnd(at: usize, end: usize): usize {
  if (load<u8>(at) == 0x2d) at++;
  const first = at;
  at = digitsEnd(at, end);
  if (at == FAULT || (load<u8>(first) == 0x30 && at > first + 1)) return FAULT;
  if (at < end && load<u8>(at) == 0x2e) {
    at = digitsEnd(at + 1, end);
    if (at == FAULT) return FAULT;
  }
  if (at < end && (load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (at < end && (load<u8>(at) == 0x2b || load<u8>(at) == 0x2d)) at++;
    at = digitsEnd(at, end);
  }
  return at;
}

function literalEnd(at: usize, end: usize): usize {
  const left = end - at;
  if (left >= 4) {
    const word = load<u32>(at);
    if (word == 0x65757274 || word == 0x6c6c756e) return at + 4; // true, null
    if (left >= 5 && word == 0x736c6166 && load<u8>(at, 4) == 0x65) return at + 5; // false
  }
  return FAULT;
}

/** The number in four hexadecimal digits, or -1. */
function hex4(at: usize, end: usize): i32 {
  if (at + 4 > end) return -1;
  let n = 0;
  for (let i: usize = 0; i < 4; i++) {
    const c = <i32>load<u8>(at + i);
    let d = c - 0x30;
    if (<u32>d > 9) {
      d = (c | 0x20) - 0x57;
      if (d < 10 || d > 15) return -1;
    }
    n = (n << 4) | d;
  }
  return n;
}

function hasEscape(at: usize, end: usize): bool {
  for (; at < end; at++) {
    if (load<u8>(at) == 0x5c) return true;
  }
  return false;
}

/** The bytes that the inside of a string means. A surrogate without its other half becomes U+FFFD. */
function unescape(at: usize, end: usize): Bytes {
  if (!hasEscape(at, end)) return Bytes.of(at, <i32>(end - at));
  const start = take(end - at, 1); // never longer than its escaped form
  let to = start;
  while (at < end) {
    const c = load<u8>(at++);
    if (c != 0x5c) {
      store<u8>(to++, c);
      continue;
    }
    const e = load<u8>(at++);
    if (e != 0x75) {
      store<u8>(to++, e == 0x62 ? 0x08 : e == 0x66 ? 0x0c : e == 0x6e ? 0x0a : e == 0x72 ? 0x0d : e == 0x74 ? 0x09 : e);
      continue;
    }
    let n = hex4(at, end);
    at += 4;
    if (n >= 0xd800 && n < 0xe000) {
      let low = -1;
      if (n < 0xdc00 && at + 6 <= end && load<u16>(at) == 0x755c) low = hex4(at + 2, end);
      if (low >= 0xdc00 && low < 0xe000) {
        n = 0x10000 + ((n - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
      } else {
        n = 0xfffd;
      }
    }
    to = writeRune(n, to);
  }
  return Bytes.of(start, <i32>(to - start));
}

function writeRune(n: i32, to: usize): usize {
  if (n < 0x80) {
    store<u8>(to, n);
    return to + 1;
  }
  if (n < 0x800) {
    store<u8>(to, 0xc0 | (n >> 6));
    store<u8>(to, 0x80 | (n & 63), 1);
    return to + 2;
  }
  if (n < 0x10000) {
    store<u8>(to, 0xe0 | (n >> 12));
    store<u8>(to, 0x80 | ((n >> 6) & 63), 1);
    store<u8>(to, 0x80 | (n & 63), 2);
    return to + 3;
  }
  store<u8>(to, 0xf0 | (n >> 18));
  store<u8>(to, 0x80 | ((n >> 12) & 63), 1);
  store<u8>(to, 0x80 | ((n >> 6) & 63), 2);
  store<u8>(to, 0x80 | (n & 63), 3);
  return to + 4;
}

/**
 * The value of a number's text. Up to 15 digits and a power of ten up to 22 are
 * exact in one division or multiplication; the rest goes the long way.
 */
function parseNumber(at: usize, end: usize): f64 {
  const from = at;
  const negative = load<u8>(at) == 0x2d;
  if (negative) at++;
  let n: u64 = 0;
  let digits = 0;
  let scale = 0;
  let fraction = false;
  for (; at < end; at++) {
    const c = load<u8>(at);
    if (c == 0x2e) {
      fraction = true;
      continue;
    }
    const d = <u32>c - 0x30;
    if (d > 9) break;
    n = n * 10 + d;
    if (n != 0) digits++;
    if (fraction) scale++;
    if (digits > 15) return slowNumber(from, end);
  }
  if (at < end || scale > 22) return slowNumber(from, end);
  let value = <f64>n;
  if (scale > 0) value /= powerOfTen(scale);
  return negative ? -value : value;
}

function powerOfTen(n: i32): f64 {
  let p: f64 = 1.0;
  for (; n > 0; n--) p *= 10.0;
  return p;
}

function slowNumber(at: usize, end: usize): f64 {
  return parseFloat(String.UTF8.decodeUnsafe(at, end - at));
}
