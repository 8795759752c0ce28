// `export * from "weft/open"` makes weft call Plugin.open.

import { RECORD_SIZE } from "./abi";
import * as arena from "./arena";
import { Message } from "./message";
import { decide, plugin } from "./runtime";

export function weft_on_open(records: usize, count: usize): usize {
  arena.reset();
  const end = records + count * RECORD_SIZE;
  for (let at = records; at != end; at += RECORD_SIZE) {
    decide(at, end, plugin().open(changetype<Message>(at)));
  }
  return count;
}
