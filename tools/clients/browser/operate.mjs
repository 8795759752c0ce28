// What an operator does beside rollouts: connections, sessions, routes, dead letters, the
// filter. Each is asked for on a page, and seen at the API.
import { accessible, api, ask, check, confirm, connect, heavy, picture, say, until } from "./stage.mjs";

const names = (page, table) => page.getByRole("region", { name: table, exact: true }).locator("tbody th").allInnerTexts();
const nameOf = (c) => c.clientId || c.identity || c.node || c.id;

/** Sorted and paged by the server, shown, and closed. */
export async function connections(page) {
  const idle = Array.from({ length: 40 }, () => connect("careful"));
  await until("more connections than a page has", async () => Number((await ask("Connections/List")).all) > 60);
  await page.goto(`${api}/console/connections?contains=line-to-close`);
  await page.getByText("No connection matches").waitFor();
  await page.goto(`${api}/console/connections`);
  await page.getByLabel("First").selectOption({ label: "newest" });
  await page.waitForURL(/order=CONNECTION_ORDER_NEWEST/);
  const listed = async (skip) => ((await ask("Connections/List", { order: "CONNECTION_ORDER_NEWEST", size: 50, skip })).connections ?? []).map(nameOf).join();
  await until("the page has the server's order", async () => (await names(page, "Connections")).join() === (await listed(0)));
  await page.getByRole("button", { name: "Later" }).click();
  await page.waitForURL(/[?&]page=2/);
  await until("the second page is the server's", async () => (await names(page, "Connections")).join() === (await listed(50)));
  idle.forEach((s) => s.destroy());

  await page.goto(`${api}/console/connections?listener=trucks&contains=truck-1`);
  await page.getByRole("button", { name: "truck-1", exact: true }).click();
  const detail = page.getByRole("region", { name: "Connection truck-1" });
  await detail.getByText("alarm/#").waitFor();
  await page.getByRole("button", { name: "Close the details" }).click();

  await page.goto(`${api}/console/connections?listener=lines&order=CONNECTION_ORDER_UNSPECIFIED`);
  const first = page.locator("tbody tr").first();
  await first.waitFor();
  const name = await first.locator("th").innerText();
  const before = (await ask("Connections/List", { listener: "lines" })).connections;
  const id = before.find((c) => nameOf(c) === name).id;
  const close = first.getByRole("button", { name: /^Close the connection of/ });
  await close.click();
  await page.getByRole("dialog").getByText("A client may connect again at once").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  check((await ask("Connections/Get", { id })).status === 200, "cancelling closes");
  await close.click();
  await confirm(page, "Close it");
  await page.getByText("1 connection closed").waitFor();
  await until("the API does not know it any more", async () => (await ask("Connections/Get", { id })).status === 404);
  await until("it has left the page", async () => !(await names(page, "Connections")).includes(name));
  say(`connections: the server's order, two pages, one shown, one closed of ${before.length}`);
}

/** A session whose client is away is found, shown and ended. */
export async function sessions(page) {
  await page.goto(`${api}/console/sessions`);
  await page.getByLabel("Only who is away").check();
  await page.waitForURL(/[?&]away=1/);
  await page.getByRole("button", { name: "sleeper", exact: true }).click();
  const detail = page.getByRole("region", { name: "Session sleeper" });
  await detail.getByText("truck/1/#").waitFor();
  await accessible(page, "a session");
  const known = async () => Number((await ask("Sessions/List", { contains: "sleeper" })).chosen ?? 0);
  check((await known()) === 1, "the API does not know the sleeper");
  await detail.getByRole("button", { name: "End it…" }).click();
  await page.getByRole("dialog").getByText("Its 1 subscription end").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  check((await known()) === 1, "cancelling ends it");
  await page.getByRole("button", { name: "End the session of sleeper" }).click();
  await confirm(page, "End it");
  await until("the session has ended", async () => (await known()) === 0);
  await page.getByText("No session matches").waitFor();
  say("a session of a client that is away, shown and ended");
}

