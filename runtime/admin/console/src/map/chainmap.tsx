// The chain map: listeners, plugins in order, destinations, and the messages on their way.
// Threads are drawn; nodes are links, so that keys and screen readers find them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ChainMap as Chains, MapNode } from "../api/types";
import { num, seconds, share, short, span } from "../format";
import { go, Link, to, useQuery } from "../route";
import { Icon } from "../ui/icon";
import { nodeState } from "../ui/parts";
import { isUnwell, kindOf, noteOf, spoken } from "./words";
import { dropsOf, dropTop, isShadow, layout, neighbour, threadWidth, type Thread, type Unit } from "./layout";

/** Where a node is shown whole. */
export const hrefOf = (n: MapNode): string => (n.kind === "MAP_NODE_KIND_PLUGIN" ? to("plugins", n.name ?? "") : to({ node: n.id }));

export function ChainMap({ map }: { map: Chains }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [unfolded, setUnfolded] = useQuery("unfold");
  const [chosen] = useQuery("node");
  const [current, setCurrent] = useState("");
  useEffect(() => {
    const host = box.current!;
    const measure = () => {
      const style = getComputedStyle(host);
      setWidth(Math.floor(host.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)));
    };
    const size = new ResizeObserver(measure);
    size.observe(host);
    measure();
    return () => size.disconnect();
  }, []);
  const down = width < 620;
  const drawing = useMemo(() => layout(map, { down, width: width || 1000 }, new Set(unfolded.split(",").filter(Boolean))), [map, down, width, unfolded]);
  const { units, threads } = drawing;
  const first = units.some((u) => u.id === current) ? current : units[0]?.id;
  const onKey = (e: KeyboardEvent) => {
    const from = units.find((u) => u.id === (e.target as HTMLElement).dataset.node);
    const next = from && neighbour(units, from, e.key);
    if (!next) return;
    e.preventDefault();
    setCurrent(next.id);
    box.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(next.id)}"]`)?.focus();
  };
  const beyond = units.filter((u) => u.x + u.w > width);
  const sick = beyond.filter((u) => isUnwell(u.node));
  return (
    <>
    {width > 0 && beyond.length > 0 && (
      <p class="map-beyond">The map goes on to the right.{sick.length > 0 && <> Not well there: {sick.map((u, i) => <span key={u.id}>{i > 0 && ", "}<Link href={hrefOf(u.node)}>{u.node.name}</Link> ({nodeState(u.node.state).word})</span>)}.</>}</p>
    )}
    <div class="map" ref={box} role="group" aria-label="Chain map: arrow keys move, Enter opens" onKeyDown={onKey}>
      {width > 0 && (
        <div class="map-plane" style={{ width: `${drawing.width}px`, height: `${drawing.height}px` }}>
          <svg class="map-threads" width={drawing.width} height={drawing.height} aria-hidden="true">
            {threads.map((t) => <path key={t.id} d={t.path} class={`thread ${t.lane ? `thread-${t.lane}` : t.rate > 0 ? "" : "thread-idle"}`} stroke-width={t.lane ? Math.max(threadWidth(t.rate) - 1, 2) : threadWidth(t.rate)} />)}
            {units.filter(dropsOf).map((u) => <path key={u.id} class="thread-drop" d={`M${u.x + 18} ${u.y + dropTop(u)}v7q0 6 6 6h4`} />)}
          </svg>
          {threads.map((t) => <Rate key={t.id} thread={t} />)}
          {units.filter(dropsOf).map((u) => <Drop key={u.id} unit={u} />)}
          {units.map((u) => (
            <Box key={u.id} unit={u} tab={u.id === first ? 0 : -1} chosen={u.id === chosen} focused={() => setCurrent(u.id)}
              unfold={() => setUnfolded([...unfolded.split(",").filter(Boolean), u.node.chain ?? ""].join(","))} />
          ))}
        </div>
      )}
    </div>
    </>
  );
}

/** The number on a thread. */
const Rate = ({ thread: t }: { thread: Thread }) => (t.rate > 0 ? <span class={t.lane ? "map-rate map-rate-trial" : "map-rate"} style={{ left: `${t.at.x}px`, top: `${t.at.y}px` }} aria-hidden="true">{short(t.rate)}</span> : null);

/** What ends at a node branches downward. */
function Drop({ unit: u }: { unit: Unit }) {
  const n = u.node;
  const now = n.dropRate ?? 0;
  return (
    <Link href={to("drops")} class={now > 0 ? "map-drop map-drop-now" : "map-drop"} style={{ left: `${u.x + 30}px`, top: `${u.y + dropTop(u) + 5}px`, maxWidth: `${u.w + 20}px` }} tabIndex={-1}
      title={`${short(num(n.drops))} messages ended at ${n.name} since weft started`}>
      {now > 0 ? `${short(now)}/s` : short(num(n.drops))} {n.topReason || "ended here"}
    </Link>
  );
}

