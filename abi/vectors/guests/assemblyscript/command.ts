// The commands.

import { Bytes, Counter, Gauge, Histogram, Level, Message, Request, Status, Type, Verdict, Writer } from "weft";
import { clock, filter, kv, log, random } from "weft";
import { Report } from "./report";
import { integer, read } from "./value";

/** How many `count` commands this instance has carried out. */
export let count: u64 = 0;

export function setCount(to: u64): void {
  count = to;
}

// The token of the last request that was begun.
let sent: i64 = 0;

// The line that is being carried out, and the place in it.
let line: Bytes = changetype<Bytes>(0);
let at: i32 = 0;
let report: Report = changetype<Report>(0);
let verdict: i32 = -1;

/** The next word of the line, empty at its end. */
function word(): Bytes {
  const from = at;
  let to = line.indexOf(0x20, from);
  if (to < 0) to = line.length;
  at = to + 1;
  return from < line.length ? line.slice(from, to) : line.slice(0, 0);
}

function value(): Bytes {
  return read(word());
}

function name(): string {
  return value().toString();
}

function number(): i64 {
  return integer(word());
}

function fraction(): f64 {
  return parseFloat(word().toString());
}

/**
 * Carries out the commands of the configuration, of the attribute `do`, or of the
 * payload. `decides`: the hook may answer with other verdicts than continue.
 */
export function run(hook: string, m: Message, configured: string | null, decides: bool): Verdict {
  let commands = m.payload;
  const given = m.attribute("do");
  if (configured !== null) commands = Bytes.from(configured);
  else if (given) commands = given;
  report = Report.create();
  verdict = -1;
  for (let from = 0; from < commands.length; ) {
    let to = commands.indexOf(0x0a, from);
    if (to < 0) to = commands.length;
    line = commands.slice(from, to);
    at = 0;
    if (line.length > 0) one(hook, m);
    from = to + 1;
  }
  if (!report.isEmpty) {
    if (decides && verdict < 0) return m.reply(report.text);
    m.emit("report", report.text);
  }
  return decides && verdict >= 0 ? <Verdict>verdict : Verdict.Continue;
}

function one(hook: string, m: Message): void {
  const verb = word().toString();
  if (decide(verb, m) || change(verb, m) || effect(verb, m) || look(verb, hook, m) || host(verb) || store(verb) || http(verb, m) || screen(verb, m)) return;
  report.line("unknown").value(Bytes.from(verb)).end();
}

function decide(verb: string, m: Message): bool {
  if (verb == "trap") unreachable();
  else if (verb == "continue") verdict = Verdict.Continue;
  else if (verb == "drop") verdict = m.drop(value());
  else if (verb == "close") verdict = m.close(value());
  else if (verb == "reply") verdict = m.reply(value());
  else if (verb == "pause") verdict = m.pause(number());
  else if (verb == "await") verdict = m.pause(sent);
  else if (verb == "route") {
    const to = Writer.create();
    for (let d = word(); d.length > 0; d = word()) {
      if (to.length > 0) to.byte(0x0a);
      to.bytes(d);
    }
    verdict = m.route(to);
  } else return false;
  return true;
}

function change(verb: string, m: Message): bool {
  if (verb == "topic") m.setTopic(value());
  else if (verb == "payload") m.setPayload(value());
  else if (verb == "set") m.setAttribute(name(), value());
  else if (verb == "unset") m.removeAttribute(name());
  else if (verb == "clear") m.clearAttributes();
  else if (verb == "remember") m.setContext(name(), value());
  else if (verb == "forget") m.removeContext(name());
  else if (verb == "seq") m.setSeq(number());
  else if (verb == "type") m.setType(<Type>(<i32>number()));
  else if (verb == "priority") m.setPriority(<u8>number());
  else if (verb == "qos") m.setQoS(<u8>number());
  else return false;
  return true;
}

function effect(verb: string, m: Message): bool {
  if (verb == "emit") emit(m);
  else if (verb == "emits") {
    const n = number();
    const topic = value();
    for (let i: i64 = 0; i < n; i++) m.emit(topic, Writer.create().integer(i));
  } else if (verb == "subscribe") {
    const pattern = value();
    m.subscribe(pattern, <u8>number());
  } else if (verb == "unsubscribe") m.unsubscribe(value());
  else return false;
  return true;
}

function emit(m: Message): void {
  const topic = value();
  const e = m.emit(topic, value());
  for (let option = word(); option.length > 0; option = word()) {
    let split = option.indexOf(0x3d);
    if (split < 0) split = option.length;
    const key = option.slice(0, split);
    const v = option.slice(split + 1);
    if (key.is("type")) e.type(<Type>(<i32>integer(v)));
    else if (key.is("priority")) e.priority(<u8>integer(v));
    else if (key.is("qos")) e.qos(<u8>integer(v));
    else if (key.is("seq")) e.seq(integer(v));
    else if (key.is("retain")) e.retain();
    else e.attribute(key.slice(1).toString(), read(v));
  }
}

