// What every plugin exports: `export * from "weft/plugin"`.

import { RECORD_SIZE } from "./abi";
import * as arena from "./arena";
import { Bytes } from "./bytes";
import { Json, parse } from "./json";
import { Message } from "./message";
import { collect, decide, failure, plugin } from "./runtime";

export function weft_abi_1_1(): void {}

export function weft_buffer(size: u32): usize {
  return arena.buffer(size);
}

export function weft_init(config: usize, length: u32): u64 {
  arena.reset();
  const json = parse(Bytes.of(config, length));
  if (!json.exists) return failure("the configuration is not JSON");
  return failure(plugin().init(json));
}

export function weft_needs(): u64 {
  return plugin().needs().bits;
}

export function weft_on_messages(records: usize, count: usize): usize {
  arena.reset();
  const end = records + count * RECORD_SIZE;
  const p = plugin();
  for (let at = records; at != end; at += RECORD_SIZE) {
    decide(at, end, p.message(changetype<Message>(at)));
  }
  return count;
}
