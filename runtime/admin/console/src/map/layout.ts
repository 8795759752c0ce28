// Where the nodes and the threads of the chain map are. Pure: no DOM.
import type { ChainMap, MapEdge, MapNode } from "../api/types";
import { isUnwell, noteOf } from "./words";

/** What is drawn as one thing: a node, or a run of healthy plugins that is folded. */
export interface Unit {
  id: string;
  node: MapNode;
  /** The nodes of a folded run. */
  folded?: MapNode[];
  column: number;
  x: number;
  y: number;
  w: number;
  h: number;
  /** The box of a generation on trial, beside the live one: its top below y, and its height. */
  trial?: { top: number; h: number };
}

export interface Thread {
  id: string;
  /** Of a generation on trial. */
  lane?: "canary" | "shadow";
  rate: number;
  path: string;
  /** Where its rate is printed. */
  at: { x: number; y: number };
}

export interface Drawing {
  units: Unit[];
  threads: Thread[];
  width: number;
  height: number;
}

export interface Measures {
  /** Left to right, or, where it is narrow, top to bottom. */
  down: boolean;
  width: number;
}

/** So many healthy plugins in a row are folded. */
const longRun = 4;

const isPlugin = (n: MapNode) => n.kind === "MAP_NODE_KIND_PLUGIN";
const isHealthy = (n: MapNode) => isPlugin(n) && (n.state === "NODE_STATE_OK" || n.state === "NODE_STATE_IDLE") && (n.lanes?.length ?? 0) < 2 && !(n.dropRate ?? 0);

/** The order of columns: it does not change with the state of a node. */
function folded(map: ChainMap, open: Set<string>): { units: Unit[]; unitOf: Map<string, Unit> } {
  const chains = new Map<string, MapNode[]>();
  for (const node of map.nodes ?? []) if (isPlugin(node)) chains.set(node.chain ?? "", [...(chains.get(node.chain ?? "") ?? []), node]);
  const run = new Map<string, MapNode[]>();
  for (const [chain, nodes] of chains) {
    if (open.has(chain)) continue;
    nodes.sort((a, b) => (a.place ?? 0) - (b.place ?? 0));
    let current: MapNode[] = [];
    for (const node of [...nodes, undefined]) {
      if (node && isHealthy(node)) {
        current.push(node);
        continue;
      }
      if (current.length >= longRun) current.forEach((n) => run.set(n.id, current));
      current = [];
    }
  }
  const units: Unit[] = [];
  const unitOf = new Map<string, Unit>();
  for (const node of map.nodes ?? []) {
    const together = run.get(node.id);
    const made = together && unitOf.get(together[0]!.id);
    if (made) {
      unitOf.set(node.id, made);
      continue;
    }
    const unit: Unit = { id: node.id, node, folded: together, column: node.column ?? 0, x: 0, y: 0, w: 0, h: 0 };
    units.push(unit);
    unitOf.set(node.id, unit);
  }
  return { units, unitOf };
}

/** Names are never cut: a long one takes more lines. */
const nameLines = (name: string, w: number): number => Math.max(1, Math.ceil((name.length * 6.9) / (w - 60)));

/** The height of a node's box for its width, without its generation on trial. */
function heightOf(u: Unit, w: number): number {
  const n = u.node;
  if (u.folded) return 58;
  const name = 18 + nameLines(n.name ?? "", w) * 17 + (isUnwell(n) ? 20 : 0);
  return isPlugin(n) ? name + 65 : name + 3 + 16 * Math.max(1, Math.ceil((noteOf(n).length * 6.2) / (w - 22)));
}

/** A generation on trial is a lane of its own; where it is narrow, it hangs below. */
function trialOf(u: Unit, down: boolean): Unit["trial"] {
  if (u.folded || (u.node.lanes?.length ?? 0) < 2) return undefined;
  return { top: u.h + (down ? -1 : 14), h: isShadow(u) ? 54 : 73 };
}

export const isShadow = (u: Unit): boolean => u.node.lanes?.[1]?.state === "PLUGIN_STATE_SHADOW";

/** What a unit takes in all, with what hangs below it. */
const whole = (u: Unit): number => (u.trial ? u.trial.top + u.trial.h : u.h) + (dropsOf(u) ? foot : 0);

const foot = 26; // what a drop needs below its node

