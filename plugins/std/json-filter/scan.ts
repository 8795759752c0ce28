// Finds the ends of JSON values (RFC 8259), checking all of their bytes. Every
// function takes the address of a value's first byte and `last`, the address of
// the brace that ends the document, and gives the address behind the value, or
// FAULT. The brace ends every run of digits and white space, so that only strings
// have to look where the document ends; who calls checks that a value does not
// reach beyond it.

export const FAULT: usize = 0;

/** Arrays and objects within each other at most this deep. */
const MAX_DEPTH: usize = 512;

/** The kinds of brackets that are open, one byte for each level. */
const open: usize = heap.alloc(MAX_DEPTH);

// Eight bytes of 1, of 128, and of what ends or interrupts a string.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const QUOTES: u64 = 0x2222_2222_2222_2222;
const BACKSLASHES: u64 = 0x5c5c_5c5c_5c5c_5c5c;
const SPACES: u64 = 0x2020_2020_2020_2020;

/** Whether the last string that was scanned holds an escape. */
export let escaped: bool = false;

// @ts-ignore: decorator
@inline
export function isSpace(c: u8): bool {
  return c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09;
}

/** The first byte that is no white space; there is one. */
// @ts-ignore: decorator
@inline
export function space(at: usize): usize {
  return load<u8>(at) > 0x20 ? at : longSpace(at);
}

function longSpace(at: usize): usize {
  while (isSpace(load<u8>(at))) at++;
  return at;
}

/** Any value. */
// @ts-ignore: decorator
@inline
export function value(at: usize, last: usize): usize {
  const c = load<u8>(at);
  if (c == 0x7b || c == 0x5b) return nested(at, last);
  return scalar(c, at, last);
}

/** A value that begins with c and has no others in it. */
// @ts-ignore: decorator
@inline
function scalar(c: u8, at: usize, last: usize): usize {
  if (c == 0x22) return text(at + 1, last);
  if (c == 0x2d || <u32>c - 0x30 < 10) return number(at);
  return literal(at, last);
}

/**
 * The upper bit of each byte that ends or interrupts a string: a quote, a
 * backslash, a control character. The lowest bit that is set is right; those
 * above it may not be.
 */
// @ts-ignore: decorator
@inline
export function specials(w: u64): u64 {
  const q = w ^ QUOTES;
  const b = w ^ BACKSLASHES;
  return (((q - ONES) & ~q) | ((b - ONES) & ~b) | ((w - SPACES) & ~w)) & HIGH;
}

/** A string, from behind its opening quote. */
// @ts-ignore: decorator
@inline
export function text(at: usize, last: usize): usize {
  escaped = false;
  at = plain(at, last);
  return at < last && load<u8>(at) == 0x22 ? at + 1 : longText(at, last);
}

/** The same from the first byte on that is not plain. */
function longText(at: usize, last: usize): usize {
  while (at < last) {
    const c = load<u8>(at);
    if (c == 0x22) return at + 1;
    if (c != 0x5c) return FAULT;
    at = escape(at + 1, last);
    if (at == FAULT) return FAULT;
    at = plain(at, last);
  }
  return FAULT;
}

/** The first special byte, or `last`. */
// @ts-ignore: decorator
@inline
function plain(at: usize, last: usize): usize {
  for (; at + 8 <= last; at += 8) {
    const special = specials(load<u64>(at));
    if (special != 0) return at + <usize>(ctz(special) >> 3);
  }
  for (; at < last; at++) {
    const c = load<u8>(at);
    if (c == 0x22 || c == 0x5c || c < 0x20) break;
  }
  return at;
}

/** What follows a backslash. */
function escape(at: usize, last: usize): usize {
  escaped = true;
  const c = load<u8>(at);
  if (c == 0x75) {
    if (at + 5 > last) return FAULT;
    for (let i: usize = 1; i < 5; i++) {
      const h = load<u8>(at + i);
      if (<u32>h - 0x30 >= 10 && <u32>(h | 0x20) - 0x61 >= 6) return FAULT;
    }
    return at + 5;
  }
  if (c == 0x22 || c == 0x5c || c == 0x2f || c == 0x62 || c == 0x66 || c == 0x6e || c == 0x72 || c == 0x74) return at + 1;
  return FAULT;
}

// @ts-ignore: decorator
@inline
export function number(at: usize): usize {
  if (load<u8>(at) == 0x2d) at++;
  const first = at;
  at = digits(at);
  if (at == first || (at > first + 1 && load<u8>(first) == 0x30)) return FAULT;
  const c = load<u8>(at);
  return c == 0x2e || (c | 0x20) == 0x65 ? fraction(at) : at;
}

/** The rest of a number whose fraction or exponent begins here. */
function fraction(at: usize): usize {
  if (load<u8>(at) == 0x2e) {
    const from = at + 1;
    at = digits(from);
    if (at == from) return FAULT;
  }
  if ((load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (load<u8>(at) == 0x2b || load<u8>(at) == 0x2d) at++;
    const from = at;
    at = digits(from);
    if (at == from) return FAULT;
  }
  return at;
}

// @ts-ignore: decorator
@inline
function digits(at: usize): usize {
  while (<u32>load<u8>(at) - 0x30 < 10) at++;
  return at;
}

function literal(at: usize, last: usize): usize {
  if (at + 4 > last) return FAULT;
  const word = load<u32>(at);
  if (word == 0x65757274 || word == 0x6c6c756e) return at + 4; // true, null
  return word == 0x736c6166 && load<u8>(at, 4) == 0x65 ? at + 5 : FAULT; // false
}

/** An array or object with all that is in it, without calling itself. */
function nested(at: usize, last: usize): usize {
  let depth: usize = 0;
  do {
    // A value begins.
    const c = load<u8>(at);
    if (c == 0x7b || c == 0x5b) {
      if (depth == MAX_DEPTH) return FAULT;
      store<u8>(open + depth++, c + 2); // the code of what closes it
      at = space(at + 1);
      if (load<u8>(at) != c + 2) {
        if (c == 0x7b) at = key(at, last);
        if (at == FAULT) return FAULT;
        continue;
      }
    } else {
      at = scalar(c, at, last);
      if (at == FAULT) return FAULT;
    }
    // A value has ended: close what ends with it, or go on behind a comma.
    while (depth > 0) {
      at = space(at);
      if (at >= last) return FAULT; // the brace there closes the document
      const next = load<u8>(at);
      const close = load<u8>(open + depth - 1);
      if (next == 0x2c) {
        at = space(at + 1);
        if (close == 0x7d) at = key(at, last);
        if (at == FAULT) return FAULT;
        break;
      }
      if (next != close) return FAULT;
      at++;
      depth--;
    }
  } while (depth > 0);
  return at;
}

/** A key with its colon, up to its value. */
function key(at: usize, last: usize): usize {
  if (load<u8>(at) != 0x22) return FAULT;
  at = text(at + 1, last);
  if (at == FAULT) return FAULT;
  at = space(at);
  return load<u8>(at) == 0x3a ? space(at + 1) : FAULT;
}
