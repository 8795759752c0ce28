// Messages: what happened to this one? A live tail, and each message's way by plugin.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { CallError, stream } from "../api/rpc";
import type { TailMessage, TailResponse } from "../api/types";
import { clock, moment, num, payload, seconds, span, whole } from "../format";
import { live } from "../live";
import { useQuery } from "../route";
import { paused, useCell, visible } from "../state";
import { Icon } from "../ui/icon";
import { Badge, Empty, Fault, Search, type Tone } from "../ui/parts";
import { Waterfall } from "./waterfall";

interface Kept extends TailMessage {
  key: number;
}

/** So many are kept; older ones go. */
const keep = 500;

const tones: Record<string, Tone> = { delivered: "ok", logged: "ok", replied: "ok", dropped: "warn", dead: "bad", waiting: "info", paused: "info" };

export function Messages() {
  const [listener, setListener] = useQuery("listener");
  const [plugin, setPlugin] = useQuery("plugin");
  const [topic, setTopic] = useQuery("topic");
  const [connection, setConnection] = useQuery("connection");
  const [troubled, setTroubled] = useQuery("troubled");
  const [rate, setRate] = useQuery("rate", "20");
  const tail = useTail({ listener, plugin, connection, topics: topic ? topic.split(/[\s,]+/).filter(Boolean) : [], troubled: troubled === "1", rate: Number(rate) || 20 });
  const [chosen, choose] = useState<number>();
  const nodes = useCell(live).snapshot?.map?.nodes ?? [];
  const names = (kind: string) => [...new Set(nodes.filter((n) => n.kind === kind).map((n) => n.name ?? ""))].sort();
  const open = tail.shown.find((m) => m.key === chosen);
  const filtered = Boolean(listener || plugin || topic || connection || troubled);
  return (
    <div class="stack">
      <div class="title"><h1>Messages</h1><Badge tone="info" icon="info" title="A tail shows some of the messages, at most so many a second">sampled</Badge>
        <span class="muted" role="status">{tail.still ? "Paused. " : ""}{whole(tail.passed)} passed since the tail began; {whole(tail.looked)} looked at, {whole(tail.kept)} kept here{tail.missed > 0 ? `, ${whole(tail.missed)} too many to show` : ""}.</span>
      </div>
      <form class="filters" onSubmit={(e) => e.preventDefault()} aria-label="Filter">
        <label>Topic<Search value={topic} placeholder="alarm/#" put={setTopic} /></label>
        <label>Listener<select value={listener} onChange={(e) => setListener(e.currentTarget.value)}><option value="">all</option>{withCurrent(names("MAP_NODE_KIND_LISTENER"), listener).map((n) => <option key={n}>{n}</option>)}</select></label>
        <label>Plugin<select value={plugin} onChange={(e) => setPlugin(e.currentTarget.value)}><option value="">all</option>{withCurrent(names("MAP_NODE_KIND_PLUGIN"), plugin).map((n) => <option key={n}>{n}</option>)}</select></label>
        <label>At most<select value={rate} onChange={(e) => setRate(e.currentTarget.value)}>{["5", "20", "100", "500"].map((n) => <option key={n} value={n}>{n} a second</option>)}</select></label>
        {connection && <label>Connection<span class="chip">{connection}<button type="button" class="plain" aria-label="Of every connection" onClick={() => setConnection("")}><Icon name="close" size={12} /></button></span></label>}
        <label class="checkbox"><input type="checkbox" checked={troubled === "1"} onChange={(e) => setTroubled(e.currentTarget.checked ? "1" : "")} />Only trouble</label>
        <span class="filters-end">
          <button type="button" class={tail.still ? "button tool-on" : "button"} aria-pressed={tail.still} onClick={tail.pause}><Icon name={tail.still ? "play" : "pause"} />{tail.still ? `Go on${tail.behind > 0 ? ` (${tail.behind} new)` : ""}` : "Hold"}</button>
          <button type="button" class="button" onClick={tail.clear}>Clear</button>
        </span>
      </form>
      {tail.error && <Fault error={tail.error} again={tail.again} />}
      <div class={open ? "tail tail-open" : "tail"}>
        <List tail={tail} chosen={chosen} choose={choose} filtered={filtered} />
        {open && <Waterfall m={open} close={() => choose(undefined)} only={(id) => setConnection(id)} />}
      </div>
    </div>
  );
}

const withCurrent = (names: string[], current: string) => (current && !names.includes(current) ? [...names, current] : names);

