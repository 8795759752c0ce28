import { MAX_ATTRIBUTE } from "./abi";
import { resize, take } from "./arena";
import { Bytes, copyBytes, placedAt, placedLength, sameText, textLength, writeText } from "./bytes";

// Attribute blocks: named values in one run of bytes (abi/SPEC.md, section 4.1).

const HEADER: usize = 4;

/** The attributes of a message or of a session's context, in order. */
@unmanaged
export class Attributes {
  private following: usize;
  private end: usize;
  /** The name that `next` went to. */
  name: Bytes;
  /** The value that `next` went to. */
  value: Bytes;

  /** The attributes of a block. */
  static of(at: usize, length: i32): Attributes {
    const a = changetype<Attributes>(take(offsetof<Attributes>(), 4));
    a.following = at;
    a.end = at + length;
    a.name = a.value = Bytes.of(at, 0);
    return a;
  }

  /** Goes to the next attribute; false if there is none. */
  next(): bool {
    const at = this.following;
    const size = sizeAt(at, this.end);
    if (size == 0) return false;
    const n = load<u16>(at);
    this.name = Bytes.of(at + HEADER, n);
    this.value = Bytes.of(at + HEADER + n, load<u16>(at, 2));
    this.following = at + size;
    return true;
  }
}

/** The size of the attribute at an address, 0 if none fits before the end. */
// @ts-ignore: decorator
@inline
function sizeAt(at: usize, end: usize): usize {
  if (at + HEADER > end) return 0;
  const size = HEADER + <usize>load<u16>(at) + <usize>load<u16>(at, 2);
  return at + size > end ? 0 : size;
}

/** The address of the attribute called `name` in a block, 0 if there is none. */
export function find(at: usize, length: usize, name: string): usize {
  const end = at + length;
  for (let size = sizeAt(at, end); size != 0; size = sizeAt(at, end)) {
    if (sameText(at + HEADER, load<u16>(at), name)) return at;
    at += size;
  }
  return 0;
}

/** The value of the attribute at an address. */
// @ts-ignore: decorator
@inline
export function valueAt(at: usize): Bytes {
  return Bytes.of(at + HEADER + load<u16>(at), load<u16>(at, 2));
}

/**
 * Writes a span of the block without the attribute `name` at `span`, and with it
 * again behind the others if `set`; its value is what was placed last.
 */
export function change(span: usize, name: string, set: bool): void {
  const value = placedAt;
  const valueLength = placedLength;
  const nameLength = textLength(name);
  let added: usize = 0;
  if (set) {
    if (nameLength == 0 || nameLength > <i32>MAX_ATTRIBUTE || valueLength > <i32>MAX_ATTRIBUTE) {
      throw new RangeError("an attribute's name must have 1 to 65535 bytes, its value at most 65535");
    }
    added = HEADER + nameLength + valueLength;
  }
  let from: usize = load<u32>(span);
  const had: usize = load<u32>(span, 4);
  const end = from + had;
  const total = had + added;
  // An attribute that is new goes behind a block that was made just before.
  if (had > 0 && find(from, had, name) == 0 && resize(from, had, total)) {
    append(end, name, nameLength, value, valueLength);
    store<u32>(span, <u32>total, 4);
    return;
  }
  const block = take(total, 1);
  let to = block;
  for (let size = sizeAt(from, end); size != 0; size = sizeAt(from, end)) {
    if (!sameText(from + HEADER, load<u16>(from), name)) {
      copyBytes(to, from, size);
      to += size;
    }
    from += size;
  }
  if (set) to = append(to, name, nameLength, value, valueLength);
  resize(block, total, to - block);
  store<u32>(span, <u32>block);
  store<u32>(span, <u32>(to - block), 4);
}

/**
 * Adds an attribute behind the others of the block at `span`, also where there is
 * one of its name; its value is what was placed last. False if it is none.
 */
export function add(span: usize, name: string): bool {
  const value = placedAt;
  const valueLength = placedLength;
  const nameLength = textLength(name);
  if (nameLength == 0 || nameLength > <i32>MAX_ATTRIBUTE || valueLength > <i32>MAX_ATTRIBUTE) return false;
  const from: usize = load<u32>(span);
  const had: usize = load<u32>(span, 4);
  const total = had + HEADER + nameLength + valueLength;
  if (had == 0 || !resize(from, had, total)) {
    const block = take(total, 1);
    copyBytes(block, from, had);
    store<u32>(span, <u32>block);
  }
  append(<usize>load<u32>(span) + had, name, nameLength, value, valueLength);
  store<u32>(span, <u32>total, 4);
  return true;
}

function append(to: usize, name: string, nameLength: i32, value: usize, valueLength: i32): usize {
  store<u16>(to, nameLength);
  store<u16>(to, valueLength, 2);
  to = writeText(name, to + HEADER);
  copyBytes(to, value, valueLength);
  return to + valueLength;
}
