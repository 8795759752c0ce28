import { Bytes, Json, Writer } from "weft";
import { Key, Slot, add, find, keep } from "./keys";

/** A text that becomes an attribute. */
export class Copy {
  constructor(
    public attribute: string,
    public slot: Slot
  ) {}
}

/** An attribute with a value that the configuration gives. */
export class Mark {
  constructor(
    public attribute: string,
    public value: string
  ) {}
}

/** What a value must be, and what is then set. */
export class Rule {
  /** There must be no value; everything else wants one. */
  wantsAbsence: bool = false;
  hasAbove: bool = false;
  above: f64 = 0;
  hasBelow: bool = false;
  below: f64 = 0;
  /** What it equals: a number, the text of a string, or true or false. */
  hasNumber: bool = false;
  number: f64 = 0;
  text: string | null = null;
  word: string | null = null;
  set: StaticArray<Mark> = new StaticArray<Mark>(0);

  constructor(public slot: Slot) {}

  get comparesNumber(): bool {
    return this.hasAbove || this.hasBelow || this.hasNumber;
  }

  get comparesValue(): bool {
    return this.comparesNumber || this.text !== null || this.word !== null;
  }
}

/** The most attributes that a configuration sets. */
const MAX_ATTRIBUTES: i32 = 24;
const MAX_NAME: i32 = 64;
const MAX_MARK: i32 = 256;

/** The configuration, checked and compiled; `error` names the key that is wrong. */
export class Config {
  error: string | null = null;
  copies: StaticArray<Copy> = new StaticArray<Copy>(0);
  rules: StaticArray<Rule> = new StaticArray<Rule>(0);
  slots: StaticArray<usize> = new StaticArray<usize>(0);
  /** Whether the payload keeps only members that are named. */
  onlyNamed: bool = false;
  /** Whether payloads that are no JSON objects are dropped. */
  dropInvalid: bool = false;
  /** Whether a rule wants that there is no value. */
  wantsAbsence: bool = false;

  private slotList: Array<usize> = [];
  private names: Array<string> = [];
  private attributes: i32 = 0;

  static read(doc: Json): Config {
    const c = new Config();
    c.read(doc);
    c.slots = StaticArray.fromArray<usize>(c.slotList);
    return c;
  }

  private fail(text: string): bool {
    if (this.error === null) this.error = text;
    return false;
  }

  private read(doc: Json): void {
    if (!doc.isObject) {
      this.fail("expected names and values");
      return;
    }
    for (let i = doc.items(); i.next(); ) {
      const key = i.key.toString();
      const known =
        key == "rename" || key == "attributes" || key == "keep" || key == "remove" || key == "rules" || key == "invalid";
      if (!known) this.fail(key + ": no such key; expected one of rename, attributes, keep, remove, rules, invalid");
    }
    this.readRename(doc.get("rename"));
    this.readAttributes(doc.get("attributes"));
    this.readRules(doc.get("rules"));
    this.readLists(doc.get("keep"), doc.get("remove"));
    const invalid = doc.get("invalid");
    if (invalid.is("drop")) this.dropInvalid = true;
    else if (invalid.exists && !invalid.is("continue")) this.fail("invalid: expected continue or drop");
    if (this.attributes > MAX_ATTRIBUTES) {
      this.fail("attributes and rules set " + this.attributes.toString() + " attributes; at most " + MAX_ATTRIBUTES.toString() + " are allowed");
    }
  }

  /** The slot with this name, made if there is none. */
  private slot(name: string): Slot {
    const at = this.names.indexOf(name);
    if (at >= 0) return changetype<Slot>(this.slotList[at]);
    const slot = new Slot();
    const quoted = Writer.create().quote(name).toBytes();
    slot.quoted = keep(quoted);
    slot.quotedLength = quoted.length;
    this.names.push(name);
    this.slotList.push(changetype<usize>(slot));
    return slot;
  }

  /** The slot for a name that `where` uses, with the key of that name. */
  private named(where: string, name: string): Slot {
    const known = this.names.indexOf(name) >= 0;
    const slot = this.slot(name);
    const key = lookUp(name);
    if (key == null) add(Bytes.from(name), slot, false);
    else if (key.renamed && !known) this.fail(where + ": " + name + " is renamed; use its new name");
    return slot;
  }

  private isObject(where: string, v: Json): bool {
    if (!v.exists) return false;
    return v.isObject ? true : this.fail(where + ": expected names and values");
  }

  private readRename(v: Json): void {
    if (!this.isObject("rename", v)) return;
    for (let i = v.items(); i.next(); ) {
      const from = i.key.toString();
      if (!i.value.isString) this.fail("rename." + from + ": expected the new name");
      const to = i.value.text();
      if (to == from) this.fail("rename." + from + ": to itself");
      if (lookUp(from) != null) this.fail("rename." + from + ": twice");
      else add(i.key, this.slot(to), true);
    }
    // A key that has the new name already.
    for (let i = v.items(); i.next(); ) {
      const to = i.value.text();
      if (lookUp(to) == null) add(Bytes.from(to), this.slot(to), false);
    }
  }

