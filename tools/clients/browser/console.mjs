// Walks the console of a weft that runs, in headless Chromium, and fails at the first
// thing that is not as it should be. console_test.go starts weft and its clients, and
// says by the environment where everything is:
//
//   WEFT_API       the console's origin
//   WEFT_AT        where its listeners are, as JSON
//   WEFT_MODULE    a .wasm that is another version of the plugin normalise
//   WEFT_OTHER     one that does something else
//   WEFT_CONFIG    the configuration's file, which this spoils and mends
//   WEFT_LOCKED    the origin of a weft that wants a token and is drained at the end:
//                  WEFT_TOKEN may read, WEFT_OPERATOR operate
//   WEFT_PICTURES  a folder for pictures of every page; none are made without it
//   WEFT_CHROMIUM  the browser
//   WEFT_STEPS     names of steps with commas between: those alone, while one is changed
import { readFile, rename, writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { connections, deadLetters, filter, routes, sessions } from "./operate.mjs";
import { drain, early, lost, readOnly } from "./access.mjs";
import { accessible, api, ask, at, check, config, confirm, connect, executablePath, expect, heavy, locked, module, open, other, patience, picture, pictures, plugin, problems, say, secret, until } from "./stage.mjs";

const views = [["overview", ""], ["table", "?view=table"], ["plugins", "plugins"], ["plugin", "plugins/normalise"], ["rollouts", "rollouts"], ["messages", "messages"], ["connections", "connections"], ["sessions", "sessions"], ["routes", "routes?topic=alarm/7"], ["dead-letters", "dead-letters"], ["drops", "drops"], ["filter", "filter"], ["config", "config"]];

/** Every page at both widths in both colours, with all that can go wrong on it: axe, what
 * is too wide, and pictures. */
async function everyPage(browser, about = "", which = views) {
  const page = await open(browser, api, { viewport: { width: 1280, height: 800 } });
  for (const [name, path] of which) {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${api}/console/${path}`);
    await page.locator("main h1").first().waitFor();
    await page.waitForFunction(() => !document.querySelector(".waiting"));
    if (name === "messages") await page.locator(".tail-row").nth(5).press("Enter"); // it moves: a hand may miss it
    if (pictures) await page.waitForTimeout(name === "overview" || name === "plugin" ? 4000 : 500);
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: width > 1000 ? 800 : 844 });
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await picture(page, `${about}${name}-${width}-${colorScheme}`);
        await accessible(page, `${about}${name} at ${width}, ${colorScheme}`);
      }
    }
  }
  await page.context().close();
  say(`${which.length} pages at both widths in both colours`);
}

/** So many readings cost too much that plugins trap and messages die, while pages are looked at. */
async function troubledPages(browser) {
  const sockets = ["careful", "wary"].map((l) => connect(l));
  let n = 0;
  const trickle = setInterval(() => sockets[n % 2].write(heavy(n++)), 400);
  await ask("FastPath/Block", { source: "127.0.0.3", why: "it never stops" });
  const turned = setInterval(() => sockets.push(connect("lines", "127.0.0.3")), 500);
  try {
    await until("a dead letter of each", async () => {
      const groups = (await ask("DeadLetters/List")).groups ?? [];
      return ["strict", "doubtful"].every((name) => groups.some((g) => g.plugin === name));
    });
    await everyPage(browser);
  } finally {
    clearInterval(trickle);
    clearInterval(turned);
    sockets.forEach((s) => s.destroy());
  }
  await ask("FastPath/Unblock", { source: "127.0.0.3" });
  const gone = async (listener) => Number((await ask("Connections/List", { listener })).chosen ?? 0) === 0;
  await until("nobody writes any more", async () => (await gone("careful")) && (await gone("wary")));
  await until("no letter is left", async () => !(await ask("DeadLetters/Purge", { all: true })).deleted);
}

/** A shadow that does something else: its differences, with messages; on the map, too. */
async function shadow(page, browser) {
  const before = await plugin("normalise");
  await page.goto(`${api}/console/plugins/normalise`);
  await drop(page, other, "pass.wasm");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("It loads, its imports are granted").waitFor();
  await dialog.getByRole("radio", { name: "Shadow" }).check();
  await dialog.getByRole("slider").focus();
  await page.keyboard.press("End");
  await dialog.getByText("no message changes").waitFor();
  await confirm(page, "Begin the shadow");
  await until("differences at the API", async () => Number((await plugin("normalise")).candidate?.drift?.differed ?? 0) > 0);
  await page.goto(`${api}/console/rollouts`);
  const drift = page.getByRole("region", { name: "Differences of the shadow" });
  const sample = drift.locator(".sample").first();
  await sample.waitFor();
  const text = await sample.innerText();
  for (const want of ["differs in", "payload", "attributes", `live ${before.live.number}`, "temperature"]) check(text.includes(want), `a sample lacks ${want}:\n${text}`);
  check(await sample.locator(".differs").count() >= 2, "what differs is not marked");
  await page.goto(`${api}/console/`);
  await page.locator(".node-shadow", { hasText: "differ" }).first().waitFor();
  check(await page.locator("path.thread-shadow").count() > 0, "the shadow has no lane");
  const folded = await page.locator(".node-folded").count();
  check(folded === 0, "a chain with a shadow is folded");
  await everyPage(browser, "shadow-", views.filter(([name]) => ["overview", "plugin", "rollouts"].includes(name)));
  await page.goto(`${api}/console/rollouts`);
  await page.getByRole("button", { name: "Withdraw it" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  check((await plugin("normalise")).candidate, "cancelling withdraws");
  await page.getByRole("button", { name: "Withdraw it" }).click();
  await confirm(page, "Withdraw it");
  const after = await plugin("normalise");
  check(!after.candidate && after.live.number === before.live.number, `after the shadow: ${JSON.stringify(after)}`);
  await page.getByRole("region", { name: /^Differences of normalise's last shadow/ }).locator(".sample").first().waitFor();
  say("a shadow: its differences with messages, its lane, withdrawn");
}

async function liveMap(page) {
  await page.goto(`${api}/`);
  check(page.url() === `${api}/console/`, `GET / leads to ${page.url()}`);
  await page.getByRole("region", { name: "Verdict" }).getByRole("heading").waitFor();
  await page.locator(".map-rate").first().waitFor();
  const traffic = page.locator(".signal").first().locator(".signal-value");
  await traffic.filter({ hasText: /^[\d.]+k? / }).filter({ hasNotText: /^0 / }).waitFor();
  say(`live: ${await traffic.textContent()}; ${await page.locator(".map-rate").count()} rates on the map`);
  const first = page.locator('[data-node="listener:trucks"]');
  await first.focus();
  await page.keyboard.press("ArrowRight");
  const at = await page.evaluate(() => document.activeElement.dataset.node);
  check(at === "plugin:listener:trucks:0", `the right arrow leads to ${at}`);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "listener trucks" }).waitFor();
  await page.waitForURL(/[?&]node=listener/); // what is chosen is in the address
  await page.locator('[data-node="plugin:listener:trucks:0"]').focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "normalise", level: 1 }).waitFor();
  say("keys lead over the map to the plugin");
}

/** Drops a file as a hand does. */
async function drop(page, file, name) {
  const bytes = (await readFile(file)).toString("base64");
  const data = await page.evaluateHandle(([text, name]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name, { type: "application/wasm" }));
    return transfer;
  }, [bytes, name]);
  await page.locator(".drop-zone").dispatchEvent("drop", { dataTransfer: data });
}

async function canary(page) {
  await page.goto(`${api}/console/plugins/normalise`);
  await drop(page, module, "notes.txt");
  await page.getByText("notes.txt is no .wasm file").waitFor();
  await drop(page, module, "normalise.wasm");
  const dialog = page.getByRole("dialog");
  await dialog.getByText("It loads, its imports are granted").waitFor();
  await accessible(page, "the dialog of a new version");
  await dialog.getByRole("button", { name: "Begin the canary" }).click();
  await page.getByText("generation 2 is on trial as a canary").waitFor();
  const trial = page.getByRole("region", { name: /^Canary: generation 2/ });
  const slider = trial.getByRole("slider");
  await slider.focus();
  for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowRight");
  await trial.getByRole("button", { name: "Set to 30%" }).click();
  await page.getByText("now sees 30 of a hundred sessions").waitFor();
  check((await plugin("normalise")).trial.weight === 30, "the API does not know of the weight");
  await page.goto(`${api}/console/`);
  await page.locator(".node-trial", { hasText: "30% set" }).first().waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll(".map-rate-trial")].some((e) => e.textContent !== ""));
  say(`canary on the map: ${(await page.locator(".node-trial").first().innerText()).replace(/\s+/g, " ")}`);
}

async function decide(page) {
  await page.goto(`${api}/console/rollouts`);
  await page.getByRole("button", { name: "Promote generation 2" }).click();
  await page.getByRole("dialog").getByText("takes the place of generation 1 for every session").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Promote generation 2" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Promote it" }).click();
  await page.getByText("generation 2 is live for every session").waitFor();
  check((await plugin("normalise")).live.number === "2", "the API does not know of the promotion");
  await page.getByText("No generation is on trial").waitFor();
  await page.goto(`${api}/console/plugins/normalise`);
  await page.getByRole("button", { name: "Roll back to generation 1" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await page.getByText(/generation \d+ is live again/).waitFor();
  const back = await plugin("normalise");
  check(back.live.number === "1" && !back.candidate, `the API does not know of the way back: ${JSON.stringify(back.live)}`);
  say("promoted, and rolled back");
}

/** Presses Tab until what has the focus is that. */
async function tabTo(page, what, matches) {
  for (let i = 0; i < 120; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(matches)) return;
  }
  throw new Error(`Tab does not lead to ${what}`);
}

/** A version swapped and taken back without a mouse. */
async function keysAlone(page) {
  const before = await plugin("normalise");
  let chooser; // listened for from the beginning: the browser is told so, and that takes a moment
  page.on("filechooser", (asked) => { chooser = asked; });
  await page.goto(`${api}/console/plugins/normalise`);
  await page.locator(".drop-zone").waitFor();
  await tabTo(page, "the choice of a file", () => document.activeElement.textContent === "Choose a file…");
  await page.keyboard.press("Enter");
  await until("a file is asked for", async () => chooser);
  await chooser.setFiles(module);
  await page.getByRole("dialog").getByText("It loads, its imports are granted").waitFor();
  check((await plugin("normalise")).live.sha256 === before.live.sha256, "a dialog that asks has swapped already");
  await tabTo(page, "how it begins", () => document.activeElement.name === "mode");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await tabTo(page, "the button", () => document.activeElement.textContent === "Replace it now");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await until("another module is live", async () => (await plugin("normalise")).live.sha256 !== before.live.sha256);
  const swapped = await plugin("normalise");
  await page.getByRole("button", { name: `Roll back to generation ${before.live.number}` }).waitFor();
  await tabTo(page, "the way back", () => document.activeElement.textContent.startsWith("Roll back to generation"));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await tabTo(page, "the button", () => document.activeElement.textContent === "Roll back");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await until("the former module is live", async () => (await plugin("normalise")).live.sha256 === before.live.sha256);
  check((await plugin("normalise")).live.number !== swapped.live.number, "it went back to a number, not to a new generation");
  await page.getByRole("button", { name: "Nothing to roll back to" }).waitFor();
  await page.waitForFunction(() => document.activeElement !== document.body); // the button that had the focus is of no use now
  say("swapped and taken back by keys alone");
}

async function messages(page) {
  await page.goto(`${api}/console/messages`);
  const figures = page.getByRole("status").filter({ hasText: "since the tail began" });
  const shown = await figures.innerText();
  await page.getByLabel("Topic").fill("alarm/#, raw/#");
  await page.waitForFunction((old) => ![...document.querySelectorAll("[role=status]")].some((e) => e.innerText === old), shown); // it is drawn anew
  check((await page.getByLabel("Topic").inputValue()) === "alarm/#, raw/#", "what is written in a field goes when figures come");
  await page.getByLabel("Topic").press("Enter");
  await page.locator(".tail-row").nth(3).waitFor();
  const former = await page.getByLabel("Listener").evaluate(async (list) => {
    list.value = "lines";
    list.dispatchEvent(new Event("change", { bubbles: true }));
    for (let i = 0; i < 20; i++) await undefined; // what the page does before anything else can come
    return document.querySelectorAll(".tail-row").length;
  });
  check(former === 0, `${former} messages that passed the former filter can still be held`);
  await page.waitForURL((url) => url.searchParams.get("listener") === "lines" && url.searchParams.get("topic").startsWith("alarm")); // the filter is in the address
  const rows = page.locator(".tail-row");
  await rows.nth(3).waitFor();
  await page.getByRole("button", { name: "Hold" }).click();
  await page.getByRole("button", { name: /^Go on/ }).waitFor();
  const before = await rows.first().innerText();
  await page.getByRole("button", { name: /Go on \(\d+ new\)/ }).waitFor();
  check(before === (await rows.first().innerText()), "what is held moves");
  await rows.first().click();
  const way = page.getByRole("region", { name: "The message's way" });
  for (const plugin of ["normalise", "route"]) await way.getByRole("link", { name: plugin }).waitFor();
  const text = await way.innerText();
  for (const want of ["fuel", "attribute temperature", "payload", "topic", "delivered", "by lines"]) check(text.includes(want), `the waterfall lacks ${want}:\n${text}`);
  await page.getByRole("button", { name: /Go on/ }).click();
  await page.waitForFunction((old) => document.querySelector(".tail-row").innerText !== old, before);
  say("a message with its way, held and let go");
}

/** Writes the configuration at once: weft looks at it by itself, too. */
async function configure(text) {
  await writeFile(`${config}.new`, text);
  await rename(`${config}.new`, config);
}

async function reload(page) {
  const good = await readFile(config, "utf8");
  await configure(good.replace("chain: [normalise, calm, route]", "chain: [normalize, calm, route]"));
  await page.goto(`${api}/console/config`);
  await page.locator("tbody tr", { hasText: "listeners.trucks.frame" }).waitFor();
  const refusals = Number((await ask("Config/Get")).status.refusedCount ?? 0);
  expect("status of 400", "status of 412", "status of 500"); // that it is refused
  await page.getByRole("button", { name: "Read it again" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Read it again" }).click();
  await page.getByRole("dialog").getByText(/did you mean|normalise/).first().waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByText("The last reload was refused").waitFor();
  const problem = await page.locator(".problems").innerText();
  check(problem.includes("normalize"), `the problem is not said: ${problem}`);
  const status = (await ask("Config/Get")).status;
  check(status.result === "refused" && Number(status.refusedCount) > refusals && status.problems.join().includes("normalize"), `the API says: ${JSON.stringify(status)}`);
  check((await ask("Listeners/Get", { name: "trucks" })).listener.chain[0] === "normalise", "what was refused runs");
  await picture(page, "refused");
  await accessible(page, "a refused configuration");
  expect();
  await configure(good);
  await page.getByRole("button", { name: "Read it again" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Read it again" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByText("The last reload was refused").waitFor({ state: "detached" });
  check((await ask("Config/Get")).status.result !== "refused", "the API has it refused still");
  say(`a bad configuration is said: ${problem.split("\n")[0]}`);
}

async function login(browser) {
  const page = await open(browser, locked, {});
  expect("status of 401");
  await page.goto(`${locked}/console/plugins`);
  await page.getByLabel("Token").fill("not-the-token-at-all");
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByRole("alert").getByText("the token is not known here").waitFor();
  await accessible(page, "the question for a token");
  await picture(page, "login");
  await page.getByLabel("Token").fill(secret);
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByRole("heading", { name: "Plugins", level: 1 }).waitFor();
  await page.getByRole("link", { name: "strict" }).waitFor();
  expect();
  check(!page.url().includes(secret), "the token is in the address");
  check((await page.evaluate(() => JSON.stringify(localStorage))).includes(secret) === false, "the token outlives the tab");
  await page.context().close();
  say("a token is asked for, tried, and kept in the tab alone");
}

/** Dark, light, and standing still. */
async function tools(page) {
  await page.goto(`${api}/console/`);
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const before = await ground();
  await page.getByRole("button", { name: /^Use (dark|light) colours$/ }).click();
  check(before !== (await ground()), "the other colours are the same");
  await page.reload();
  check(before !== (await ground()), "the choice of colours is forgotten");
  await page.locator(".map-rate").first().waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Paused" }).waitFor();
  const still = await page.locator(".pulse-figures").innerText();
  await page.waitForTimeout(1500); // what must not happen has no sign
  check(still === (await page.locator(".pulse-figures").innerText()), "figures move while the page is paused");
  await page.getByRole("button", { name: "Paused" }).click();
  await page.goto(`${api}/console/nothing/here`);
  await page.getByText("There is no such page").waitFor();
  say("colours, pause, and an address that is none");
}

const steps = process.env.WEFT_STEPS?.split(",");
const browser = await chromium.launch({ executablePath, timeout: patience, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
try {
  const page = await open(browser, api, { viewport: { width: 1280, height: 800 } });
  for (const step of [liveMap, canary, troubledPages, decide, shadow, keysAlone, messages, connections, sessions, routes, deadLetters, filter, tools, reload, lost, login, early, readOnly, drain]) {
    if (steps && !steps.includes(step.name)) continue;
    if ([troubledPages, login, early, readOnly, drain, lost].includes(step)) await step(browser);
    else await step(page, browser);
    check(problems.length === 0, `${step.name}:\n${problems.join("\n")}`);
  }
  say("the whole walk: passed");
} catch (cause) {
  process.exitCode = 1;
  say(`FAILED: ${cause.stack ?? cause}\n${problems.join("\n")}`);
  const pages = browser.contexts().flatMap((c) => c.pages());
  for (const p of pages) say(`open at the end: ${p.url()}: ${(await p.locator("body").innerText().catch(() => "")).replace(/\s+/g, " ").slice(0, 400)}`);
  if (pictures && pages[0]) await pages[0].screenshot({ path: `${pictures}/failed.png` }).catch(() => undefined);
} finally {
  await browser.close();
  process.exit(); // sockets that a step has left open are no reason to stay
}
