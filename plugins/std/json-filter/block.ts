import { Bytes, Message, Writer } from "weft";
import { Text } from "./names";

// The attributes that the message at hand gets. They are noted first and written
// once, as one block (abi/SPEC.md, section 4.1).

/** The attributes of a message take at most this together. */
const LARGEST_BLOCK: i32 = 64 << 10;
/** The lengths of name and value, which stand before a name. */
const HEADER: i32 = 4;

/** Begins of attributes, length and name, each once: who has the same name has the same begin. */
const begins: Text[] = [];

/** What attributes of a name begin with; the value's length is still missing. */
export function beginOf(name: Bytes): Text {
  for (let i = 0; i < begins.length; i++) {
    const b = begins[i];
    if (b.length == HEADER + name.length && memory.compare(b.at + HEADER, name.at, name.length) == 0) return b;
  }
  const t = new Text();
  t.length = HEADER + name.length;
  t.at = heap.alloc(t.length);
  store<u32>(t.at, name.length);
  memory.copy(t.at + HEADER, name.at, name.length);
  begins.push(t);
  return t;
}

/** One that is noted. */
@unmanaged
class Noted {
  begin: Text;
  at: usize;
  length: i32;
}

const SIZE: usize = offsetof<Noted>();
let list: usize = 0;
let capacity: i32 = 0;
let count: i32 = 0;
/** How many bytes they take. */
let bytes: i32 = 0;
/** How many bytes the message can still take; negative: not yet known. */
let room: i32 = -1;

// @ts-ignore: decorator
@inline
function noted(i: i32): Noted {
  return changetype<Noted>(list + <usize>i * SIZE);
}

// @ts-ignore: decorator
@inline
export function clear(): void {
  count = 0;
  bytes = 0;
  room = -1;
}

/** Notes an attribute, in place of one with the same name, if there is room. */
export function note(m: Message, begin: Text, at: usize, length: i32): void {
  if (room < 0) room = LARGEST_BLOCK - m.attributeBlock.length;
  const size = begin.length + length;
  if (size > room) return;
  room -= size;
  for (let i = 0; i < count; i++) {
    if (noted(i).begin != begin) continue;
    bytes -= begin.length + noted(i).length;
    count--;
    memory.copy(list + <usize>i * SIZE, list + <usize>(i + 1) * SIZE, <usize>(count - i) * SIZE);
    break;
  }
  if (count == capacity) grow();
  const n = noted(count++);
  n.begin = begin;
  n.at = at;
  n.length = length;
  bytes += size;
}

function grow(): void {
  const size = <usize>capacity * SIZE;
  capacity = capacity == 0 ? 16 : capacity * 2;
  const wider = heap.alloc(<usize>capacity * SIZE);
  if (list != 0) {
    memory.copy(wider, list, size);
    heap.free(list);
  }
  list = wider;
}

/** Gives the message what was noted, behind its other attributes. */
// @ts-ignore: decorator
@inline
export function write(m: Message): void {
  if (count == 0) return;
  const had = m.attributeBlock;
  const w = Writer.sized(had.length + bytes);
  if (had.length > 0) others(w, had.at, had.at + had.length);
  for (let i = 0; i < count; i++) {
    const n = noted(i);
    const to = w.at + w.length;
    w.raw(n.begin.at, n.begin.length);
    store<u16>(to, n.length, 2);
    w.raw(n.at, n.length);
  }
  m.setAttributes<Writer>(w);
}

/** Copies the attributes of a block that are not to be replaced. */
function others(w: Writer, at: usize, end: usize): void {
  while (at + HEADER <= end) {
    const length = <i32>load<u16>(at);
    const size = HEADER + length + <i32>load<u16>(at, 2);
    if (at + size > end) return;
    if (!replaced(at + HEADER, length)) w.raw(at, size);
    at += size;
  }
}

function replaced(at: usize, length: i32): bool {
  for (let i = 0; i < count; i++) {
    const b = noted(i).begin;
    if (b.length == HEADER + length && memory.compare(b.at + HEADER, at, length) == 0) return true;
  }
  return false;
}
