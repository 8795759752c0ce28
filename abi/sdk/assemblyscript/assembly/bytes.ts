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
    const length = String.UTF8.byteLength(text);
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
    const n = String.UTF8.byteLength(text);
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

/** Whether `length` bytes at an address are the UTF-8 bytes of `text`. */
export function sameText(at: usize, length: i32, text: string): bool {
  const n = text.length;
  if (n > length) return false;
  const from = changetype<usize>(text);
  for (let i = 0; i < n; i++) {
    const c = load<u16>(from + (<usize>i << 1));
    if (c > 127) {
      const b = String.UTF8.encode(text);
      return b.byteLength == length && memory.compare(changetype<usize>(b), at, length) == 0;
    }
    if (c != load<u8>(at + i)) return false;
  }
  return n == length;
}

/** Writes the UTF-8 bytes of a text, and gives the address behind them. */
export function writeText(text: string, to: usize): usize {
  const n = text.length;
  const from = changetype<usize>(text);
  for (let i = 0; i < n; i++) {
    const c = load<u16>(from + (<usize>i << 1));
    if (c > 127) {
      const rest = from + (<usize>i << 1);
      return to + i + String.UTF8.encodeUnsafe(rest, n - i, to + i);
    }
    store<u8>(to + i, c);
  }
  return to + n;
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
  const n = String.UTF8.byteLength(text);
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
  memory.copy(placedAt, from, length);
}

import { Writer } from "./writer";
