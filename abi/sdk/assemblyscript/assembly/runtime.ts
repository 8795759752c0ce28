import * as abi from "./abi";
import * as arena from "./arena";
import { Bytes, place, placedAt, placedLength } from "./bytes";
import { Json } from "./json";
import { Message, Verdict } from "./message";
import { Needs } from "./needs";

/**
 * A plugin: override what it does. Weft makes one instance of the module for
 * each event loop that uses it; calls never overlap. Weft calls only the hooks
 * that the module exports: `export * from "weft/plugin"` for messages, and
 * `export * from "weft/open"`, `close`, `tick`, `resume`, `snapshot` for the others.
 */
export abstract class Plugin {
  /** Takes the configuration, `{}` where the operator gave none. Returns an error for the operator to read, or null. */
  init(config: Json): string | null {
    return null;
  }

  /** What weft must fill in. Less is faster; everything by default. */
  needs(): Needs {
    return Needs.all();
  }

  /** Decides about a message. Called again with it if another one of its batch made the instance fail. */
  abstract message(m: Message): Verdict;

  /** A session begins. Continue accepts it, drop and close refuse it, reply accepts it and sends a greeting. */
  open(session: Message): Verdict {
    return Verdict.Continue;
  }

  /** A session has ended; the attribute `reason` says why. */
  close(session: Message): void {}

  /** Time has passed, as often as the operator's configuration says. */
  tick(tick: Message): void {}

  /** The asynchronous call that the message waited for has been answered. */
  resume(m: Message): Verdict {
    return Verdict.Continue;
  }

  /** What the plugin's next generation is to know, or null; no hook is called after it. */
  snapshot(): Uint8Array | null {
    return null;
  }

  /** Takes over what the previous generation's `snapshot` gave. Returns an error or null. */
  restore(state: Bytes): string | null {
    return null;
  }
}

let registered: Plugin | null = null;

/** Makes an object the module's plugin. Call it once, at the top of the file. */
export function register(plugin: Plugin): void {
  registered = plugin;
}

/** The module's plugin. */
// @ts-ignore: decorator
@inline
export function plugin(): Plugin {
  return registered!;
}

// The collector of the minimal run-time runs when it is called, and it may be
// called only where nothing on the stack refers to an object: between two
// messages. Once in this many messages, and whenever the memory has grown.
const COLLECT_EVERY: i32 = 256;
let sinceCollected: i32 = 0;
let pages: i32 = 0;

// @ts-ignore: decorator
@inline
export function collect(): void {
  if (++sinceCollected < COLLECT_EVERY && memory.size() == pages) return;
  collectNow();
}

function collectNow(): void {
  __collect();
  sinceCollected = 0;
  pages = memory.size();
}

/** Writes the verdict into a record, and hands a changed context to the records behind it. */
// @ts-ignore: decorator
@inline
export function decide(record: usize, end: usize, verdict: Verdict): void {
  if (verdict != Verdict.Continue) store<u32>(record, verdict, abi.RECORD_VERDICT);
  // A verdict that was made and not returned has left what it carries.
  if (verdict == Verdict.Continue || verdict == Verdict.Pause) {
    if (load<u64>(record, abi.RECORD_OUT) != 0) store<u64>(record, 0, abi.RECORD_OUT);
  }
  if ((load<u32>(record, abi.RECORD_CHANGES) & abi.CHANGED_CONTEXT) != 0) carry(record, end);
  collect();
}

// Later messages of the same session in the batch were filled in before its
// context was changed (abi/SPEC.md, section 4.2).
function carry(record: usize, end: usize): void {
  const session = load<u64>(record, abi.RECORD_SESSION);
  const context = load<u64>(record, abi.RECORD_CONTEXT);
  for (let at = record + abi.RECORD_SIZE; at != end; at += abi.RECORD_SIZE) {
    if (load<u64>(at, abi.RECORD_SESSION) == session) store<u64>(at, context, abi.RECORD_CONTEXT);
  }
}

/** The packed span of an error's text, 0 for none. */
export function failure(error: string | null): u64 {
  if (error === null) return 0;
  const text = error.length > 0 ? error : "the plugin gave no reason";
  place<string>(text);
  return packed(placedAt, placedLength < <i32>abi.MAX_ERROR ? placedLength : <i32>abi.MAX_ERROR);
}

/** A pointer and a length in one number. */
export function packed(at: usize, length: i32): u64 {
  return ((<u64>at) << 32) | <u64>length;
}