/** Where a message would go is what the API says. */
export async function routes(page) {
  await page.goto(`${api}/console/routes`);
  await page.getByRole("region", { name: "Subscriptions", exact: true }).locator("tbody tr").nth(1).waitFor();
  await page.getByLabel("Topic").fill("alarm/7");
  await page.getByLabel("Topic").press("Enter");
  const way = page.getByRole("region", { name: "A message to alarm/7", exact: true });
  await way.getByText("The route alarms takes it").waitFor();
  const said = await ask("Routes/Explain", { topic: "alarm/7" });
  const row = (await way.locator("tbody tr").first().innerText()).split(/\s+/);
  check(said.route === "alarms" && said.places[0].to === row[0] && String(said.places[0].receivers ?? 0) === row[1], `the page: ${row}; the API: ${JSON.stringify(said)}`);
  check(Number(row[1]) >= 1, "nobody would get an alarm");
  await page.waitForURL(/[?&]topic=alarm/);
  const takers = (await ask("Subscriptions/List", { topic: "alarm/7" })).subscriptions.map((s) => s.pattern).join();
  await until("its subscriptions are the API's", async () => (await names(page, "Subscriptions")).join() === takers);
  await page.getByLabel("Topic").fill("truck/7/telemetry");
  await page.getByLabel("Topic").press("Enter");
  await page.getByText("The route default takes it").waitFor();
  say("where a message would go, and who would get it");
}

const letters = async (filter = {}) => (await ask("DeadLetters/List", { filter, pageSize: 100 })).letters ?? [];

async function replay(page) {
  await page.getByRole("dialog").getByLabel("Past the plugins, as it was when it died").check();
  await confirm(page, "Replay");
}

