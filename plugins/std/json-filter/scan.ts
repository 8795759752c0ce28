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

/** One of the members that the last scan noted, in their order. */
// @ts-ignore: decorator
@inline
export function member(i: i32): Member {
  return changetype<Member>(members + <usize>i * MEMBER);
}

/**
 * Reads the object that begins at `at` and is all there is up to `end`, and notes
 * the members whose keys the configuration knows; all others too if `all`. False
 * if it is not JSON. The winner of every slot must have been cleared.
 */
export function scan(at: usize, end: usize, all: bool): bool {
  count = 0;
  let before = at + 1;
  at = space(before, end);
  if (at >= end) return false;
  if (load<u8>(at) == 0x7d) return space(at + 1, end) == end;
  let ordinal = 0;
  while (true) {
    const key = at;
    const keyEnd = stringEnd(key, end);
    if (keyEnd == FAULT) return false;
    const known = hasEscape ? findEscaped(key, keyEnd) : find(key + 1, <i32>(keyEnd - key) - 2);
    at = space(keyEnd, end);
    if (at >= end || load<u8>(at) != 0x3a) return false;
    const value = space(at + 1, end);
    const valueEnd = endOf(value, end);
    if (valueEnd == FAULT) return false;
    if (known != null || all) {
      if (count == room && !grow()) return false;
      const m = member(count++);
      m.ordinal = ordinal;
      m.before = before;
      m.key = key;
      m.keyEnd = keyEnd;
      m.value = value;
      m.valueEnd = valueEnd;
      m.known = known;
    }
    ordinal++;
    before = valueEnd;
    at = space(valueEnd, end);
    if (at >= end) return false;
    const c = load<u8>(at);
    if (c == 0x7d) return space(at + 1, end) == end;
    if (c != 0x2c) return false;
    at = space(at + 1, end);
  }
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

/** The first byte from `at` on that is no white space. */
// @ts-ignore: decorator
@inline
export function space(at: usize, end: usize): usize {
  while (at < end) {
    const c = load<u8>(at);
    if (c > 0x20 || (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09)) break;
    at++;
  }
  return at;
}

/** The end of the value that begins at `at`, or FAULT. */
// @ts-ignore: decorator
@inline
function endOf(at: usize, end: usize): usize {
  if (at >= end) return FAULT;
  const c = load<u8>(at);
  if (c == 0x22) return stringEnd(at, end);
  if (c == 0x2d || <u32>c - 0x30 < 10) return numberEnd(at, end);
  if (c == 0x7b || c == 0x5b) return nestedEnd(at, end);
  return literalEnd(at, end);
}

/**
 * The end of an array or object. Goes into those within it without calling
 * itself: one bit for each level says which of the two it is.
 */
function nestedEnd(at: usize, end: usize): usize {
  let objects: u64 = 0;
  let depth: i32 = 0;
  while (true) {
    if (at >= end) return FAULT;
    const c = load<u8>(at);
    if (c == 0x7b || c == 0x5b) {
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
    } else if (c == 0x22) {
      at = stringEnd(at, end);
    } else if (c == 0x2d || <u32>c - 0x30 < 10) {
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

/** Whether the string that was read last has escapes. */
let hasEscape: bool = false;

// @ts-ignore: decorator
@inline
const ONES: u64 = 0x0101_0101_0101_0101;

/** The end of the string that begins at `at`, behind its closing quote. */
function stringEnd(at: usize, end: usize): usize {
  hasEscape = false;
  if (at >= end || load<u8>(at) != 0x22) return FAULT;
  at++;
  while (true) {
    at = plainEnd(at, end);
    if (at >= end) return FAULT;
    const c = load<u8>(at);
    if (c == 0x22) return at + 1;
    if (c != 0x5c) return FAULT;
    hasEscape = true;
    at = escapeEnd(at, end);
    if (at == FAULT) return FAULT;
  }
}

/** The first quote, backslash or control character from `at` on. */
// @ts-ignore: decorator
@inline
function plainEnd(at: usize, end: usize): usize {
  for (; at + 8 <= end; at += 8) {
    const w = load<u64>(at);
    const quote = w ^ (ONES * 0x22);
    const escape = w ^ (ONES * 0x5c);
    const hit = (((quote - ONES) & ~quote) | ((escape - ONES) & ~escape) | ((w - ONES * 0x20) & ~w)) & (ONES * 0x80);
    if (hit != 0) return at + <usize>(ctz(hit) >> 3);
  }
  for (; at < end; at++) {
    const c = load<u8>(at);
    if (c == 0x22 || c == 0x5c || c < 0x20) break;
  }
  return at;
}

function escapeEnd(at: usize, end: usize): usize {
  if (at + 1 >= end) return FAULT;
  const e = load<u8>(at, 1);
  if (e == 0x75) {
    if (at + 6 > end) return FAULT;
    for (let i: usize = 2; i < 6; i++) {
      const c = <u32>load<u8>(at + i);
      if (c - 0x30 > 9 && (c | 0x20) - 0x61 > 5) return FAULT;
    }
    return at + 6;
  }
  if (e == 0x22 || e == 0x5c || e == 0x2f || e == 0x62 || e == 0x66 || e == 0x6e || e == 0x72 || e == 0x74) return at + 2;
  return FAULT;
}

// @ts-ignore: decorator
@inline
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
