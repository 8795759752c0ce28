// Compiles tests/assembly/*.ts and calls every exported function: one that traps
// has failed. Usage: npm test

import { readFileSync, readdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const folder = join(dirname(fileURLToPath(import.meta.url)), "assembly");
const out = mkdtempSync(join(tmpdir(), "weft-as-"));
let failed = 0;
try {
  for (const file of readdirSync(folder).filter((f) => f.endsWith(".ts") && !f.endsWith(".d.ts"))) {
    const wasm = join(out, file + ".wasm");
    const { error, stderr } = await asc.main([join(folder, file), "--runtime", "minimal", "-O2", "--outFile", wasm, "--baseDir", "/"]);
    if (error) {
      console.error(stderr.toString());
      process.exit(1);
    }
    let memory;
    const text = (p) => p === 0 ? "" : new TextDecoder("utf-16le").decode(new Uint8Array(memory.buffer, p, new Uint32Array(memory.buffer)[(p - 4) >>> 2]));
    const env = { abort(message, where, line) { throw new Error(`${text(message)} (${text(where)}:${line})`); } };
    const instance = await WebAssembly.instantiate(new WebAssembly.Module(readFileSync(wasm)), { env });
    memory = instance.exports.memory;
    for (const [name, test] of Object.entries(instance.exports)) {
      if (typeof test !== "function") continue;
      try {
        test();
        console.log("ok   " + name);
      } catch (e) {
        failed++;
        console.log("FAIL " + name + ": " + e.message);
      }
    }
  }
} finally {
  rmSync(out, { recursive: true });
}
process.exit(failed ? 1 : 0);
