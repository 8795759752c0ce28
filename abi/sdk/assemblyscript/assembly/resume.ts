// `export * from "weft/resume"` makes weft call Plugin.resume.

import { RECORD_SIZE } from "./abi";
import * as arena from "./arena";
import { Message } from "./message";
import { decide, plugin } from "./runtime";

export function weft_on_resume(records: usize, count: usize): usize {
  arena.reset();
  const end = records + count * RECORD_SIZE;
  for (let at = records; at != end; at += RECORD_SIZE) {
    decide(at, end, plugin().resume(changetype<Message>(at)));
  }
  return count;
}
