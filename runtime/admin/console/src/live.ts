// The overview that weft pushes once a second, and what it was before: one stream for the
// whole page, while somebody looks.
import { CallError, stream } from "./api/rpc";
import type { Snapshot } from "./api/types";
import { moment, seconds } from "./format";
import { caller, Cell, paused, visible, type Caller } from "./state";

/** What a chart shows of one second. */
export interface Point {
  /** Unix time in seconds. */
  t: number;
  in: number;
  out: number;
  lost: number;
  errors: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
  busiest: number;
  /** By plugin: messages a second, seconds of a call, the share of its fuel. */
  plugins: Record<string, { rate: number; p50: number; p99: number; fuel: number; trial: number }>;
}

/** What is known now. */
export interface Live {
  snapshot?: Snapshot;
  error?: CallError;
  /** When the last one came, in milliseconds. */
  at: number;
}

export const live = new Cell<Live>({ at: 0 });

/** So many points are kept: a quarter of an hour. */
const keep = 900;
export const history: Point[] = [];

function remember(s: Snapshot): void {
  if (!s.interval || !s.signals) return;
  const l = s.signals.latency ?? {};
  const point: Point = {
    t: moment(s.time) / 1000,
    in: s.signals.inRate ?? 0,
    out: s.signals.outRate ?? 0,
    lost: (s.signals.lostRate ?? 0) + (s.signals.deadRate ?? 0),
    errors: s.signals.errorShare ?? 0,
    p50: seconds(l.p50),
    p95: seconds(l.p95),
    p99: seconds(l.p99),
    max: seconds(l.max),
    busiest: s.signals.saturation?.busiest ?? 0,
    plugins: {},
  };
  for (const node of s.map?.nodes ?? []) {
    if (node.kind !== "MAP_NODE_KIND_PLUGIN" || !node.name) continue;
    const sum = (point.plugins[node.name] ??= { rate: 0, p50: 0, p99: 0, fuel: 0, trial: 0 });
    sum.rate += node.rate ?? 0;
    // Places are not merged by averages: the slowest one speaks.
    sum.p50 = Math.max(sum.p50, seconds(node.latency?.p50));
    sum.p99 = Math.max(sum.p99, seconds(node.latency?.p99));
    sum.fuel = Math.max(sum.fuel, node.fuelShare ?? 0);
    sum.trial += node.lanes?.[1]?.rate ?? 0;
  }
  history.push(point);
  if (history.length > keep) history.splice(0, history.length - keep);
}

/** After so much silence a stream is begun again, in milliseconds. */
const silence = 15_000;

/** Watches until the page ends. A stream that was cut is begun again, later each time. */
export function watch(): void {
  let running: AbortController | undefined;
  let wait = 1000;
  let timer = 0;
  const begin = async () => {
    clearTimeout(timer);
    if (running || paused.get() || !visible.get()) return;
    const mine = (running = new AbortController());
    // Something comes each second. Where nothing does, the way is cut, whether the browser knows it or not.
    let guard = 0;
    let silent = false;
    const heard = () => {
      clearTimeout(guard);
      guard = window.setTimeout(() => { silent = true; mine.abort(); }, silence);
    };
    try {
      heard();
      await stream<{ snapshot?: Snapshot; caller?: Caller }>("Overview/Watch", { interval: "1s" }, mine.signal, ({ snapshot, caller: who }) => {
        heard();
        if (!snapshot) return;
        if (who && (who.name !== caller.get()?.name || who.role !== caller.get()?.role)) caller.set(who);
        wait = 1000;
        remember(snapshot);
        live.set({ snapshot, at: Date.now() });
      });
    } catch (cause) {
      if (mine.signal.aborted && !silent) return;
      const error = silent ? new CallError("unreachable", "Nothing was heard of weft for a while.") : cause instanceof CallError ? cause : new CallError("unknown", String(cause));
      live.set({ ...live.get(), error });
    } finally {
      clearTimeout(guard);
    }
    if (running === mine) running = undefined;
    timer = window.setTimeout(() => void begin(), wait);
    wait = Math.min(wait * 2, 15000);
  };
  const turn = () => {
    if (paused.get() || !visible.get()) {
      running?.abort();
      running = undefined;
      return;
    }
    void begin();
  };
  paused.follow(turn);
  visible.follow(turn);
  restart = () => {
    running?.abort();
    running = undefined;
    wait = 1000;
    void begin();
  };
  void begin();
}

/** Begins again at once: with another token, or because somebody has asked for it. */
export let restart: () => void = () => undefined;
