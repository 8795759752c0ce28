// Unit tests: every exported function is one; run.mjs calls them.

import { Attributes, Bytes, Response, Message, Type, Writer, find, parse } from "../../assembly";
import * as abi from "../../assembly/abi";
import * as arena from "../../assembly/arena";

function eq<T>(got: T, want: T, what: string = ""): void {
  if (isString<T>()) {
    assert(got == want, `${what}: got "${changetype<string>(got)}", want "${changetype<string>(want)}"`);
  } else {
    assert(got == want, what);
  }
}

function json(text: string): Bytes {
  return Bytes.from(text);
}

export function readsAnswers(): void {
  arena.reset();
  const block = [4, 0, 2, 0, 0x64, 0x61, 0x74, 0x65, 0x6e, 0x6f] as StaticArray<u8>; // date: no
  const b = new Uint8Array(8 + block.length + 3);
  store<u32>(b.dataStart, 404);
  store<u32>(b.dataStart, block.length, 4);
  for (let i = 0; i < block.length; i++) b[8 + i] = block[i];
  for (let i = 0; i < 3; i++) b[8 + block.length + i] = 0x61 + <u8>i;
  const r = Response.of(Bytes.of(b.dataStart, b.length));
  assert(r !== null);
  eq<i32>(r!.status, 404);
  eq(r!.body.toString(), "abc");
  eq(r!.header("date")!.toString(), "no");
  assert(r!.header("none") === null);
  const all = r!.headers;
  assert(all.next() && all.name.is("date") && !all.next());
  for (let n = 0; n < 8 + block.length; n++) {
    assert(Response.of(Bytes.of(b.dataStart, n)) === null, n.toString());
  }
}

export function findsValuesByKey(): void {
  arena.reset();
  const doc = json(' { "a" : [1, {"b": "no"}], "b": {"c\\u0041": {"d": -12, "e": "x\\ny"}}, "b": 7 } ');
  const v = parse(doc);
  eq<i64>(v.get("b").get("cA").get("d").i64(), -12);
  eq(v.get("b").get("cA").get("e").text(), "x\ny");
  eq(v.get("a").raw.toString(), '[1, {"b": "no"}]');
  eq(v.get("nothing").exists, false);
  eq(v.get("nothing").get("deeper").text("none"), "none");
  eq(find(doc, "a").isArray, true);
  eq(find(json("{}"), "a").exists, false);
  eq(find(json(""), "a").exists, false);
}

export function checksWholeDocuments(): void {
  const good: string[] = [
    "0", "-0.5e+10", "[]", "{}", "[[],{}]", '""', '{"a":{"b":[{"c":[1,2,[3]]}]},"d":null}',
    " [ true , false ] ", '"\\ud83d\\ude00"', "[{},{}]", "1E5",
  ];
  for (let i = 0; i < good.length; i++) assert(parse(json(good[i])).exists, good[i]);
  const bad: string[] = [
    "", "01", "-", "1.", "1e", "[1,]", "[1", '{"a"}', '{"a":1,}', "{a:1}", "[1}", "tru", "1 2", '"a', '"\\x"',
    '"\u0001"', "{1:2}", '["\\u12g4"]', "]", "[,1]", "nul", "+1", ".5",
  ];
  for (let i = 0; i < bad.length; i++) assert(!parse(json(bad[i])).exists, bad[i]);
  assert(parse(json("[".repeat(64) + "]".repeat(64))).exists);
  assert(!parse(json("[".repeat(65) + "]".repeat(65))).exists);
}

export function readsNumbers(): void {
  eq(parse(json("9223372036854775807")).i64(), i64.MAX_VALUE);
  eq(parse(json("-9223372036854775808")).i64(), i64.MIN_VALUE);
  eq<i64>(parse(json("9223372036854775808")).i64(-1), -1);
  eq<i64>(parse(json("99999999999999999999")).i64(-1), -1);
  eq<i64>(parse(json("1.0")).i64(-1), -1);
  eq<f64>(parse(json("-12.5e1")).f64(), -125.0);
  eq<f64>(parse(json("8.4")).f64(), 8.4);
  eq<f64>(parse(json("-0.001")).f64(), -0.001);
  eq<f64>(parse(json("123456789012345678")).f64(), 123456789012345678.0);
  eq<f64>(parse(json("true")).f64(7.0), 7.0);
}

export function readsStrings(): void {
  eq(parse(json('"plain ü"')).text(), "plain ü");
  eq(parse(json('"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00"')).text(), '"\\/\b\f\n\r\té😀');
  eq(parse(json('"\\ud83dx\\ude00"')).text(), "\ufffdx\ufffd");
  eq(parse(json("7")).text("none"), "none");
  eq(parse(json('"a\\u0062c"')).is("abc"), true);
}

export function walksArraysAndObjects(): void {
  const v = parse(json('{"a": [1, "two", [3]], "b": {}, "c": []}'));
  let keys = "";
  for (let i = v.items(); i.next(); ) keys += i.key.toString();
  eq(keys, "abc");
  let raw = "";
  for (let i = v.get("a").items(); i.next(); ) raw += i.value.raw.toString() + ";";
  eq(raw, '1;"two";[3];');
  assert(!v.get("b").items().next());
  assert(!v.get("c").items().next());
  assert(!v.get("a").get("x").items().next());
}