/** By group and one by one: shown, replayed, deleted. */
export async function deadLetters(page) {
  await page.goto(`${api}/console/dead-letters`);
  await page.getByText("No dead letters").waitFor();
  for (const [listener, n] of [["careful", 6], ["wary", 3]]) {
    const socket = connect(listener);
    for (let i = 0; i < n; i++) socket.write(heavy(i));
    await until(`${n} letters of ${listener}`, async () => (await letters({ listener })).length === n);
    socket.destroy();
  }
  const groups = page.getByRole("region", { name: "Groups of dead letters", exact: true });
  await groups.locator("tbody tr").nth(1).waitFor();
  const { cause } = (await ask("DeadLetters/List")).groups.filter((g) => g.plugin === "strict").sort((a, b) => b.count - a.count)[0];
  const strict = groups.locator("tbody tr", { has: page.getByRole("link", { name: "strict" }) }).filter({ has: page.getByRole("button", { name: cause, exact: true }) });
  const inGroup = async () => (await letters({ plugin: "strict", cause })).length;
  await strict.getByRole("button", { name: cause, exact: true }).click();
  await page.waitForURL((url) => url.searchParams.get("plugin") === "strict" && url.searchParams.has("cause"));
  const rows = page.getByRole("region", { name: "Dead letters", exact: true }).locator("tbody tr");
  const [count, all] = [await inGroup(), (await letters()).length];
  await until("the page shows the group alone", async () => (await rows.count()) === count);
  check(count < all && count >= 2, `the group has ${count} of ${all}`);
  await picture(page, "dead-letters-group");

  const id = (await rows.first().getByRole("button", { name: /^Replay letter/ }).getAttribute("aria-label")).split(" ")[2];
  await rows.first().locator("th button").click();
  await page.getByRole("region", { name: `Letter ${id}`, exact: true }).getByText("field399").first().waitFor();
  await picture(page, "dead-letter");
  await accessible(page, "a dead letter");
  const here = async () => (await ask("DeadLetters/Get", { id })).status === 200;
  await page.getByRole("button", { name: `Replay letter ${id}` }).click();
  await replay(page);
  await page.getByText("Replayed: 1 delivered.").waitFor();
  check(!(await here()) && (await inGroup()) === count - 1, "what was replayed and delivered is still here");

  await page.goto(`${api}/console/dead-letters?plugin=strict`);
  await rows.first().locator("th button").click();
  const letter = page.getByRole("region", { name: /^Letter \d+$/ });
  await letter.getByRole("button", { name: "Delete…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  check((await letters()).length === all - 1, "cancelling deletes");
  await letter.getByRole("button", { name: "Delete…" }).click();
  await confirm(page, "Delete for good");
  await page.getByText("1 letter deleted.").waitFor();
  check((await letters()).length === all - 2, "the letter was not deleted, or others with it");

  await page.goto(`${api}/console/dead-letters`);
  const left = async (plugin) => (await letters({ plugin })).length;
  for (let n; (n = await left("strict")) > 0;) {
    await groups.getByRole("button", { name: /^Replay the group .* of strict$/ }).first().click();
    await replay(page);
    check((await left("strict")) < n, "a group was replayed and stays");
    await page.reload();
    await groups.waitFor();
  }
  check((await left("doubtful")) === 3, "a group's replay took letters of another one");
  for (let n; (n = await left("doubtful")) > 0;) {
    await groups.getByRole("button", { name: /^Delete the group .* of doubtful$/ }).first().click();
    await confirm(page, "Delete for good");
    check((await left("doubtful")) < n, "a group was deleted and stays");
    if ((await left("doubtful")) > 0) await page.reload();
  }
  await page.getByText("No dead letters").waitFor();
  say("dead letters: groups, one shown, replayed and deleted, a group replayed, one purged");
}

/** A source is blocked and let in again: it notices. */
export async function filter(page) {
  const source = "127.0.0.2";
  const rules = async () => ((await ask("FastPath/List", { owner: "operator" })).rules ?? []).filter((r) => r.prefix.startsWith(source));
  const isCut = () => new Promise((then) => {
    const socket = connect("lines", source);
    socket.on("close", () => then(true));
    socket.on("connect", () => void (async () => {
      const inside = async () => Number((await ask("Connections/List", { source })).chosen ?? 0) > 0;
      await until("it is let in or cut off", async () => socket.destroyed || (await inside()));
      then(socket.destroyed);
      socket.destroy();
    })().catch(() => then(undefined)));
    socket.resume();
  });
  check((await isCut()) === false, "it is blocked before it is");
  await until("it has gone", async () => Number((await ask("Connections/List", { source })).chosen ?? 0) === 0);
  await page.goto(`${api}/console/filter`);
  await page.getByRole("button", { name: "Block a source…" }).click();
  const dialog = page.getByRole("dialog");
  check(await dialog.getByRole("button", { name: "Block it" }).isDisabled(), "nobody can be blocked");
  await dialog.getByLabel("Address or prefix").fill(source);
  await dialog.locator("select").selectOption({ label: "1 hour" });
  await dialog.getByLabel("Why, for people").fill("the walk tries it");
  await confirm(page, "Block it");
  const [rule] = await rules();
  check(rule?.action === "deny" && rule.why === "the walk tries it" && Date.parse(rule.until) > Date.now() + 50 * 60_000, `the rule: ${JSON.stringify(rule)}`);
  check((await isCut()) === true, "who is blocked may speak");
  await page.getByRole("region", { name: "Sources", exact: true }).getByRole("rowheader", { name: source }).waitFor();
  await picture(page, "filter-blocked");
  await accessible(page, "a blocked source");
  await page.getByRole("button", { name: `Unblock ${rule.prefix}` }).click();
  await confirm(page, "Unblock it");
  check((await rules()).length === 0, "the rule stays");
  check((await isCut()) === false, "who was let in again is cut off");
  await page.getByRole("button", { name: `Unblock ${rule.prefix}` }).waitFor({ state: "detached" });
  say("a source blocked and let in again");
}
