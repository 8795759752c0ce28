// The conformance guest: abi/vectors/README.md says what it does.

import { Bytes, Hook, Json, Message, Needs, Plugin, Verdict, register } from "weft";
import { count, run, setCount } from "./command";
export * from "weft/plugin";
export * from "weft/open";
export * from "weft/close";
export * from "weft/tick";
export * from "weft/resume";
export * from "weft/snapshot";

class Conformance extends Plugin {
  private wants: Needs = Needs.all();
  private onMessages: string | null = null;
  private onOpen: string | null = null;
  private onClose: string | null = null;
  private onTick: string | null = null;
  private onResume: string | null = null;

  init(config: Json): string | null {
    if (config.get("error").isString) return config.get("error").text();
    if (config.get("trap").bool()) unreachable();
    if (config.get("needs").exists) this.wants = needs(config.get("needs"));
    this.onMessages = text(config, "messages");
    this.onOpen = text(config, "open");
    this.onClose = text(config, "close");
    this.onTick = text(config, "tick");
    this.onResume = text(config, "resume");
    return null;
  }

  needs(): Needs {
    return this.wants;
  }

  message(m: Message): Verdict {
    return run("messages", m, this.onMessages, true);
  }

  open(m: Message): Verdict {
    return run("open", m, this.onOpen, true);
  }

  close(m: Message): void {
    run("close", m, this.onClose, false);
  }

  tick(m: Message): void {
    run("tick", m, this.onTick, false);
  }

  resume(m: Message): Verdict {
    const commands = this.onResume;
    return run("resume", m, commands === null ? "echo" : commands, true);
  }

  snapshot(): Uint8Array | null {
    return Uint8Array.wrap(String.UTF8.encode(count.toString()));
  }

  restore(state: Bytes): string | null {
    if (state.length < 1 || state.length > 18) return "not a count";
    let n: u64 = 0;
    for (let i = 0; i < state.length; i++) {
      const d = <u32>state[i] - 0x30;
      if (d > 9) return "not a count";
      n = n * 10 + d;
    }
    setCount(n);
    return null;
  }
}

function text(config: Json, key: string): string | null {
  const v = config.get(key);
  return v.isString ? v.text() : null;
}

/** What the object `needs` of the configuration asks for. */
function needs(v: Json): Needs {
  const n = Needs.none();
  if (v.get("topic").bool()) n.topic();
  if (v.get("attributes").bool()) n.attributes();
  if (v.get("context").bool()) n.context();
  if (v.get("listener").bool()) n.listener();
  n.payload(<u32>v.get("payload").i64(0)); // -1 becomes the highest number: all of it
  for (let i = v.get("without").items(); i.next(); ) {
    if (i.value.is("messages")) n.without(Hook.Messages);
    else if (i.value.is("open")) n.without(Hook.Open);
    else if (i.value.is("close")) n.without(Hook.Close);
    else if (i.value.is("tick")) n.without(Hook.Tick);
    else if (i.value.is("resume")) n.without(Hook.Resume);
  }
  return n;
}

register(new Conformance());
