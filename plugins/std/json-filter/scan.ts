import { Bytes, parse } from "weft";
import { Key, Member, find } from "./keys";

/** Arrays and objects within each other at most this deep, the payload's own not counted. */
const MAX_DEPTH: i32 = 64;
/** An object with more members that the configuration concerns is none. */
const MAX_MEMBERS: i32 = 16384;
/** The end of a value that is none. */
const FAULT: usize = 0;

const MEMBER: usize = offsetof<Member>();
let room: i32 = 64;
let members: usize = heap.alloc(<usize>room * MEMBER);

/** How many members the last scan noted. */
export let count: i32 = 0;
/** Whether the payload must change for what the last scan found. */
export let changed: bool = false;
/** Whether the string that was read last has escapes. */
let hasEscape: bool = false;

/** One of the members that the last scan noted, in their order. */
// @ts-ignore: decorator
@inline
export function member(i: i32): Member {
  return changetype<Member>(members + <usize>i * MEMBER);
}

/**
 * Reads the object from `at` to `last`, where its brace must be, and notes the
 * members whose keys the configuration knows; the others too if `all`. False if
 * it is not JSON. The winner of every slot must have been cleared, and is set.
 *
 * The brace at `last` ends every run of digits and white space, so that only
 * strings have to look where the payload ends.
 */
export function scan(at: usize, last: usize, all: bool): bool {
  count = 0;
  changed = false;
  let before = at + 1;
  at = space(before);
  if (load<u8>(at) == 0x7d) return at == last;
  let ordinal = 0;
  while (true) {
    const key = at;
    if (load<u8>(at) != 0x22) return false;
    const keyEnd = stringEnd(at, last);
    if (keyEnd == FAULT) return false;
    const known = hasEscape ? findEscaped(key, keyEnd) : find(key + 1, <i32>(keyEnd - key) - 2);
    at = space(keyEnd);
    if (load<u8>(at) != 0x3a) return false;
    const value = space(at + 1);
    at = valueEnd(value, last);
    if (at == FAULT || at > last) return false;
    if (known != null || all) {
      if (count == room && !grow()) return false;
      note(known, ordinal, before, key, keyEnd, value, at);
    }
    ordinal++;
    before = at;
    at = space(at);
    const next = load<u8>(at);
    if (next == 0x7d) return at == last;
    if (next != 0x2c) return false;
    at = space(at + 1);
  }
}

/** Notes a member. Of several for one slot the first counts, but one that need not be renamed before others. */
// @ts-ignore: decorator
@inline
function note(known: Key | null, ordinal: i32, before: usize, key: usize, keyEnd: usize, value: usize, end: usize): void {
  const m = member(count++);
  m.ordinal = ordinal;
  m.before = before;
  m.key = key;
  m.keyEnd = keyEnd;
  m.value = value;
  m.valueEnd = end;
  m.known = known;
  if (known == null) {
    changed = true;
    return;
  }
  const slot = known.slot;
  const rival = slot.winner;
  if (rival != 0 || known.renamed || slot.removed) changed = true;
  if (rival == 0 || (!known.renamed && member(rival - 1).known!.renamed)) slot.winner = count;
}

function grow(): bool {
  if (room == MAX_MEMBERS) return false;
  const wider = heap.alloc(<usize>room * 2 * MEMBER);
  memory.copy(wider, members, <usize>room * MEMBER);
  heap.free(members);
  members = wider;
  room *= 2;
  return true;
}

/** Looks a key up whose text is written with escapes. */
function findEscaped(key: usize, keyEnd: usize): Key | null {
  const name = parse(Bytes.of(key, <i32>(keyEnd - key))).bytes();
  return find(name.at, name.length);
}

// @ts-ignore: decorator
@inline
function isSpace(c: u8): bool {
  return c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09;
}

/** The first byte from `at` on that is no white space; there is one. */
// @ts-ignore: decorator
@inline
export function space(at: usize): usize {
  return load<u8>(at) > 0x20 ? at : longSpace(at);
}

function longSpace(at: usize): usize {
  while (isSpace(load<u8>(at))) at++;
  return at;
}

/** The first byte from `at` on that is no white space, or `end`. */
// @ts-ignore: decorator
@inline
export function begin(at: usize, end: usize): usize {
  while (at < end && isSpace(load<u8>(at))) at++;
  return at;
}

/** The address behind the last byte before `end` that is no white space, or `at`. */
// @ts-ignore: decorator
@inline
export function trim(at: usize, end: usize): usize {
  while (end > at && isSpace(load<u8>(end - 1))) end--;
  return end;
}

/** The end of the value that begins at `at`, or FAULT. It may lie behind `last`. */
// @ts-ignore: decorator
@inline
function valueEnd(at: usize, last: usize): usize {
  const c = load<u8>(at);
  if (c == 0x22) return stringEnd(at, last);
  if (c == 0x2d || <u32>c - 0x30 < 10) return numberEnd(at);
  return c == 0x7b || c == 0x5b ? nestedEnd(at, last) : literalEnd(at, last);
}

/**
 * The end of an array or object. Goes into those within it without calling
 * itself: one bit for each level says which of the two it is.
 */