  /** Checks a name for an attribute. */
  private attribute(where: string, name: string): string {
    const n = String.UTF8.byteLength(name);
    if (n == 0 || n > MAX_NAME) this.fail(where + ": an attribute's name must have 1 to " + MAX_NAME.toString() + " bytes");
    this.attributes++;
    return name;
  }

  private readAttributes(v: Json): void {
    if (!this.isObject("attributes", v)) return;
    const copies: Array<Copy> = [];
    for (let i = v.items(); i.next(); ) {
      const name = i.key.toString();
      const where = "attributes." + name;
      if (!i.value.isString) this.fail(where + ": expected the name of a key");
      copies.push(new Copy(this.attribute(where, name), this.named(where, i.value.text())));
    }
    this.copies = StaticArray.fromArray<Copy>(copies);
  }

  private readLists(kept: Json, removed: Json): void {
    if (kept.exists && removed.exists) this.fail("keep and remove: expected one of the two");
    this.onlyNamed = kept.exists;
    for (let i = 0; kept.exists && i < this.slotList.length; i++) changetype<Slot>(this.slotList[i]).removed = true;
    this.readList("keep", kept, false);
    this.readList("remove", removed, true);
  }

  private readList(where: string, v: Json, removed: bool): void {
    if (!v.exists) return;
    if (!v.isArray) this.fail(where + ": expected a list of keys");
    for (let i = v.items(); i.next(); ) {
      if (!i.value.isString) this.fail(where + ": expected a list of keys");
      else this.named(where, i.value.text()).removed = removed;
    }
  }

  private readRules(v: Json): void {
    if (!v.exists) return;
    if (!v.isArray) this.fail("rules: expected a list");
    const rules: Array<Rule> = [];
    for (let i = v.items(); i.next(); ) this.readRule("rules[" + rules.length.toString() + "]", i.value, rules);
    this.rules = StaticArray.fromArray<Rule>(rules);
  }

  private readRule(where: string, v: Json, to: Array<Rule>): void {
    if (!v.isObject) {
      this.fail(where + ": expected names and values");
      return;
    }
    const field = v.get("field");
    if (!field.isString) this.fail(where + ".field: missing; expected the name of a key");
    const rule = new Rule(this.named(where + ".field", field.text()));
    to.push(rule);
    let compares = false;
    for (let i = v.items(); i.next(); ) {
      const key = i.key.toString();
      if (key == "above" || key == "below") {
        if (!i.value.isNumber) this.fail(where + "." + key + ": expected a number");
        if (key == "above") {
          rule.hasAbove = true;
          rule.above = i.value.f64();
        } else {
          rule.hasBelow = true;
          rule.below = i.value.f64();
        }
      } else if (key == "equals") {
        this.readEquals(where, i.value, rule);
      } else if (key == "present") {
        if (!i.value.isBool) this.fail(where + ".present: expected true or false");
        rule.wantsAbsence = !i.value.bool(true);
      } else {
        if (key != "field" && key != "set") this.fail(where + "." + key + ": no such key; expected field, above, below, equals, present or set");
        continue;
      }
      compares = true;
    }
    if (!compares) this.fail(where + ": compares nothing; expected above, below, equals or present");
    if (rule.wantsAbsence && rule.comparesValue) this.fail(where + ": what is not present cannot be compared");
    if (rule.wantsAbsence) this.wantsAbsence = true;
    this.readSet(where + ".set", v.get("set"), rule);
  }

  private readEquals(where: string, v: Json, rule: Rule): void {
    if (v.isNumber) {
      rule.hasNumber = true;
      rule.number = v.f64();
    } else if (v.isString) rule.text = v.text();
    else if (v.isBool) rule.word = v.raw.toString();
    else this.fail(where + ".equals: expected a text, a number, true or false");
  }

  private readSet(where: string, v: Json, rule: Rule): void {
    const marks: Array<Mark> = [];
    if (!v.isObject) this.fail(where + ": missing; expected attributes and their values");
    for (let i = v.items(); v.isObject && i.next(); ) {
      const name = this.attribute(where, i.key.toString());
      const value = i.value;
      if (!value.isString && !value.isNumber && !value.isBool) this.fail(where + "." + name + ": expected a value");
      const text = value.isString ? value.text() : value.raw.toString();
      if (String.UTF8.byteLength(text) > MAX_MARK) this.fail(where + "." + name + ": longer than " + MAX_MARK.toString() + " bytes");
      marks.push(new Mark(name, text));
    }
    if (marks.length == 0) this.fail(where + ": empty");
    rule.set = StaticArray.fromArray<Mark>(marks);
  }
}

function lookUp(name: string): Key | null {
  const b = Bytes.from(name);
  return find(b.at, b.length);
}
