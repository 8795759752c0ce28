import { Bytes } from "weft";

/** What the configuration calls one value of an object, after keys were renamed. */
@unmanaged
export class Slot {
  /** The name as a JSON string, quotes included. */
  quoted: usize;
  quotedLength: i32;
  /** Whether the payload loses it. */
  removed: bool;
  /** The member that counts in the payload at hand: its number from 1 on, 0 if there is none. */
  winner: i32;
}

/** A key that the configuration names. */
@unmanaged
export class Key {
  /** The name in UTF-8. */
  name: usize;
  length: i32;
  /** The next key of the same length. */
  next: Key | null;
  slot: Slot;
  /** Whether the payload is to have the slot's name instead. */
  renamed: bool;

  constructor(slot: Slot) {
    this.slot = slot;
  }
}

/** A member of the payload's object that may have to change. */
@unmanaged
export class Member {
  /** How many members stand before it. */
  ordinal: i32;
  /** The end of what stands before its comma. */
  before: usize;
  /** Its key, quotes included. */
  key: usize;
  keyEnd: usize;
  value: usize;
  valueEnd: usize;
  /** What the configuration knows of the key; null if it does not. */
  known: Key | null;
}

/** Longer keys share a list. */
const LENGTHS: i32 = 64;
const lists = memory.data(LENGTHS * 4, 4);

// @ts-ignore: decorator
@inline
function listOf(length: i32): usize {
  return lists + ((<usize>(length < LENGTHS ? length : LENGTHS - 1)) << 2);
}

/** Which lengths the keys have, a bit for each list. */
let lengths: u64 = 0;

/** The key with this name, null if the configuration has none. */
// @ts-ignore: decorator
@inline
export function find(name: usize, length: i32): Key | null {
  if (((lengths >> (length < LENGTHS ? length : LENGTHS - 1)) & 1) == 0) return null;
  return findAlike(name, length);
}

function findAlike(name: usize, length: i32): Key | null {
  let key = changetype<Key | null>(load<usize>(listOf(length)));
  while (key != null) {
    if (key.length == length && same(key.name, name, length)) return key;
    key = key.next;
  }
  return null;
}

// @ts-ignore: decorator
@inline
function same(a: usize, b: usize, length: i32): bool {
  const end = a + length;
  while (a + 4 <= end) {
    if (load<u32>(a) != load<u32>(b)) return false;
    a += 4;
    b += 4;
  }
  for (; a < end; a++, b++) {
    if (load<u8>(a) != load<u8>(b)) return false;
  }
  return true;
}

/** Adds a key. The name is copied. */
export function add(name: Bytes, slot: Slot, renamed: bool): Key {
  const key = new Key(slot);
  key.name = keep(name);
  key.length = name.length;
  key.renamed = renamed;
  const list = listOf(name.length);
  lengths |= (<u64>1) << (name.length < LENGTHS ? name.length : LENGTHS - 1);
  key.next = changetype<Key | null>(load<usize>(list));
  store<usize>(list, changetype<usize>(key));
  return key;
}

/** A copy of bytes that stays. */
export function keep(b: Bytes): usize {
  const at = heap.alloc(b.length + 1);
  memory.copy(at, b.at, b.length);
  return at;
}
