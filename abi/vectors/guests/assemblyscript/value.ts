// Bytes as a word, and words as bytes.

import { Bytes, Writer } from "weft";

/** What an argument means. */
export function read(word: Bytes): Bytes {
  if (word.is("-")) return word.slice(0, 0);
  const w = Writer.create();
  if (word.startsWith("0x")) {
    for (let i = 2; i < word.length; i += 2) w.byte((nibble(word[i]) << 4) | nibble(word[i + 1]));
    return w.toBytes();
  }
  if (word.startsWith("*")) {
    const n = <i32>integer(word.slice(1));
    for (let i = 0; i < n; i++) w.byte(<u8>(0x61 + (i % 26)));
    return w.toBytes();
  }
  return word;
}

function nibble(c: u8): u8 {
  return c < 0x3a ? c - 0x30 : (c | 0x20) - 0x57;
}

/** A whole number, negative or not; one that is not may have 64 bits. */
export function integer(word: Bytes): i64 {
  const negative = word.length > 0 && word[0] == 0x2d;
  let n: u64 = 0;
  for (let i = negative ? 1 : 0; i < word.length; i++) n = n * 10 + (word[i] - 0x30);
  return negative ? <i64>(0 - n) : <i64>n;
}

/** Appends bytes to a report. */
export function write(to: Writer, b: Bytes): void {
  if (b.length == 0) {
    to.byte(0x2d);
    return;
  }
  const first = b[0];
  let plain = first != 0x2d && first != 0x2a && first != 0x21 && !b.startsWith("0x");
  for (let i = 0; plain && i < b.length; i++) plain = b[i] >= 0x21 && b[i] <= 0x7e;
  if (plain) {
    to.bytes(b);
    return;
  }
  to.text("0x");
  for (let i = 0; i < b.length; i++) hex(to, b[i], 2);
}

/** Appends the last digits of a number in hexadecimal. */
export function hex(to: Writer, n: u64, digits: i32): void {
  for (let i = digits - 1; i >= 0; i--) {
    const d = <u8>((n >> (i << 2)) & 15);
    to.byte(d < 10 ? 0x30 + d : 0x57 + d);
  }
}
