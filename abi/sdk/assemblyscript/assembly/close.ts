// `export * from "weft/close"` makes weft call Plugin.close.

import { RECORD_SIZE } from "./abi";
import * as arena from "./arena";
import { Message, Verdict } from "./message";
import { decide, plugin } from "./runtime";

export function weft_on_close(records: usize, count: usize): usize {
  arena.reset();
  const end = records + count * RECORD_SIZE;
  for (let at = records; at != end; at += RECORD_SIZE) {
    plugin().close(changetype<Message>(at));
    decide(at, end, Verdict.Continue);
  }
  return count;
}
