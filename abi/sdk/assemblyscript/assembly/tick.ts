// `export * from "weft/tick"` makes weft call Plugin.tick.

import { RECORD_SIZE } from "./abi";
import * as arena from "./arena";
import { Message, Verdict } from "./message";
import { decide, plugin } from "./runtime";

export function weft_on_tick(records: usize, count: usize): usize {
  arena.reset();
  const end = records + count * RECORD_SIZE;
  for (let at = records; at != end; at += RECORD_SIZE) {
    plugin().tick(changetype<Message>(at));
    decide(at, end, Verdict.Continue);
  }
  return count;
}
