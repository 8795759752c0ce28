// Where answers live until the next call: one chunk of memory that is filled
// from the bottom and begun anew with every call. After the first few calls it
// is as large as it needs to be, and answering allocates nothing.

const FIRST: usize = 16 << 10;
// More than this is not kept from call to call.
const KEEP: usize = 1 << 20;

let start: usize = 0;
let top: usize = 0;
let end: usize = 0;
// Chunks of this call that were too small, each with the next one's address in
// its first word and its size in the second.
let spent: usize = 0;

let input: usize = 0;
let inputSize: usize = 0;

/** Begins a call: everything that was lent before is gone. */
// @ts-ignore: decorator
@inline
export function reset(): void {
  if (spent != 0) merge();
  top = start;
}

/** Replaces the chunks of the last call by one that would have been enough. */
function merge(): void {
  let sum = end - start;
  heap.free(start - 8);
  while (spent != 0) {
    const next = load<usize>(spent);
    sum += load<usize>(spent, 4);
    heap.free(spent);
    spent = next;
  }
  chunk(sum < KEEP ? sum : KEEP);
}

function chunk(size: usize): void {
  start = heap.alloc(size + 8) + 8;
  end = start + size;
}

/** Takes `size` bytes, aligned to `align` (a power of two, at most 8). */
// @ts-ignore: decorator
@inline
export function take(size: usize, align: usize): usize {
  const at = (top + align - 1) & ~(align - 1);
  if (end < at || end - at < size) return refill(size);
  top = at + size;
  return at;
}

function refill(size: usize): usize {
  const had = end - start;
  if (had > 0) {
    store<usize>(start - 8, spent);
    store<usize>(start - 8, had, 4);
    spent = start - 8;
  }
  let next = had * 2 < KEEP ? had * 2 : KEEP;
  if (next < size) next = (size + 7) & ~7;
  chunk(next < FIRST ? FIRST : next);
  top = start + size;
  return start;
}

/**
 * Lengthens (or with a smaller `to` shortens) what was taken last, in place.
 * False if something else was taken since, or no room is left.
 */
// @ts-ignore: decorator
@inline
export function resize(at: usize, from: usize, to: usize): bool {
  if (at + from != top || to > end - at) return false;
  top = at + to;
  return true;
}

/** Whether an address lies in the input buffer, whose bytes need no copy. */
// @ts-ignore: decorator
@inline
export function isInput(at: usize): bool {
  return at - input < inputSize;
}

/** Hands out a new input buffer and frees the former one. */
export function buffer(size: usize): usize {
  if (input != 0) heap.free(input);
  const block = heap.alloc(size + 8);
  input = block;
  inputSize = size + 8;
  return (block + 7) & ~7;
}
