import { beginOf } from "./block";
import { Bytes, Json, Writer } from "weft";
import { Key, Slot, keepText, learn, slotOf } from "./names";
import { Attribute, Rule } from "./rules";

// The configuration, read once. Every function gives an error that names the key,
// or null.

/** What becomes of the keys of the payload. */
export enum Mode {
  All,
  Keep,
  Remove,
}

export let mode: Mode = Mode.All;
export let attributes: Attribute[] = [];
export let rules: Rule[] = [];
export let dropsInvalid: bool = false;

const KEYS: string[] = ["rename", "attributes", "keep", "remove", "rules", "invalid"];
const RULE: string[] = ["field", "above", "below", "equals", "present", "set"];

export function read(config: Json): string | null {
  let error = only("", config, KEYS);
  if (error === null) error = readRenames(config.get("rename"));
  if (error === null) error = readAttributes(config.get("attributes"));
  if (error === null) error = readList(config);
  if (error === null) error = readRules(config.get("rules"));
  if (error === null) error = readInvalid(config.get("invalid"));
  return error;
}

function wrong(place: string, expected: string, found: Json): string {
  let text = found.exists ? found.raw.toString() : "nothing";
  if (text.length > 40) text = text.substring(0, 40) + "...";
  return `${place}: expected ${expected}, found ${text}`;
}

/** Refuses keys other than the given ones. */
function only(place: string, object: Json, keys: string[]): string | null {
  if (!object.isObject) return wrong(place == "" ? "the configuration" : place, "an object", object);
  for (let i = object.items(); i.next(); ) {
    const key = i.key.toString();
    if (keys.includes(key)) continue;
    const where = place == "" ? key : place + "." + key;
    for (let k = 0; k < keys.length; k++) {
      if (near(key, keys[k])) return `${where}: unknown key, did you mean "${keys[k]}"? Expected one of ${keys.join(", ")}`;
    }
    return `${where}: unknown key; expected one of ${keys.join(", ")}`;
  }
  return null;
}

/** Whether two words differ by one or two letters. */
function near(a: string, b: string): bool {
  const row = new StaticArray<i32>(b.length + 1);
  for (let j = 0; j <= b.length; j++) row[j] = j;
  for (let i = 0; i < a.length; i++) {
    let diagonal = row[0];
    row[0] = i + 1;
    for (let j = 0; j < b.length; j++) {
      const changed = diagonal + i32(a.charCodeAt(i) != b.charCodeAt(j));
      diagonal = row[j + 1];
      row[j + 1] = min(changed, min(diagonal, row[j]) + 1);
    }
  }
  return row[b.length] <= 2;
}

function readRenames(object: Json): string | null {
  if (!object.exists || object.isNull) return null;
  if (!object.isObject) return wrong("rename", 'an object {"from": "to"}', object);
  for (let i = object.items(); i.next(); ) {
    const from = i.key.toString();
    if (!i.value.isString) return wrong("rename." + from, "a string", i.value);
    const to = i.value.bytes();
    if (to.equals(i.key)) return `rename.${from}: is renamed to itself`;
    const slot = slotOf(to);
    slot.quoted = keepText(Writer.create().quoteBytes(to).toBytes());
    if (!learn(i.key, slot, true)) return `rename.${from}: appears twice`;
  }
  // Keys that have the name of another one's target already, unless they are renamed themselves.
  for (let i = object.items(); i.next(); ) learn(i.value.bytes(), slotOf(i.value.bytes()), false);
  return null;
}

function readAttributes(object: Json): string | null {
  if (!object.exists || object.isNull) return null;
  if (!object.isObject) return wrong("attributes", 'an object {"attribute": "key"}', object);
  for (let i = object.items(); i.next(); ) {
    const name = i.key.toString();
    if (!isName(i.key)) return `attributes.${name}: expected a name of 1 to 255 bytes`;
    if (!i.value.isString) return wrong("attributes." + name, "a string", i.value);
    const slot = field(i.value.bytes());
    if (slot === null) return gone("attributes." + name, i.value);
    attributes.push(new Attribute(beginOf(i.key), slot, keepText(i.key)));
  }
  return null;
}