function List({ tail, chosen, choose, filtered }: { tail: Tail; chosen?: number; choose: (key: number) => void; filtered: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const onKey = (e: KeyboardEvent) => {
    if (e.key !== "ArrowDown" && e.key !== "ArrowUp") return;
    const rows = [...(box.current?.querySelectorAll<HTMLElement>("button.tail-row") ?? [])];
    const next = rows[rows.indexOf(e.target as HTMLElement) + (e.key === "ArrowDown" ? 1 : -1)];
    if (next) {
      e.preventDefault();
      next.focus();
    }
  };
  if (tail.shown.length === 0) {
    return tail.error ? null : (
      <div class="panel">
        {!tail.started ? <Empty title="The tail begins…" /> : (
          <Empty title={tail.passed > 0 ? "No message that matches has passed" : "No message has passed since the tail began"} icon="messages">
            <p>{tail.passed > 0 ? (filtered ? `${whole(tail.passed)} others did. Make the filter wider, or wait.` : "They were not among those that were looked at. Ask for more a second.") : "Messages appear as they end. Where clients are connected and silent that is normal; Connections shows who is there."}</p>
          </Empty>
        )}
      </div>
    );
  }
  return (
    <div class="panel tail-list" ref={box} role="list" aria-label="Messages, newest first" onKeyDown={onKey} onScroll={(e) => tail.scrolled(e.currentTarget.scrollTop > 40)}>
      {tail.shown.map((m) => (
        <div role="listitem" key={m.key}>
          <button type="button" class="tail-row" aria-pressed={m.key === chosen} onClick={() => choose(m.key)}>
            <time>{clock(moment(m.time), true)}</time>
            <span class={`result tone-${tones[m.result ?? ""] ?? "idle"}`}>{m.result}</span>
            <span class="tail-topic">{m.topic || <span class="muted">no topic</span>}{m.topicAfter && m.topicAfter !== m.topic ? <><Icon name="right" size={11} />{m.topicAfter}</> : null}</span>
            <span class="tail-payload">{payload(m.payload).text}</span>
            <span class="tail-took">{span(seconds(m.took))}</span>
          </button>
        </div>
      ))}
    </div>
  );
}

interface Tail {
  shown: Kept[];
  started: boolean;
  still: boolean;
  behind: number;
  passed: number;
  looked: number;
  missed: number;
  kept: number;
  error?: CallError;
  pause: () => void;
  clear: () => void;
  again: () => void;
  scrolled: (away: boolean) => void;
}

interface Choice {
  listener: string;
  plugin: string;
  connection: string;
  topics: string[];
  troubled: boolean;
  rate: number;
}

/** Follows messages. While it is held, or somebody has scrolled, it goes on collecting and
 * what is shown stays where it is. */
function useTail(choice: Choice): Tail {
  const kept = useRef<Kept[]>([]);
  const counts = useRef({ passed: 0, looked: 0, missed: 0, next: 1, started: false });
  const [held, hold] = useState(false);
  const [away, setAway] = useState(false);
  const [frozen, freeze] = useState<Kept[]>();
  const [error, setError] = useState<CallError>();
  const [turn, setTurn] = useState(0);
  const [, draw] = useState(0);
  const still = useCell(paused) || held;
  const seen = useCell(visible);
  const key = JSON.stringify(choice);
  useLayoutEffect(() => { // at once: what passed the former filter is not there to be held
    if (!seen) return;
    kept.current = [];
    counts.current = { passed: 0, looked: 0, missed: 0, next: 1, started: false };
    setError(undefined);
    freeze(undefined);
    draw((n) => n + 1);
    const ended = new AbortController();
    let timer = 0;
    const follow = async () => {
      try {
        await stream<TailResponse>("Traffic/Tail", { ...choice, cut: 1024 }, ended.signal, (r) => {
          if (ended.signal.aborted) return;
          const c = counts.current;
          c.started = true;
          c.passed = Math.max(c.passed, num(r.passed));
          c.looked = Math.max(c.looked, num(r.looked));
          c.missed = Math.max(c.missed, num(r.missed));
          if (r.message) kept.current = [{ ...r.message, key: c.next++ }, ...kept.current.slice(0, keep - 1)];
        });
      } catch (cause) {
        if (ended.signal.aborted) return;
        const e = cause instanceof CallError ? cause : new CallError("unknown", String(cause));
        setError(e);
        if (e.code === "unreachable" || e.code === "unavailable") timer = window.setTimeout(() => setTurn((n) => n + 1), 3000);
      }
    };
    void follow();
    const frames = setInterval(() => draw((n) => n + 1), 250);
    return () => {
      ended.abort();
      clearInterval(frames);
      clearTimeout(timer);
    };
  }, [key, seen, turn]);
  useEffect(() => freeze((old) => (still || away ? old ?? kept.current : undefined)), [still, away]);
  const c = counts.current;
  const shown = frozen ?? kept.current;
  return {
    shown, started: c.started, still: still || away, behind: frozen ? Math.max((kept.current[0]?.key ?? 0) - (frozen[0]?.key ?? 0), 0) : 0,
    passed: c.passed, looked: c.looked, missed: c.missed, kept: kept.current.length, error,
    pause: () => {
      const go = still || away;
      hold(!go);
      freeze(go ? undefined : kept.current);
      if (!go) return;
      setAway(false);
      paused.set(false);
      document.querySelector(".tail-list")?.scrollTo(0, 0);
    },
    clear: () => { kept.current = []; freeze(still || away ? [] : undefined); draw((n) => n + 1); },
    again: () => setTurn((n) => n + 1),
    scrolled: setAway,
  };
}
