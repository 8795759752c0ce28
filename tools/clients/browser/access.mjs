// Who may only look, a weft that is cut off and comes back, and one that is drained.
import net from "node:net";
import { accessible, api, ask, check, confirm, expect, locked, open, operator, picture, say, secret, until } from "./stage.mjs";

/** A page that has a token already. */
async function entered(browser, token) {
  const page = await open(browser, locked, { viewport: { width: 1280, height: 800 } });
  await page.addInitScript((text) => sessionStorage.setItem("weft.token", text), token);
  return page;
}

/** Who may only read is offered nothing else, and refused in words. */
export async function readOnly(browser) {
  const page = await entered(browser, secret);
  const offers = /^(Drain|Close|End|Replay|Delete|Block|Unblock|Promote|Withdraw|Roll back|Read it again|Choose a file)/;
  for (const path of ["", "plugins/strict", "rollouts", "connections", "sessions", "dead-letters", "filter", "config"]) {
    await page.goto(`${locked}/console/${path}`);
    await page.locator("main h1").first().waitFor();
    await page.getByText("read only", { exact: true }).waitFor();
    await page.waitForFunction(() => !document.querySelector(".waiting"));
    const offered = (await page.getByRole("button").allInnerTexts()).filter((text) => offers.test(text));
    check(offered.length === 0, `/${path} offers ${offered} to who may only read`);
    await accessible(page, `/${path}, read only`);
  }
  await page.goto(`${locked}/console/plugins/strict`);
  await page.getByText("You may look, not change").waitFor();
  await picture(page, "read-only");
  for (const [method, message] of [["Plugins/Swap", { name: "strict" }], ["Lifecycle/Drain", {}], ["FastPath/Block", { source: "127.0.0.9" }], ["DeadLetters/Purge", {}]]) {
    const said = await ask(method, message, locked, secret);
    check(said.status === 403 && said.message.includes("the role read"), `${method}: ${JSON.stringify(said)}`);
  }
  await page.context().close();
  const other = await entered(browser, operator);
  await other.goto(`${locked}/console/plugins/strict`);
  await other.getByRole("button", { name: "Choose a file…" }).waitFor();
  check((await other.getByText("read only", { exact: true }).count()) === 0, "an operator is told to look only");
  await other.context().close();
  say("who may only read is offered nothing, and refused in words");
}

/** Runs in a page before its own script: what it puts off until it was drawn waits for the first overview. */
function overtaken() {
  const { setTimeout: timeout, requestAnimationFrame: frame, JSON: { parse } } = window;
  let held = [];
  const later = (begin) => (held ? (held.push(begin), 0) : begin());
  window.setTimeout = (then, ms = 0, ...more) => (ms > 1000 ? timeout(then, ms, ...more) : later(() => timeout(then, ms, ...more)));
  window.requestAnimationFrame = (then) => later(() => frame(then));
  JSON.parse = (...text) => {
    const value = parse(...text);
    if (value?.caller) queueMicrotask(() => { window.wasOvertaken = held?.length > 0; held?.forEach((begin) => begin()); held = undefined; }); // the page has it by then
    return value;
  };
}

/** Who asks is shown, however soon the answer that tells it comes: no later one tells it again. */
export async function early(browser) {
  for (const path of ["", "connections", "plugins/strict"]) {
    const page = await entered(browser, secret);
    await page.addInitScript(overtaken);
    await page.goto(`${locked}/console/${path}`);
    await page.waitForFunction(() => "wasOvertaken" in window);
    check(await page.evaluate(() => window.wasOvertaken), `/${path} puts nothing off: this checks nothing any more`);
    await page.getByText("read only", { exact: true }).waitFor();
    await page.context().close();
  }
  say("who asks is shown, however soon it is known");
}