/** Lays a map out. */
export function layout(map: ChainMap, m: Measures, open: Set<string>): Drawing {
  const { units, unitOf } = folded(map, open);
  const columns = [...new Set(units.map((u) => u.column))].sort((a, b) => a - b);
  units.forEach((u) => (u.column = columns.indexOf(u.column)));
  const gap = m.down ? 46 : columns.length > 6 ? 48 : m.width < 1150 ? 50 : 60;
  const w = m.down ? Math.min(172, (m.width - 14) / 2) : Math.max(132, Math.min(190, (m.width - gap * (columns.length - 1)) / Math.max(columns.length, 1)));
  for (const u of units) {
    u.w = w;
    u.h = heightOf(u, w);
    u.trial = trialOf(u, m.down);
  }
  const edges = merged(map.edges ?? [], unitOf);
  if (m.down) across(units, edges, columns.length);
  else rows(units, edges);
  along(units, columns.length, gap, m);
  const threads = edges.flatMap((e) => [draw(e, m.down, gap), ...(m.down ? [] : lanes(e, edges, gap))]);
  label(threads, units);
  threads.sort((a, b) => a.rate - b.rate);
  const width = Math.max(...units.map((u) => u.x + u.w), 0);
  return { units, threads, width: Math.max(width, m.width), height: Math.max(...units.map((u) => u.y + whole(u)), 0) };
}

/** Whether messages end at a unit. */
export const dropsOf = (u: Unit): boolean => !u.folded && (Number(u.node.drops ?? 0) > 0 || (u.node.dropRate ?? 0) > 0);

/** Where the mark of what ends at a unit begins, below its top. */
export const dropTop = (u: Unit): number => (u.trial ? u.trial.top + u.trial.h : u.h);

interface Joined {
  from: Unit;
  to: Unit;
  rate: number;
}

function merged(edges: MapEdge[], unitOf: Map<string, Unit>): Joined[] {
  const all = new Map<string, Joined>();
  for (const e of edges) {
    const from = unitOf.get(e.from);
    const to = unitOf.get(e.to);
    if (!from || !to || from === to) continue;
    const key = `${from.id}\n${to.id}`;
    const one = all.get(key);
    if (one) one.rate += e.rate ?? 0;
    else all.set(key, { from, to, rate: e.rate ?? 0 });
  }
  return [...all.values()];
}

/** Units that stand in one line: a listener or a route with its chain, or one alone. */
interface Row {
  units: Unit[];
  above: number;
  below: number;
  middle: number;
}

/** Gives each line its height: listeners from the top in the order of the configuration,
 * what follows near what leads to it. */
function rows(units: Unit[], edges: Joined[]): void {
  const heads = new Map<string, Row>();
  const stages: Row[][] = [];
  const middleOf = new Map<Unit, Row>();
  for (const u of [...units].sort((a, b) => a.column - b.column)) {
    const chained = isPlugin(u.node) ? heads.get(u.node.chain ?? "") : undefined;
    const row = chained ?? { units: [], above: 0, below: 0, middle: 0 };
    row.units.push(u);
    row.above = Math.max(row.above, u.h / 2);
    row.below = Math.max(row.below, whole(u) - u.h / 2);
    middleOf.set(u, row);
    if (chained) continue;
    heads.set(u.node.id, row);
    (stages[stageOf(u)] ??= []).push(row);
  }
  const space = 24;
  stages.filter(Boolean).forEach((stage, first) => {
    const wish = new Map<Row, number>();
    stage.forEach((row, i) => {
      const before = edges.filter((e) => row.units.includes(e.to) && !row.units.includes(e.from)).map((e) => middleOf.get(e.from)!.middle);
      wish.set(row, first > 0 && before.length > 0 ? before.reduce((a, b) => a + b, 0) / before.length : i * 1e-3);
    });
    // The order of the API breaks ties, so that nothing jumps from one second to the next.
    const order = [...stage].sort((a, b) => wish.get(a)! - wish.get(b)! || stage.indexOf(a) - stage.indexOf(b));
    place(order, wish, space);
  });
  const top = Math.min(...[...middleOf.values()].map((row) => row.middle - row.above));
  for (const [u, row] of middleOf) u.y = row.middle - u.h / 2 - top;
}

