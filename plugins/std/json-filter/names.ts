import { Bytes, Json } from "weft";
import { FAULT, escaped, specials, text } from "./scan";

// The keys that the configuration speaks of, and where the message at hand has
// them. Everything here is made once, outside the collector's reach.

/** UTF-8 text that stays. */
@unmanaged
export class Text {
  at: usize = 0;
  length: i32 = 0;
}

/** A copy of some bytes that stays. */
export function keepText(b: Bytes): Text {
  const t = new Text();
  t.at = heap.alloc(b.length);
  t.length = b.length;
  memory.copy(t.at, b.at, b.length);
  return t;
}

/** A key as it is called in the end, and its value in the message at hand. */
@unmanaged
export class Slot {
  name: Text = changetype<Text>(0);
  /** The name as a JSON string, null if nothing is renamed to it. */
  quoted: Text | null = null;
  /** Named by `keep` or `remove`. */
  listed: bool = false;

  /** The number of the message that has the key; of another, everything below is stale. */
  message: u64 = 0;
  /** The message has the key under this name, not only under one that is renamed. */
  own: bool = false;
  value: usize = 0;
  end: usize = 0;
  /** Which edit renames the key to this one. */
  winner: i32 = 0;
  next: Slot | null = null;
}

/** A key as it may come. */
@unmanaged
export class Key {
  text: Text = changetype<Text>(0);
  word: u64 = 0;
  slot: Slot = changetype<Slot>(0);
  renamed: bool = false;
}

let slots: Slot | null = null;
let count: usize = 0;
// Open addressing in a table that is at most a quarter full.
let table: usize = 0;
let bits: u64 = 0;
/** Which lengths the keys have, a bit for each up to 63: most other keys are told by theirs. */
let lengths: u64 = 0;

/** The slot of a key's final name. */
export function slotOf(name: Bytes): Slot {
  let s = slots;
  while (s !== null) {
    if (s.name.length == name.length && memory.compare(s.name.at, name.at, name.length) == 0) return s;
    s = s.next;
  }
  const slot = new Slot();
  slot.name = keepText(name);
  slot.next = slots;
  slots = slot;
  return slot;
}

/** Makes a key known. False if it is already renamed. */
export function learn(name: Bytes, slot: Slot, renamed: bool): bool {
  const known = find(name.at, name.length);
  if (known != null) return known.renamed == renamed && known.slot == slot;
  const key = new Key();
  key.text = keepText(name);
  key.word = wordOf(name.at, name.length);
  key.slot = slot;
  key.renamed = renamed;
  if ((count + 1) * 4 > capacity()) grow();
  insert(key);
  count++;
  lengths |= (<u64>1) << min(name.length, 63);
  return true;
}

function capacity(): usize {
  return table == 0 ? 0 : (<usize>1) << (<usize>bits);
}

function grow(): void {
  const old = table;
  const size = capacity();
  bits = old == 0 ? 4 : bits + 1;
  table = heap.alloc(4 << <usize>bits);
  memory.fill(table, 0, 4 << <usize>bits);
  for (let i: usize = 0; i < size; i++) {
    const key = load<u32>(old + (i << 2));
    if (key != 0) insert(changetype<Key>(key));
  }
  if (old != 0) heap.free(old);
}

function insert(key: Key): void {
  let i = indexOf(key.word, key.text.length);
  while (load<u32>(table + (i << 2)) != 0) i = (i + 1) & ((<usize>1 << <usize>bits) - 1);
  store<u32>(table + (i << 2), changetype<usize>(key));
}

// @ts-ignore: decorator
@inline
function indexOf(word: u64, length: i32): usize {
  return <usize>(((word + length) * 0x9e37_79b9_7f4a_7c15) >> (64 - bits));
}

/** The first eight bytes of a key, zeroes behind a shorter one. */
function wordOf(at: usize, length: i32): u64 {
  if (length >= 8) return load<u64>(at);
  let word: u64 = 0;
  for (let i = 0; i < length; i++) word |= <u64>load<u8>(at + i) << (i << 3);
  return word;
}

/** The key with these bytes, null if the configuration does not speak of it. */
function find(at: usize, length: i32): Key | null {
  return findWord(wordOf(at, length), at, length);
}

/** The same, where the first bytes are at hand. */
// @ts-ignore: decorator
@inline
function findWord(word: u64, at: usize, length: i32): Key | null {
  if (((lengths >> min(length, 63)) & 1) == 0) return null;
  return findAlike(word, at, length);
}

function findAlike(word: u64, at: usize, length: i32): Key | null {
  let i = indexOf(word, length);
  while (true) {
    const key = changetype<Key | null>(load<u32>(table + (i << 2)));
    if (key === null) return null;
    if (key.word == word && key.text.length == length) {
      if (length <= 8 || memory.compare(key.text.at + 8, at + 8, length - 8) == 0) return key;
    }
    i = (i + 1) & ((<usize>1 << <usize>bits) - 1);
  }
}

/** The address behind the key that `scanKey` was given, FAULT if it is no string. */
export let keyEnd: usize = 0;

/** Scans the string that begins with the quote at `at`, and finds the key that it means. */
// @ts-ignore: decorator
@inline
export function scanKey(at: usize, last: usize): Key | null {
  if (at + 9 <= last) {
    // Nearly every key is shorter than eight bytes: one look tells its end and its name.
    const w = load<u64>(at, 1);
    const special = specials(w);
    if (special != 0) {
      const bit = ctz(special) - 7;
      if (<u8>(w >> bit) == 0x22) {
        const length = <i32>(bit >> 3);
        keyEnd = at + 2 + length;
        return findWord(w & ((<u64>1 << bit) - 1), at + 1, length);
      }
    }
  }
  return scanLong(at, last);
}

function scanLong(at: usize, last: usize): Key | null {
  keyEnd = text(at + 1, last);
  if (keyEnd == FAULT) return null;
  return escaped ? findEscaped(at, keyEnd) : find(at + 1, <i32>(keyEnd - at) - 2);
}

function findEscaped(at: usize, end: usize): Key | null {
  const name = Json.of(at, end).bytes();
  return find(name.at, name.length);
}