export function survivesDamage(): void {
  const text = '{"a":[1,-2.5e3,"x\\u00e9\\n"],"b":{"c":null,"d":[true,false]}}';
  const doc = json(text);
  for (let cut = 0; cut < doc.length; cut++) assert(!parse(doc.slice(0, cut)).exists);
  const to: u8[] = [0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x3a, 0, 0xff, 0x30];
  for (let at = 0; at < doc.length; at++) {
    const was = doc[at];
    for (let i = 0; i < to.length; i++) {
      store<u8>(doc.at + at, to[i]);
      const v = parse(doc);
      for (let f = v.items(); f.next(); ) f.value.text().length + <i32>f.value.f64();
      find(doc, "b").get("c");
    }
    store<u8>(doc.at + at, was);
  }
}

export function writes(): void {
  arena.reset();
  const w = Writer.create();
  w.text("ä:").integer(-12).byte(0x2c).integer(i64.MIN_VALUE).byte(0x2c).number(8.5).byte(0x2c).number(3.0);
  eq(w.toBytes().toString(), "ä:-12,-9223372036854775808,8.5,3");
  const q = Writer.create().quote('a"b\\c\nd\u0001é');
  eq(q.toBytes().toString(), '"a\\"b\\\\c\\nd\\u0001é"');
  eq(parse(q.toBytes()).text(), 'a"b\\c\nd\u0001é');
  const long = Writer.create();
  for (let i = 0; i < 5000; i++) {
    long.integer(i);
    if (i == 2500) Bytes.from("something else is lent meanwhile");
  }
  eq<i32>(long.length, 10 + 180 + 2700 + 16000);
  eq(long.toBytes().slice(0, 12).toString(), "012345678910");
  eq(long.toBytes().slice(long.length - 4).toString(), "4999");
}

export function compares(): void {
  const b = Bytes.from("truck/7/ä");
  assert(b.is("truck/7/ä"));
  assert(!b.is("truck/7/a"));
  assert(!b.is("truck/7/"));
  assert(b.startsWith("truck/"));
  assert(!b.startsWith("truck/8"));
  eq<i32>(b.indexOf(0x2f), 5);
  eq<i32>(b.indexOf(0x2f, 6), 7);
  eq<i32>(b.indexOf(0x23), -1);
  assert(b.slice(6, 7).is("7"));
  assert(b.slice(9, 3).is(""));
  assert(b.equals(Bytes.from("truck/7/ä")));
}

function record(): Message {
  arena.reset();
  const at = arena.take(abi.RECORD_SIZE, 8);
  memory.fill(at, 0, abi.RECORD_SIZE);
  return changetype<Message>(at);
}

export function changesAttributes(): void {
  const m = record();
  m.setAttribute("a", "1");
  m.setAttribute("b", "22");
  m.setAttribute("a", Bytes.from("333"));
  m.setAttribute("ä", "");
  m.removeAttribute("b");
  m.removeAttribute("nothing");
  let all = "";
  for (let a: Attributes = m.attributes; a.next(); ) all += a.name.toString() + "=" + a.value.toString() + ";";
  eq(all, "a=333;ä=;");
  assert(m.attribute("b") == null);
  assert(m.attribute("a")!.is("333"));
  eq<u32>(load<u32>(changetype<usize>(m), abi.RECORD_CHANGES), abi.CHANGED_ATTRS);
  const block = m.attributeBlock;
  m.clearAttributes();
  assert(!m.attributes.next());
  m.setAttributes<Writer>(Writer.sized(block.length).bytes(block));
  assert(m.attribute("a")!.is("333"));
  const w = Writer.sized(2);
  const at = w.at;
  assert(w.text("ab").at == at);
  assert(w.text("longer than there was room for").toBytes().startsWith("ablonger"));
}

export function emits(): void {
  const m = record();
  for (let i = 0; i < 11; i++) {
    m.emit("out/" + i.toString(), "p").type(Type.Request).priority(7).qos(1).seq(i).retain().attribute("n", "1").attribute("m", "2");
  }
  m.subscribe("in/#", 2);
  const array: usize = load<u32>(changetype<usize>(m), abi.RECORD_EFFECTS);
  eq<u32>(load<u32>(changetype<usize>(m), abi.RECORD_EFFECTS + 4), 12);
  for (let i: usize = 0; i < 11; i++) {
    const e = array + i * abi.EFFECT_SIZE;
    eq<u8>(load<u8>(e, abi.EFFECT_KIND), abi.EFFECT_EMIT);
    eq<u64>(load<u64>(e, abi.EFFECT_SEQ), i);
    eq<u32>(load<u32>(e, abi.EFFECT_FLAGS), abi.FLAG_RETAIN);
    eq<u32>(load<u32>(e, abi.EFFECT_ATTRS + 4), 12);
    assert(Bytes.of(load<u32>(e, abi.EFFECT_TOPIC), load<u32>(e, abi.EFFECT_TOPIC + 4)).is("out/" + i.toString()));
  }
  eq<u8>(load<u8>(array + 11 * abi.EFFECT_SIZE, abi.EFFECT_KIND), abi.EFFECT_SUBSCRIBE);
  eq<u8>(load<u8>(array + 11 * abi.EFFECT_SIZE, abi.EFFECT_QOS), 2);
}

export function theArenaIsReused(): void {
  for (let i = 0; i < 3; i++) {
    arena.reset();
    for (let k = 0; k < 100; k++) arena.take(1000, 8);
  }
  const before = memory.size();
  for (let i = 0; i < 10000; i++) {
    arena.reset();
    for (let k = 0; k < 100; k++) store<u8>(arena.take(1000, 8), 1, 999);
  }
  eq<i32>(memory.size(), before, "the memory grew");
}