/** A way to the API that can be cut: who dials meanwhile is cut off. Its port stays its own. */
async function bridge() {
  const [host, port] = new URL(api).host.split(":");
  const pairs = new Set();
  let whole = true;
  const server = net.createServer((near) => {
    if (!whole) return void near.on("error", () => undefined).destroy();
    const far = net.connect({ host, port: Number(port) });
    for (const s of [near, far]) s.on("error", () => undefined).on("close", () => { near.destroy(); far.destroy(); pairs.delete(near); });
    pairs.add(near);
    near.pipe(far).pipe(near);
  });
  await new Promise((then, fail) => server.once("error", fail).listen(0, "127.0.0.1", then));
  const cut = () => {
    whole = false;
    pairs.forEach((s) => s.destroy());
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, cut, mend: () => { whole = true; }, end: () => { server.close(); cut(); } };
}

/** Runs in a page: from now on it does nothing that it puts off for a second or more, until it may go on. */
function hold() {
  const timeout = window.setTimeout;
  window.held = [];
  window.setTimeout = (then, ms = 0, ...more) => (ms < 1000 ? timeout(then, ms, ...more) : void window.held.push(ms));
  window.goOn = () => { window.setTimeout = timeout; };
}

/** weft does not answer, and answers again: a page says so, keeps what it knew, goes on. */
export async function lost(browser) {
  const way = await bridge();
  const page = await open(browser, way.origin, { viewport: { width: 1280, height: 800 } });
  await page.goto(`${way.origin}/console/`);
  await page.locator(".map-rate").first().waitFor();
  expect("Failed to load resource", "net::ERR");
  await page.evaluate(hold);
  way.cut();
  const banner = page.getByRole("alert").filter({ hasText: "weft does not answer" });
  await banner.waitFor();
  check(await page.locator(".map-rate").count() > 0, "what was known is gone");
  await page.locator(".pulse-verdict", { hasText: "No answer" }).waitFor();
  await picture(page, "lost");
  await accessible(page, "weft does not answer");
  check(await page.evaluate(() => window.held.includes(1000)), "the page would not try again in a second: this checks nothing any more");
  way.mend();
  await banner.getByRole("button", { name: "Try now" }).click();
  await banner.waitFor({ state: "detached" }); // by the button alone
  await page.evaluate(() => window.goOn());
  await page.locator(".pulse-verdict", { hasText: /Healthy|Attention|Trouble/ }).waitFor();
  way.cut();
  await banner.waitFor();
  way.mend();
  await banner.waitFor({ state: "detached" }); // by itself
  expect();
  await page.context().close();
  way.end();
  say("weft does not answer, and answers again");
}

/** Draining asks for the node's name; then the process ends. */
export async function drain(browser) {
  const page = await entered(browser, operator);
  await page.goto(`${locked}/console/`);
  const node = (await ask("Overview/Get", {}, locked, operator)).snapshot.instance.node;
  await page.getByRole("button", { name: "Drain…" }).click();
  const dialog = page.getByRole("dialog");
  const act = dialog.getByRole("button", { name: "Drain and end it" });
  check(await act.isDisabled(), "it can be drained without its name");
  await dialog.getByLabel(/Write .* to confirm/).fill(`${node}-not`);
  check(await act.isDisabled(), "it can be drained by another name");
  await picture(page, "drain");
  await accessible(page, "the dialog of a drain");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  check((await fetch(`${locked}/readyz`)).status === 200, "cancelling drains");
  await page.getByRole("button", { name: "Drain…" }).click();
  await dialog.getByLabel(/Write .* to confirm/).fill(node);
  expect("Failed to load resource", "net::ERR");
  await confirm(page, "Drain and end it");
  await page.getByText(`${node} drains`).waitFor();
  await until("the process has ended", async () => fetch(`${locked}/healthz`).then(() => false, () => true));
  await page.getByRole("alert").filter({ hasText: "weft does not answer" }).waitFor();
  await page.context().close();
  expect();
  say("drained by its name, and ended");
}