function Box({ unit: u, tab, chosen, focused, unfold }: { unit: Unit; tab: number; chosen: boolean; focused: () => void; unfold: () => void }) {
  const n = u.node;
  const state = nodeState(n.state);
  const at = { left: `${u.x}px`, top: `${u.y}px`, width: `${u.w}px`, height: `${u.h}px` };
  if (u.folded) {
    return (
      <button type="button" class="node node-folded" style={at} data-node={u.id} tabIndex={tab} onFocus={focused} onClick={unfold} title={u.folded.map((f) => f.name).join(", ")}>
        <span class="node-name">{u.folded.length} plugins, all ok</span>
        <span class="node-note">show them<span class="unseen">: {u.folded.map((f) => f.name).join(", ")}</span></span>
      </button>
    );
  }
  return (
    <>
    <Link href={hrefOf(n)} class={`node node-${kindOf(n).word} tone-${state.tone}${chosen ? " node-chosen" : ""}`} style={at} data-node={u.id} tabIndex={tab} onFocus={focused}
      title={n.why || undefined}
      onKeyDown={(e: KeyboardEvent) => { if (e.key === "Enter") { e.preventDefault(); go(hrefOf(n)); } }}>
      <span class="unseen">{spoken(n)}</span>
      <span class="node-body" aria-hidden="true">
        <span class="node-head">
          <span class="node-name"><Icon name={kindOf(n).icon} size={14} />{n.name}</span>
          <span class="node-state"><Icon name={state.icon} size={14} /></span>
        </span>
        {isUnwell(n) && <span class="node-state">{state.word}</span>}
        {n.kind === "MAP_NODE_KIND_PLUGIN" ? <PluginBody n={n} /> : <span class="node-note">{noteOf(n)}</span>}
      </span>
    </Link>
    {u.trial && <TrialBox u={u} />}
    </>
  );
}

function PluginBody({ n }: { n: MapNode }) {
  const [live, trial] = n.lanes ?? [];
  const canary = trial && trial.state !== "PLUGIN_STATE_SHADOW";
  return (
    <>
      <span class="node-lane">
        <span class="node-gen">gen {num(live?.generation)}{live?.state === "PLUGIN_STATE_WATCHED" ? ", watched" : ""}</span>
        <span class="node-rate">{short((canary ? live?.rate : n.rate) ?? 0)}/s</span>
      </span>
      <Bars deadline={seconds(n.deadline)} p99={seconds((live?.latency ?? n.latency)?.p99)} fuel={n.fuelShare ?? 0} />
    </>
  );
}

/** The lane of a generation on trial. What it says is in the name of its plugin's link. */
function TrialBox({ u }: { u: Unit }) {
  const n = u.node;
  const trial = n.lanes![1]!;
  const shadow = isShadow(u);
  return (
    <span class={shadow ? "node-trial node-shadow" : "node-trial"} aria-hidden="true" onClick={() => go(hrefOf(n))}
      style={{ left: `${u.x}px`, top: `${u.y + u.trial!.top}px`, width: `${u.w}px`, height: `${u.trial!.h}px` }}>
      <span class="node-lane">
        <span class="node-gen">{shadow ? "shadow" : "canary"} {num(trial.generation)}</span>
        <span class="node-rate">{short(trial.rate ?? 0)}/s</span>
      </span>
      <span class="node-note">{shadow ? `${short(num(trial.differed))} of ${short(num(trial.compared))} differ` : `${trial.weight ?? 0}% set · ${share(trial.observedShare ?? 0)} seen`}</span>
      {!shadow && <Bar label="p99" value={seconds(trial.latency?.p99)} limit={seconds(n.deadline)} text={trial.latency?.p99 ? span(seconds(trial.latency.p99)) : "–"} />}
    </span>
  );
}

const Bars = ({ deadline, p99, fuel }: { deadline: number; p99: number; fuel: number }) => (
  <span class="bars">
    <Bar label="p99" value={p99} limit={deadline} text={p99 > 0 ? span(p99) : "–"} />
    <Bar label="fuel" value={fuel} limit={1} text={share(fuel)} />
  </span>
);

function Bar({ label, value, limit, text }: { label: string; value: number; limit: number; text: string }) {
  const part = limit > 0 ? Math.min(value / limit, 1) : 0;
  return (
    <span class="bar">
      <span class="bar-label">{label}</span>
      <span class="bar-track"><i class={part >= 0.9 ? "tone-bad" : part >= 0.7 ? "tone-warn" : ""} style={{ width: `${part > 0 ? Math.max(part * 100, 3) : 0}%` }} /></span>
      <span class="bar-value">{text}</span>
    </span>
  );
}
