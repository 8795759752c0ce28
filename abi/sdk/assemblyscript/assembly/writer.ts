import { resize, take } from "./arena";
import { Bytes, copyBytes, textLength, writeText } from "./bytes";

/**
 * Builds bytes where the host can read them, so that the result is not copied
 * again. It belongs to the call that it was made in.
 *
 *     m.setTopic(Writer.create().text("truck/").bytes(id).text("/telemetry"));
 */
@unmanaged
export class Writer {
  /** The address of the first byte. */
  at: usize;
  /** How many bytes were written. */
  length: i32;
  private room: i32;

  /** An empty writer. */
  static create(): Writer {
    const w = changetype<Writer>(take(12, 4));
    w.at = 0;
    w.length = 0;
    w.room = 0;
    return w;
  }

  /** An empty writer that has room for so many bytes: it need not grow up to there. */
  static sized(room: i32): Writer {
    const w = Writer.create();
    w.at = take(room, 1);
    w.room = room;
    return w;
  }

  /** Appends a text. */
  text(text: string): Writer {
    const n = textLength(text);
    this.reserve(n);
    writeText(text, this.at + this.length);
    this.length += n;
    return this;
  }

  /** Appends bytes. */
  bytes(b: Bytes): Writer {
    return this.raw(b.at, b.length);
  }

  /** Appends `length` bytes from an address. */
  raw(from: usize, length: i32): Writer {
    this.reserve(length);
    copyBytes(this.at + this.length, from, length);
    this.length += length;
    return this;
  }

  /** Appends one byte. */
  byte(b: u8): Writer {
    this.reserve(1);
    store<u8>(this.at + this.length++, b);
    return this;
  }

  /** Appends a whole number in decimal. */
  integer(n: i64): Writer {
    this.reserve(20);
    let u = <u64>n;
    if (n < 0) {
      this.byte(0x2d);
      u = 0 - u;
    }
    let digits = 1;
    for (let rest = u; rest > 9; rest /= 10) digits++;
    let to = this.at + this.length + digits;
    this.length += digits;
    do {
      store<u8>(--to, <u8>(0x30 + (u % 10)));
      u /= 10;
    } while (u != 0);
    return this;
  }

  /** Appends a number, in the shortest form that reads back the same. */
  number(n: f64): Writer {
    if (n == Math.floor(n) && Math.abs(n) < 9007199254740992.0) return this.integer(<i64>n);
    return this.text(n.toString());
  }

  /** Appends a text as a JSON string, quotes included. */
  quote(text: string): Writer {
    return this.quoteBytes(Bytes.from(text));
  }

  /** Appends UTF-8 bytes as a JSON string, quotes included. */
  quoteBytes(b: Bytes): Writer {
    this.byte(0x22);
    let from = b.at;
    const end = b.at + b.length;
    for (let at = from; at < end; at++) {
      const c = load<u8>(at);
      if (c >= 0x20 && c != 0x22 && c != 0x5c) continue;
      this.raw(from, <i32>(at - from));
      from = at + 1;
      this.byte(0x5c);
      if (c >= 0x20) this.byte(c);
      else if (c == 0x0a) this.byte(0x6e);
      else this.text("u00").byte(hex(c >> 4)).byte(hex(c & 15));
    }
    return this.raw(from, <i32>(end - from)).byte(0x22);
  }

  /** What was written so far, for as long as nothing more is written. */
  toBytes(): Bytes {
    return Bytes.of(this.at, this.length);
  }

  /** Gives back the room that was not used. */
  finish(): void {
    if (resize(this.at, this.room, this.length)) this.room = this.length;
  }

  private reserve(more: i32): void {
    if (this.room - this.length >= more) return;
    const need = this.length + more;
    const twice = this.room * 2;
    let room = need > twice ? need : twice;
    if (room < 64) room = 64;
    if (this.room == 0 || !resize(this.at, this.room, room)) {
      const at = take(room, 1);
      copyBytes(at, this.at, this.length);
      this.at = at;
    }
    this.room = room;
  }
}

function hex(n: u8): u8 {
  return n < 10 ? 0x30 + n : 0x57 + n;
}
