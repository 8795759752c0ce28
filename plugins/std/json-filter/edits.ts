import { Writer } from "weft";
import { Slot } from "./names";

// What is to be changed in the payload at hand: members that go and keys that are
// renamed, in their order.

/** A member that is changed. It lasts from behind the brace or comma before it to the brace or comma behind it. */
@unmanaged
class Edit {
  start: usize;
  end: usize;
  key: usize;
  keyEnd: usize;
  /** The slot that the key is renamed to, null if the member goes. */
  slot: Slot | null;
}

const SIZE: usize = offsetof<Edit>();
let list: usize = 0;
let room: i32 = 0;
export let edits: i32 = 0;

// @ts-ignore: decorator
@inline
export function clear(): void {
  edits = 0;
}

// @ts-ignore: decorator
@inline
function edit(i: i32): Edit {
  return changetype<Edit>(list + <usize>i * SIZE);
}

/** Notes a change of the member from `start` to `end`. */
export function add(start: usize, key: usize, keyEnd: usize, slot: Slot | null, end: usize): void {
  if (edits == room) grow();
  const e = edit(edits++);
  e.start = start;
  e.end = end;
  e.key = key;
  e.keyEnd = keyEnd;
  e.slot = slot;
}

function grow(): void {
  const size = <usize>room * SIZE;
  room = room == 0 ? 16 : room * 2;
  const wider = heap.alloc(<usize>room * SIZE);
  if (list != 0) {
    memory.copy(wider, list, size);
    heap.free(list);
  }
  list = wider;
}

/** The payload with the changes: its first member begins at `first`, its closing brace is at `brace`. */
export function apply(at: usize, first: usize, brace: usize, end: usize): Writer {
  let size = <i32>(end - at) + edits; // a comma may be written before each
  for (let i = 0; i < edits; i++) {
    const slot = edit(i).slot;
    if (slot !== null && slot.quoted !== null) size += slot.quoted!.length;
  }
  const w = Writer.sized(size).raw(at, <i32>(first - at));
  let from = first; // up to here everything is written
  let inside = false; // in a member that is being written, or right behind one
  let any = false; // a member was written
  for (let i = 0; i < edits; i++) {
    const e = edit(i);
    const slot = e.slot;
    const quoted = slot !== null && !slot.own && slot.winner == i ? slot.quoted : null;
    if (quoted !== null) {
      if (any && !inside) w.byte(0x2c);
      inside = any = true;
      w.raw(from, <i32>(e.key - from));
      w.raw(quoted.at, quoted.length);
      from = e.keyEnd;
      continue;
    }
    if (e.start > from) { // members that stay, without the comma behind them
      if (any && !inside) w.byte(0x2c);
      any = true;
      w.raw(from, <i32>(e.start - 1 - from));
    }
    inside = false;
    from = e.end < brace ? e.end + 1 : brace;
  }
  if (from < brace && any && !inside) w.byte(0x2c);
  return w.raw(from, <i32>(end - from));
}
