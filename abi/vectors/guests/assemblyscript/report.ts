// What the commands that read have to say.

import { Attributes, Bytes, Message, Status, Writer } from "weft";
import { hex, write } from "./value";

/** Lines of words. */
@unmanaged
export class Report {
  static create(): Report {
    // A Report is nothing but its writer.
    return changetype<Report>(changetype<usize>(Writer.create()));
  }

  private get writer(): Writer {
    return changetype<Writer>(changetype<usize>(this));
  }

  get isEmpty(): bool {
    return this.writer.length == 0;
  }

  get text(): Writer {
    return this.writer;
  }

  /** Begins a line with its verb. */
  line(verb: string): Report {
    this.writer.text(verb);
    return this;
  }

  /** Adds a word that needs no encoding. */
  word(word: string): Report {
    this.writer.byte(0x20).text(word);
    return this;
  }

  /** Adds a number; as one without a sign if it is a u64. */
  number<T>(n: T): Report {
    if (isSigned<T>()) this.writer.byte(0x20).integer(<i64>n);
    else this.writer.byte(0x20).text((<u64>n).toString());
    return this;
  }

  /** Adds bytes. */
  value(b: Bytes): Report {
    this.writer.byte(0x20);
    write(this.writer, b);
    return this;
  }

  /** Adds bytes that may not be there. */
  found(b: Bytes | null): Report {
    return b ? this.value(b) : this.word("!none");
  }

  /** Adds what a host function could not do. */
  status(s: Status): Report {
    switch (s) {
      case Status.OK: return this.word("ok");
      case Status.NotFound: return this.word("!none");
      case Status.Denied: return this.word("!denied");
      case Status.Limit: return this.word("!limit");
      case Status.Invalid: return this.word("!invalid");
      case Status.Conflict: return this.word("!conflict");
      case Status.Timeout: return this.word("!timeout");
      default: return this.word("!failed");
    }
  }

  /** Adds the length of bytes and their digest. */
  digest(b: Bytes): Report {
    return this.sum(b.length, fnv(FNV_START, b));
  }

  /** Adds the same of all names and values one after another. */
  digestAll(all: Attributes): Report {
    let length = 0;
    let h = FNV_START;
    while (all.next()) {
      length += all.name.length + all.value.length;
      h = fnv(fnv(h, all.name), all.value);
    }
    return this.sum(length, h);
  }

  private sum(length: i32, h: u64): Report {
    this.number<i32>(length);
    this.writer.byte(0x20);
    hex(this.writer, h, 16);
    return this;
  }

  /** Ends the line. */
  end(): void {
    this.writer.byte(0x0a);
  }

  /** Every field of a message. */
  echo(hook: string, m: Message): void {
    this.line("hook").word(hook).end();
    this.line("type").number<i32>(m.type).end();
    this.line("priority").number<i32>(m.priority).end();
    this.line("qos").number<i32>(m.qos).end();
    this.line("flags").word(flags(m)).end();
    this.line("session").number<u64>(m.session).end();
    this.line("seq").number<u64>(m.seq).end();
    this.line("time").number<i64>(m.time).end();
    this.line("topic").value(m.topic).end();
    this.block("attribute", m.attributes);
    this.block("context", m.contexts);
    this.line("payload").value(m.payload).end();
    this.line("total").number<i32>(m.payloadTotal).end();
    this.line("listener").value(m.listener).end();
    if (hook == "resume") {
      this.line("answer").number<u64>(m.token).number<i32>(m.answerStatus).value(m.answer).end();
    }
  }

  private block(verb: string, all: Attributes): void {
    while (all.next()) this.line(verb).value(all.name).value(all.value).end();
  }
}

const FNV_START: u64 = 0xcbf29ce484222325;

function fnv(h: u64, b: Bytes): u64 {
  for (let i = 0; i < b.length; i++) h = (h ^ b[i]) * 0x100000001b3;
  return h;
}

function flags(m: Message): string {
  const set: string[] = [];
  if (m.payloadIsCut) set.push("cut");
  if (m.retain) set.push("retain");
  if (m.redelivered) set.push("redelivered");
  if (m.emitted) set.push("emitted");
  return set.length == 0 ? "-" : set.join(",");
}
