import { isInput, take } from "./arena";

/**
 * Bytes of the message or of an answer: where they are, and how many. They live
 * until the hook returns; `copy` and `toString` give what lives longer. A value
 * of this class is not counted and not collected: it costs next to nothing.
 */
@unmanaged
export class Bytes {
  /** The address of the first byte. */
  at: usize;
  /** How many bytes. */
  length: i32;

  /** The bytes from `at` on. */
  // @ts-ignore: decorator
  @inline
  static of(at: usize, length: i32): Bytes {
    const b = changetype<Bytes>(take(8, 4));
    b.at = at;
    b.length = length;
    return b;
  }

  /** The UTF-8 bytes of a text. */
  static from(text: string): Bytes {
    const length = textLength(text);
    const at = take(length, 1);
    writeText(text, at);
    return Bytes.of(at, length);
  }

  /** The byte at an index. */
  // @ts-ignore: decorator
  @operator("[]")
  get(i: i32): u8 {
    if (<u32>i >= <u32>this.length) throw new RangeError("index out of range");
    return load<u8>(this.at + i);
  }

  /** Whether these are the UTF-8 bytes of `text`. */
  is(text: string): bool {
    return sameText(this.at, this.length, text);
  }

  /** Whether these are the same bytes as others. */
  equals(other: Bytes): bool {
    return this.length == other.length && memory.compare(this.at, other.at, this.length) == 0;
  }

  /** Whether they begin with the UTF-8 bytes of `text`. */
  startsWith(text: string): bool {
    const n = textLength(text);
    return n <= this.length && sameText(this.at, n, text);
  }

  /** The part from `from` up to `to`, without copying. */
  slice(from: i32, to: i32 = i32.MAX_VALUE): Bytes {
    if (to > this.length) to = this.length;
    if (from > to) from = to;
    return Bytes.of(this.at + from, to - from);
  }

  /** The index of a byte, or -1. */
  indexOf(byte: u8, from: i32 = 0): i32 {
    for (let i = from; i < this.length; i++) {
      if (load<u8>(this.at + i) == byte) return i;
    }
    return -1;
  }

  /** The bytes as text. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.at, this.length);
  }

  /** A copy that lives as long as it is used. */
  copy(): Uint8Array {
    const to = new Uint8Array(this.length);
    memory.copy(to.dataStart, this.at, this.length);
    return to;
  }
}

// Four UTF-16 units of which none is above 127.
const NOT_ASCII: u64 = 0xff80_ff80_ff80_ff80;

/** Four units without their upper bytes. */
// @ts-ignore: decorator
@inline
function squeeze(units: u64): u32 {
  const pairs = units | (units >> 8);
  return <u32>((pairs & 0xffff) | ((pairs >> 16) & 0xffff0000));
}

/** How many bytes a text has in UTF-8. */
export function textLength(text: string): i32 {
  const n = text.length;
  const from = changetype<usize>(text);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    if ((load<u64>(from + (<usize>i << 1)) & NOT_ASCII) != 0) return String.UTF8.byteLength(text);
  }
  for (; i < n; i++) {
    if (load<u16>(from + (<usize>i << 1)) > 127) return String.UTF8.byteLength(text);
  }
  return n;
}

/** Whether `length` bytes at an address are the UTF-8 bytes of `text`. */
export function sameText(at: usize, length: i32, text: string): bool {
  const n = text.length;
  if (n > length) return false;
  const from = changetype<usize>(text);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const units = load<u64>(from + (<usize>i << 1));
    if ((units & NOT_ASCII) != 0) return sameEncoded(at, length, text);
    if (squeeze(units) != load<u32>(at + i)) return false;
  }
  for (; i < n; i++) {
    const c = load<u16>(from + (<usize>i << 1));
    if (c > 127) return sameEncoded(at, length, text);
    if (c != load<u8>(at + i)) return false;
  }
  return n == length;
}

function sameEncoded(at: usize, length: i32, text: string): bool {
  const b = String.UTF8.encode(text);
  return b.byteLength == length && memory.compare(changetype<usize>(b), at, length) == 0;
}

/** Writes the UTF-8 bytes of a text, and gives the address behind them. */
// @ts-ignore: decorator
@inline
export function writeText(text: string, to: usize): usize {
  const n = text.length;
  const from = changetype<usize>(text);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const units = load<u64>(from + (<usize>i << 1));
    if ((units & NOT_ASCII) != 0) return encodeRest(from, i, n, to);
    store<u32>(to + i, squeeze(units));
  }
  for (; i < n; i++) {
    const c = load<u16>(from + (<usize>i << 1));
    if (c > 127) return encodeRest(from, i, n, to);
    store<u8>(to + i, c);
  }
  return to + n;
}

function encodeRest(from: usize, i: i32, n: i32, to: usize): usize {
  return to + i + String.UTF8.encodeUnsafe(from + (<usize>i << 1), n - i, to + i);
}

/**
 * Copies bytes. Topics and names are short: up to 64 bytes are copied by words
 * that may overlap, without a call.
 */
// @ts-ignore: decorator
@inline
export function copyBytes(to: usize, from: usize, n: usize): void {
  if (n > 64) {
    memory.copy(to, from, n);
  } else if (n >= 8) {
    let i: usize = 0;
    for (; i + 8 < n; i += 8) store<u64>(to + i, load<u64>(from + i));
    store<u64>(to + n - 8, load<u64>(from + n - 8));
  } else {
    for (let i: usize = 0; i < n; i++) store<u8>(to + i, load<u8>(from + i));
  }
}

// Where `place` puts its answer.
export let placedAt: usize = 0;
export let placedLength: i32 = 0;

/**
 * Puts a value where the host finds it until the next call: a string, Bytes, a
 * Writer, a Uint8Array, a StaticArray<u8> or an ArrayBuffer. Bytes and writers
 * stay where they are.
 */
// @ts-ignore: decorator
@inline
export function place<T>(value: T): void {
  if (isString<T>()) {
    placeText(changetype<string>(value));
  } else if (value instanceof Bytes) {
    placedAt = value.at;
    placedLength = value.length;
  } else if (value instanceof Writer) {
    value.finish();
    placedAt = value.at;
    placedLength = value.length;
  } else if (value instanceof Uint8Array) {
    placeCopy(value.dataStart, value.length);
  } else if (value instanceof ArrayBuffer) {
    placeCopy(changetype<usize>(value), value.byteLength);
  } else if (value instanceof StaticArray<u8>) {
    placeCopy(changetype<usize>(value), value.length);
  } else {
    ERROR("expected a string, Bytes, a Writer, a Uint8Array, a StaticArray<u8> or an ArrayBuffer");
  }
}

function placeText(text: string): void {
  const n = textLength(text);
  placedAt = take(n, 1);
  placedLength = n;
  writeText(text, placedAt);
}

function placeCopy(from: usize, length: i32): void {
  placedLength = length;
  if (isInput(from)) {
    placedAt = from;
    return;
  }
  placedAt = take(length, 1);
  copyBytes(placedAt, from, length);
}

import { Writer } from "./writer";
