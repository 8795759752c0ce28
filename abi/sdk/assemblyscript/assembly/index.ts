// Plugins for the weft message router, in AssemblyScript: one method over one
// message. README.md shows a whole plugin.

export { Attributes } from "./attributes";
export { Bytes } from "./bytes";
export { Emit } from "./emit";
export { filter } from "./filter";
export { Counter, Gauge, Histogram, Level, Status, clock, kv, log, random } from "./host";
export { Request, Response, http } from "./http";
export { Json, JsonItems, find, parse } from "./json";
export { Message, Type, Verdict } from "./message";
export { Hook, Needs } from "./needs";
export { Plugin, register } from "./runtime";
export { Writer } from "./writer";