function look(verb: string, hook: string, m: Message): bool {
  if (verb == "echo") report.echo(hook, m);
  else if (verb == "attribute") {
    const n = value();
    report.line(verb).value(n).found(m.attribute(n.toString())).end();
  } else if (verb == "context") {
    const n = value();
    report.line(verb).value(n).found(m.context(n.toString())).end();
  } else if (verb == "digest") {
    const field = word().toString();
    report.line(verb).word(field);
    if (field == "topic") report.digest(m.topic);
    else if (field == "payload") report.digest(m.payload);
    else report.digestAll(m.attributes);
    report.end();
  } else if (verb == "count") report.line(verb).number<u64>(++count).end();
  else return false;
  return true;
}

function host(verb: string): bool {
  if (verb == "log") {
    const level = word();
    log.write(level.is("debug") ? Level.Debug : level.is("info") ? Level.Info : level.is("warn") ? Level.Warn : Level.Error, value());
  } else if (verb == "counter") {
    const n = value();
    const c = new Counter(n.toString());
    if (c.id < 0) report.line(verb).value(n).status(c.id).end();
    else c.add(number());
  } else if (verb == "gauge") {
    const n = value();
    const g = new Gauge(n.toString());
    if (g.id < 0) report.line(verb).value(n).status(g.id).end();
    else g.set(fraction());
  } else if (verb == "histogram") {
    const n = value();
    const h = new Histogram(n.toString());
    if (h.id < 0) report.line(verb).value(n).status(h.id).end();
    else h.observe(fraction());
  } else if (verb == "wall") report.line(verb).number<i64>(clock.wall()).end();
  else if (verb == "monotonic") report.line(verb).number<i64>(clock.monotonic()).end();
  else if (verb == "random") {
    const n = <i32>number();
    const a = new Uint8Array(n);
    const b = new Uint8Array(n);
    let status = random.fill(a);
    if (status == Status.OK) status = random.fill(b);
    report.line(verb).number<i32>(n);
    if (status != Status.OK) report.status(status).end();
    else report.word(memory.compare(a.dataStart, b.dataStart, n) == 0 ? "same" : "different").end();
  } else return false;
  return true;
}

function store(verb: string): bool {
  if (!verb.startsWith("kv-")) return false;
  const key = value();
  const begin = report.text.length;
  report.line(verb).value(key);
  if (verb == "kv-get") found(kv.get(key), false);
  else if (verb == "kv-digest") found(kv.get(key), true);
  else if (verb == "kv-set") {
    const v = value();
    report.status(kv.set(key, v, number()));
  } else if (verb == "kv-cas") {
    const revision = number();
    const v = value();
    orStatus(kv.compareAndSet(key, revision, v, number()));
  } else if (verb == "kv-revision") orStatus(kv.revision(key));
  else if (verb == "kv-delete") report.status(kv.remove(key));
  else if (verb == "kv-add") {
    const delta = number();
    const sum = kv.add(key, delta, number());
    if (kv.status == Status.OK) report.number<i64>(sum);
    else report.status(kv.status);
  } else {
    report.text.length = begin;
    return false;
  }
  report.end();
  return true;
}

function found(v: Bytes | null, digest: bool): void {
  if (!v) report.status(kv.status);
  else if (digest) report.digest(v);
  else report.value(v);
}

function orStatus(n: i64): void {
  if (n < 0) report.status(<Status>(<i32>n));
  else report.number<i64>(n);
}

function http(verb: string, m: Message): bool {
  if (verb == "http") {
    const method = value();
    const r = Request.of<Bytes, Bytes>(method, value()).body<Bytes>(value()).deadline(number());
    for (let option = word(); option.length > 0; option = word()) {
      const to = option.indexOf(0x3d);
      r.header<Bytes>(option.slice(1, to).toString(), read(option.slice(to + 1)));
    }
    const token = r.send();
    if (token >= 0) sent = token;
    else report.line(verb).status(<Status>(<i32>token)).end();
  } else if (verb == "answer") {
    const r = m.response;
    if (r === null) {
      report.line("http").status(m.answerStatus < 0 ? <Status>m.answerStatus : Status.Failed).end();
      return true;
    }
    report.line("http").number<i32>(r.status).end();
    for (const all = r.headers; all.next(); ) report.line("header").value(all.name).value(all.value).end();
    report.line("body").value(r.body).end();
  } else return false;
  return true;
}

function screen(verb: string, m: Message): bool {
  if (verb == "filter-source") {
    const from = filter.source(m);
    report.line(verb);
    if (from === null) report.status(filter.status);
    else report.value(from);
  } else if (verb == "filter-here") {
    report.line(verb).status(filter.blockSource(m, number()));
  } else if (verb == "filter-block") {
    const from = value();
    report.line(verb).value(from).status(filter.block<Bytes>(from, number()));
  } else if (verb == "filter-allow") {
    const from = value();
    report.line(verb).value(from).status(filter.allow<Bytes>(from, number()));
  } else if (verb == "filter-unblock") {
    const from = value();
    report.line(verb).value(from).status(filter.unblock<Bytes>(from));
  } else return false;
  report.end();
  return true;
}