/** What begins, what decides, and where it ends. */
const stageOf = (u: Unit): number => (u.node.kind === "MAP_NODE_KIND_LISTENER" || u.node.kind === "MAP_NODE_KIND_API" ? 0 : u.node.kind === "MAP_NODE_KIND_ROUTE" ? 1 : 2);

/** Puts rows one below the other, each as near to its wish as the others let it. */
function place(order: Row[], wish: Map<Row, number>, space: number): void {
  const groups: { rows: Row[]; size: number; middle: number }[] = [];
  for (const row of order) {
    groups.push({ rows: [row], size: row.above + row.below, middle: wish.get(row)! + (row.below - row.above) / 2 });
    for (let last = groups.length - 1; last > 0; last--) {
      const [a, b] = [groups[last - 1]!, groups[last]!];
      if (a.middle + a.size / 2 + space <= b.middle - b.size / 2) break;
      const middle = (a.middle * a.rows.length + b.middle * b.rows.length) / (a.rows.length + b.rows.length);
      groups.splice(last - 1, 2, { rows: [...a.rows, ...b.rows], size: a.size + b.size + space, middle });
    }
  }
  for (const g of groups) {
    let at = g.middle - g.size / 2;
    for (const row of g.rows) {
      row.middle = at + row.above;
      at += row.above + row.below + space;
    }
  }
}

/** Where it is narrow: each column is a line across, near what leads to it. */
function across(units: Unit[], edges: Joined[], columns: number): void {
  const space = 14;
  for (let column = 0; column < columns; column++) {
    const here = units.filter((u) => u.column === column);
    const all = here.map((u, i): [Row, number] => {
      const before = edges.filter((e) => e.to === u && e.from.column < column).map((e) => e.from.x + e.from.w / 2);
      return [{ units: [u], above: u.w / 2, below: u.w / 2, middle: 0 }, before.length > 0 ? before.reduce((a, b) => a + b, 0) / before.length : i * 1e-3];
    });
    const wish = new Map(all);
    place(all.map(([row]) => row).sort((a, b) => wish.get(a)! - wish.get(b)!), wish, space);
    all.forEach(([row]) => (row.units[0]!.x = row.middle - row.above));
  }
  const least = Math.min(...units.map((u) => u.x));
  units.forEach((u) => (u.x -= least));
}

/** Gives each column its place along the way. */
function along(units: Unit[], columns: number, gap: number, m: Measures): void {
  if (!m.down) {
    const w = units[0]?.w ?? 0;
    const free = columns > 1 ? Math.min(Math.max((m.width - w * columns) / (columns - 1), gap), 150) : 0;
    const left = Math.max((m.width - (w * columns + free * (columns - 1))) / 2, 0);
    units.forEach((u) => (u.x = left + u.column * (w + free)));
    return;
  }
  const left = Math.max((m.width - Math.max(...units.map((u) => u.x + u.w), 0)) / 2, 0);
  let y = 0;
  for (let column = 0; column < columns; column++) {
    const here = units.filter((u) => u.column === column);
    for (const u of here) {
      u.y = y;
      u.x += left;
    }
    y += Math.max(...here.map(whole), 0) + gap;
  }
}

type Point = { x: number; y: number };

const r = (n: number) => Math.round(n * 10) / 10;

/** A thread from one point to another: straight through empty columns, and then a bow. */
function bow(from: Point, b: Point, gap: number, down: boolean): { path: string; at: (t: number) => Point } {
  const start = r(from.x) + " " + r(from.y);
  const a = down ? { x: from.x, y: Math.max(from.y, b.y - 3 * gap) } : { x: Math.max(from.x, b.x - 2.2 * gap), y: from.y };
  const reach = down ? Math.max((b.y - a.y) / 2, 18) : Math.max((b.x - a.x) / 2, 24);
  const c = down ? { x: a.x, y: a.y + reach } : { x: a.x + reach, y: a.y };
  const d = down ? { x: b.x, y: b.y - reach } : { x: b.x - reach, y: b.y };
  const mix = (t: number, p: number, q: number, s: number, v: number) => (1 - t) ** 3 * p + 3 * (1 - t) ** 2 * t * q + 3 * (1 - t) * t * t * s + t ** 3 * v;
  return {
    path: `M${start}L${r(a.x)} ${r(a.y)}C${r(c.x)} ${r(c.y)} ${r(d.x)} ${r(d.y)} ${r(b.x)} ${r(b.y)}`,
    at: (t) => ({ x: mix(t, a.x, c.x, d.x, b.x), y: mix(t, a.y, c.y, d.y, b.y) }),
  };
}

