// What every step of the walk uses: the browser's page, axe, the API itself, clients.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import net from "node:net";

export const { WEFT_API: api, WEFT_MODULE: module, WEFT_OTHER: other, WEFT_CONFIG: config, WEFT_LOCKED: locked, WEFT_TOKEN: secret, WEFT_OPERATOR: operator, WEFT_PICTURES: pictures, WEFT_CHROMIUM: executablePath } = process.env;
export const at = JSON.parse(process.env.WEFT_AT);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const patience = 60_000;
export const problems = [];

const began = Date.now();

export function say(text) {
  process.stdout.write(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

// expected are words of console errors that a step causes on purpose.
let expected = [];

/** Says which errors of the browser a step causes on purpose. */
export function expect(...words) {
  expected = words;
}

const elsewhere = "ERR_NETWORK_CHANGED";

/** A page that tells of everything that should not be. */
export async function open(browser, origin, options) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  page.on("request", (r) => {
    if (new URL(r.url()).origin !== origin && !r.url().startsWith("data:")) problems.push(`a request left the host: ${r.url()}`);
  });
  // An interface of this machine that comes or goes ends requests: the page asks again.
  for (const way of ["goto", "reload"]) {
    const begin = page[way].bind(page);
    page[way] = (...to) => begin(...to).catch((cause) => (String(cause).includes(elsewhere) ? begin(...to) : Promise.reject(cause)));
  }
  page.on("console", (m) => {
    if (m.type() === "error" && !m.text().includes(elsewhere) && !expected.some((e) => m.text().includes(e))) problems.push(`console error: ${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (e) => problems.push(`page error: ${e.stack ?? e.message}`));
  return page;
}

/** Serious and critical findings of axe, and text that runs out of the window. */
export async function accessible(page, where) {
  const cdp = await page.context().newCDPSession(page); // what the policy of the page forbids, the debugger may
  await cdp.send("Runtime.evaluate", { expression: axe });
  const { result, exceptionDetails } = await cdp.send("Runtime.evaluate", { expression: "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))", awaitPromise: true, returnByValue: true });
  check(!exceptionDetails, `axe on ${where}: ${exceptionDetails?.text} ${exceptionDetails?.exception?.description}`);
  for (const v of JSON.parse(result.value)) {
    if (v.impact === "serious" || v.impact === "critical") problems.push(`${where}: ${v.impact}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.html} ${n.any?.[0]?.message ?? ""}`).join(" | ")}`);
  }
  await cdp.detach();
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (over > 0) problems.push(`${where}: ${over} pixels too wide`);
}

/** Asks the API itself: what a page says is one thing, what weft does another. */
export async function ask(method, message = {}, origin = api, token = "") {
  const answer = await fetch(`${origin}/weft.v1.${method}`, { method: "POST", headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) }, body: JSON.stringify(message) });
  return { status: answer.status, ...(await answer.json()) };
}

/** Waits for what weft does, as its API tells it. */
export async function until(what, holds) {
  const end = Date.now() + patience;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > end) throw new Error(`it never came to this: ${what}`);
    await new Promise((then) => setTimeout(then, 100));
  }
}

/** A plugin as the API has it. */
export const plugin = async (name) => (await ask("Plugins/List", { names: [name] })).plugins[0];

/** Does what a dialog asks about. */
export async function confirm(page, word) {
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: word, exact: true }).click();
  await dialog.waitFor({ state: "detached" });
}

/** Sends lines to a listener, from an address of this machine. */
export function connect(listener, localAddress = "127.0.0.1") {
  const [host, port] = at[listener].split(":");
  const socket = net.connect({ host, port: Number(port), localAddress });
  socket.on("error", () => undefined); // being cut off is one of the things that may happen
  return socket;
}

/** A reading that costs more than the plugins of the listeners careful and wary may spend. */
export const heavy = (n) => `${JSON.stringify({ id: `heavy-${n}`, t: 5, ...Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`field${i}`, i])) })}\n`;

/** Draws what is shown now, where pictures are asked for. */
export async function picture(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
}