function isName(b: Bytes): bool {
  return b.length > 0 && b.length < 256;
}

/** The slot of a key as it is called after renaming, null if it is called otherwise then. */
function field(name: Bytes): Slot | null {
  const slot = slotOf(name);
  return learn(name, slot, false) || slot.quoted !== null ? slot : null;
}

function gone(place: string, name: Json): string {
  return `${place}: the key ${name.raw.toString()} is renamed; expected its new name`;
}

function readList(config: Json): string | null {
  const keep = config.get("keep");
  const remove = config.get("remove");
  if (keep.exists && remove.exists) return "remove: is set beside keep; expected one of the two";
  if (!keep.exists && !remove.exists) return null;
  mode = keep.exists ? Mode.Keep : Mode.Remove;
  const list = keep.exists ? keep : remove;
  const place = keep.exists ? "keep" : "remove";
  if (!list.isArray) return wrong(place, "an array of keys", list);
  for (let i = list.items(), n = 0; i.next(); n++) {
    if (!i.value.isString) return wrong(`${place}[${n}]`, "a string", i.value);
    const slot = field(i.value.bytes());
    if (slot === null) return gone(`${place}[${n}]`, i.value);
    slot.listed = true;
  }
  return null;
}

function readRules(list: Json): string | null {
  if (!list.exists || list.isNull) return null;
  if (!list.isArray) return wrong("rules", "an array of rules", list);
  for (let i = list.items(), n = 0; i.next(); n++) {
    const error = readRule(`rules[${n}]`, i.value);
    if (error !== null) return error;
  }
  return null;
}

function readRule(place: string, j: Json): string | null {
  const error = only(place, j, RULE);
  if (error !== null) return error;
  if (!j.get("field").isString) return wrong(place + ".field", "the name of a key", j.get("field"));
  const slot = field(j.get("field").bytes());
  if (slot === null) return gone(place + ".field", j.get("field"));
  const r = new Rule(slot);
  const above = j.get("above");
  const below = j.get("below");
  if (above.exists && !above.isNumber) return wrong(place + ".above", "a number", above);
  if (below.exists && !below.isNumber) return wrong(place + ".below", "a number", below);
  r.above = above.f64();
  r.below = below.f64();
  r.compares = above.exists || below.exists;
  const equals = j.get("equals");
  if (equals.isObject || equals.isArray) return wrong(place + ".equals", "a string, a number, true, false or null", equals);
  if (equals.exists) {
    r.equalsString = equals.isString;
    r.equals = keepText(equals.isString ? equals.bytes() : equals.raw);
  }
  const present = j.get("present");
  if (present.exists && !present.isBool) return wrong(place + ".present", "true or false", present);
  r.present = present.bool(true);
  if (!r.compares && !equals.exists && !present.exists) return `${place}: expected at least one of above, below, equals and present`;
  if (!r.present && (r.compares || equals.exists)) return `${place}.present: is false beside a condition on the value`;
  rules.push(r);
  return readSet(place + ".set", j.get("set"), r);
}

function readSet(place: string, object: Json, r: Rule): string | null {
  if (!object.isObject) return wrong(place, 'an object {"attribute": value}', object);
  for (let i = object.items(); i.next(); ) {
    const name = i.key.toString();
    const v = i.value;
    if (!isName(i.key)) return `${place}.${name}: expected a name of 1 to 255 bytes`;
    if (!v.isString && !v.isNumber && !v.isBool) return wrong(`${place}.${name}`, "a string, a number, true or false", v);
    const text = v.isString ? v.bytes() : v.raw;
    if (text.length > 4096) return `${place}.${name}: expected at most 4096 bytes, found ${text.length}`;
    r.set.push(new Attribute(beginOf(i.key), r.slot, keepText(text)));
  }
  return r.set.length > 0 ? null : wrong(place, "at least one attribute", object);
}

function readInvalid(word: Json): string | null {
  if (!word.exists || word.isNull || word.is("continue")) return null;
  dropsInvalid = true;
  return word.is("drop") ? null : wrong("invalid", '"continue" or "drop"', word);
}