type Drawn = Thread & { along: (t: number) => Point };

const exit = (u: Unit, down: boolean): Point => (down ? { x: u.x + u.w / 2, y: u.y + (u.trial ? u.trial.top + u.trial.h : u.h) } : { x: u.x + u.w, y: u.y + u.h / 2 });
const entry = (u: Unit, down: boolean): Point => (down ? { x: u.x + u.w / 2, y: u.y } : { x: u.x, y: u.y + u.h / 2 });

function draw(e: Joined, down: boolean, gap: number): Drawn {
  const { path, at } = bow(exit(e.from, down), entry(e.to, down), gap, down);
  return { id: `${e.from.id} ${e.to.id}`, rate: e.rate, path, at: at(0.5), along: at };
}

/** What a generation on trial gets and gives. A shadow gives nothing. */
function lanes(e: Joined, all: Joined[], gap: number): Drawn[] {
  const out: Drawn[] = [];
  const side = (u: Unit, right: boolean): Point => ({ x: u.x + (right ? u.w : 0), y: u.y + u.trial!.top + u.trial!.h / 2 });
  const lane = e.to.trial && (isShadow(e.to) ? "shadow" : "canary");
  if (e.to.trial) {
    const seen = e.to.node.lanes![1]!.rate ?? 0;
    const into = all.filter((o) => o.to === e.to).reduce((sum, o) => sum + o.rate, 0);
    const { path, at } = bow(exit(e.from, false), side(e.to, false), gap, false);
    out.push({ id: `${e.from.id} ${e.to.id} trial`, lane, rate: into > 0 ? (seen * e.rate) / into : 0, path, at: at(0.5), along: at });
  }
  const ways = all.filter((o) => o.from === e.from);
  const strongest = ways.every((o) => o.rate < e.rate || o === e || (o.rate === e.rate && ways.indexOf(o) > ways.indexOf(e)));
  if (e.from.trial && !isShadow(e.from) && strongest) {
    // Back into the live one's thread, where that runs straight; else to where most goes.
    const near = ways.some((o) => o.to.column - e.from.column < 2);
    const back = near ? entry(e.to, false) : { x: e.from.x + e.from.w + gap + 20, y: e.from.y + e.from.h / 2 };
    const { path, at } = bow(side(e.from, true), back, gap, false);
    out.push({ id: `${e.from.id} on`, lane: "canary", rate: 0, path, at: at(0.5), along: at });
  }
  return out;
}

/** Finds a place for each number where no other stands. */
function label(threads: Thread[], units: Unit[]): void {
  const taken: Point[] = [];
  const free = (p: Point) => units.every((u) => p.x < u.x - 14 || p.x > u.x + u.w + 14 || p.y < u.y - 9 || p.y > u.y + dropTop(u) + 9);
  for (const t of threads as Drawn[]) {
    if (t.rate <= 0) continue;
    const spots = [0.5, 0.36, 0.64, 0.25, 0.75, 0.15, 0.85].map(t.along);
    const open = spots.filter((p) => taken.every((q) => Math.abs(p.x - q.x) > 50 || Math.abs(p.y - q.y) > 22));
    t.at = open.find(free) ?? open[0] ?? t.along(0.5);
    taken.push(t.at);
  }
}

/** The width of a thread: by the logarithm of its rate. */
export const threadWidth = (rate: number): number => (rate > 0 ? Math.min(1.5 + 1.5 * Math.log10(1 + rate), 9) : 1.2);

/** The unit that an arrow key leads to, or none. */
export function neighbour(units: Unit[], from: Unit, key: string): Unit | undefined {
  const way: Record<string, [number, number]> = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  const [dx, dy] = way[key] ?? [0, 0];
  let best: Unit | undefined;
  let least = Infinity;
  for (const u of units) {
    const x = u.x + u.w / 2 - from.x - from.w / 2;
    const y = u.y + u.h / 2 - from.y - from.h / 2;
    const ahead = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    if (u === from || ahead < 8) continue;
    const cost = ahead + aside * 2.5;
    if (cost < least) [least, best] = [cost, u];
  }
  return best;
}
