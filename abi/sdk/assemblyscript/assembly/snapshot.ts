// `export * from "weft/snapshot"` makes weft call Plugin.snapshot and Plugin.restore.

import * as arena from "./arena";
import { Bytes, place, placedAt, placedLength } from "./bytes";
import { failure, packed, plugin } from "./runtime";

export function weft_snapshot(): u64 {
  arena.reset();
  const state = plugin().snapshot();
  if (state === null || state.length == 0) return 0;
  place<Uint8Array>(state);
  return packed(placedAt, placedLength);
}

export function weft_restore(state: usize, length: u32): u64 {
  arena.reset();
  return failure(plugin().restore(Bytes.of(state, length)));
}