function nestedEnd(at: usize, last: usize): usize {
  let objects: u64 = 0;
  let depth: i32 = 0;
  while (true) {
    const c = load<u8>(at);
    if (c == 0x7b || c == 0x5b) {
      if (depth == MAX_DEPTH) return FAULT;
      depth++;
      objects = (objects << 1) | u64(c == 0x7b);
      at = space(at + 1);
      if (load<u8>(at) != c + 2) {
        if (c == 0x7b) at = keyEnd(at, last);
        if (at == FAULT) return FAULT;
        continue;
      }
    } else if (c == 0x22) {
      at = stringEnd(at, last);
    } else if (c == 0x2d || <u32>c - 0x30 < 10) {
      at = numberEnd(at);
    } else {
      at = literalEnd(at, last);
    }
    if (at == FAULT) return FAULT;
    // A value has ended: close what ends with it, or go on behind a comma.
    while (true) {
      if (depth == 0) return at;
      if (at > last) return FAULT;
      at = space(at);
      const object = (objects & 1) != 0;
      const next = load<u8>(at);
      if (next == 0x2c) {
        at = space(at + 1);
        if (object) at = keyEnd(at, last);
        if (at == FAULT) return FAULT;
        break;
      }
      // The brace at `last` closes the payload's own object.
      if (next != (object ? 0x7d : 0x5d) || at == last) return FAULT;
      at++;
      depth--;
      objects >>= 1;
    }
  }
}

/** The beginning of the value of the key that begins at `at`. */
function keyEnd(at: usize, last: usize): usize {
  if (load<u8>(at) != 0x22) return FAULT;
  at = stringEnd(at, last);
  if (at == FAULT) return FAULT;
  at = space(at);
  return load<u8>(at) == 0x3a ? space(at + 1) : FAULT;
}

// @ts-ignore: decorator
@inline
const ONES: u64 = 0x0101_0101_0101_0101;

/** The end of the string whose opening quote is at `at`, behind its closing one. */
// @ts-ignore: decorator
@inline
function stringEnd(at: usize, last: usize): usize {
  hasEscape = false;
  at = plainEnd(at + 1, last);
  return at < last && load<u8>(at) == 0x22 ? at + 1 : longEnd(at, last);
}

/** The same from the first byte on that is not plain. */
function longEnd(at: usize, last: usize): usize {
  while (at < last) {
    const c = load<u8>(at);
    if (c == 0x22) return at + 1;
    if (c != 0x5c) return FAULT;
    hasEscape = true;
    at = escapeEnd(at, last);
    if (at == FAULT) return FAULT;
    at = plainEnd(at, last);
  }
  return FAULT;
}

/** The first quote, backslash or control character from `at` on, or `last`. */
// @ts-ignore: decorator
@inline
function plainEnd(at: usize, last: usize): usize {
  for (; at + 8 <= last; at += 8) {
    const w = load<u64>(at);
    const quote = w ^ (ONES * 0x22);
    const escape = w ^ (ONES * 0x5c);
    const hit = (((quote - ONES) & ~quote) | ((escape - ONES) & ~escape) | ((w - ONES * 0x20) & ~w)) & (ONES * 0x80);
    if (hit != 0) return at + <usize>(ctz(hit) >> 3);
  }
  for (; at < last; at++) {
    const c = load<u8>(at);
    if (c == 0x22 || c == 0x5c || c < 0x20) break;
  }
  return at;
}

function escapeEnd(at: usize, last: usize): usize {
  const e = load<u8>(at, 1);
  if (e == 0x75) {
    if (at + 6 > last) return FAULT;
    for (let i: usize = 2; i < 6; i++) {
      const c = <u32>load<u8>(at + i);
      if (c - 0x30 > 9 && (c | 0x20) - 0x61 > 5) return FAULT;
    }
    return at + 6;
  }
  const one = e == 0x22 || e == 0x5c || e == 0x2f || e == 0x62 || e == 0x66 || e == 0x6e || e == 0x72 || e == 0x74;
  return one ? at + 2 : FAULT;
}

// @ts-ignore: decorator
@inline
function isDigit(at: usize): bool {
  return <u32>load<u8>(at) - 0x30 < 10;
}

// @ts-ignore: decorator
@inline
function numberEnd(at: usize): usize {
  if (load<u8>(at) == 0x2d) at++;
  const first = at;
  while (isDigit(at)) at++;
  if (at == first || (at > first + 1 && load<u8>(first) == 0x30)) return FAULT;
  const c = load<u8>(at);
  return c == 0x2e || (c | 0x20) == 0x65 ? fractionEnd(at) : at;
}

/** The end of a number whose fraction or exponent begins at `at`. */
function fractionEnd(at: usize): usize {
  if (load<u8>(at) == 0x2e) {
    const first = ++at;
    while (isDigit(at)) at++;
    if (at == first) return FAULT;
  }
  if ((load<u8>(at) | 0x20) == 0x65) {
    at++;
    if (load<u8>(at) == 0x2b || load<u8>(at) == 0x2d) at++;
    const first = at;
    while (isDigit(at)) at++;
    if (at == first) return FAULT;
  }
  return at;
}

function literalEnd(at: usize, last: usize): usize {
  if (at + 4 > last) return FAULT;
  const word = load<u32>(at);
  if (word == 0x65757274 || word == 0x6c6c756e) return at + 4; // true, null
  return word == 0x736c6166 && load<u8>(at, 4) == 0x65 ? at + 5 : FAULT; // false
}
