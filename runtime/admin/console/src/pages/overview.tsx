// Is it up, how much, errors, how long, how full; and where: the chain map.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Change, Finding, Snapshot } from "../api/types";
import { ago, bytes, clock, count, moment, num, seconds, share, short, span, whole } from "../format";
import { history, live, restart, type Point } from "../live";
import { ChainMap } from "../map/chainmap";
import { MapTable } from "../map/maptable";
import { NodeDetail } from "../map/detail";
import { Link, to, useQuery } from "../route";
import { useCell, useOperate } from "../state";
import { DrainDialog } from "./drain";
import { Chart, withGaps, type Line } from "../ui/chart";
import { Icon } from "../ui/icon";
import { Choice, Empty, Fault, level, Panel, Waiting } from "../ui/parts";

export function Overview() {
  const { snapshot: s, error } = useCell(live);
  if (!s) return error ? <Fault error={error} again={restart} /> : <Waiting />;
  return (
    <div class="stack">
      <Verdict s={s} />
      <Golden s={s} />
      <Map s={s} />
      <div class="split">
        <Changes of={s.changes ?? []} />
        <LedgerLine s={s} />
      </div>
    </div>
  );
}

function Verdict({ s }: { s: Snapshot }) {
  const l = level(s.verdict?.level);
  const findings = s.verdict?.findings ?? [];
  const i = s.instance ?? {};
  const may = useOperate();
  const [draining, drain] = useState(false);
  return (
    <section class={`verdict tone-${l.tone}`} aria-label="Verdict">
      <Icon name={l.icon} size={26} />
      <div class="verdict-text">
        <h1>{s.verdict?.sentence || l.word}</h1>
        <p class="muted">
          {[i.node, i.version && `weft ${i.version.replace(/^weft /, "")}`, i.state, i.uptime && `up ${span(seconds(i.uptime))}`, i.loops && count(i.loops, "loop"), i.configFile].filter(Boolean).join(" · ")}
        </p>
        {findings.length > 0 && <ul class="findings">{findings.map((f) => <FindingLine key={`${f.kind} ${f.subject} ${f.node}`} f={f} only={findings.length === 1 && isSaid(s.verdict?.sentence, f.text)} />)}</ul>}
      </div>
      {may && i.state === "running" && <button type="button" class="button verdict-act" onClick={() => drain(true)}>Drain…</button>}
      {draining && <DrainDialog node={i.node ?? ""} shut={() => drain(false)} connections={num(s.signals?.saturation?.connections)} inFlight={num(s.ledger?.inFlight)} deadLetters={num(s.signals?.deadLetters)} />}
      <Spoken sentence={s.verdict?.sentence ?? ""} key_={`${s.verdict?.level} ${findings.map((f) => `${f.kind}${f.subject}`).join()}`} />
    </section>
  );
}

/** Says the verdict to a screen reader when it is another one, not when a figure moves. */
function Spoken({ sentence, key_ }: { sentence: string; key_: string }) {
  const [said, say] = useState("");
  const latest = useRef(sentence);
  latest.current = sentence;
  useEffect(() => say(latest.current), [key_]);
  return <p class="unseen" aria-live="polite" role="status">{said}</p>;
}

/** The page on which one does something about a finding. */
function hrefOf(f: Finding): string {
  const kind = f.kind ?? "";
  if (kind === "plugin-rollout") return to("rollouts");
  if (kind.startsWith("plugin-")) return to("plugins", f.subject ?? "");
  if (kind.startsWith("config")) return to("config");
  if (kind === "dead-letters") return to("dead-letters");
  if (kind === "drops") return to("drops");
  if (kind === "filter") return to("filter");
  if (kind === "connections") return to("connections");
  return f.node ? to({ node: f.node }) : "";
}

/** Whether the verdict's sentence is the finding's text, but for its first and last letter. */
const isSaid = (sentence = "", text = ""): boolean => sentence.slice(1, text.length) === text.slice(1);

function FindingLine({ f, only }: { f: Finding; only: boolean }) {
  const l = level(f.level);
  const href = hrefOf(f);
  if (only) return <li class="finding"><span>{f.remedy} {href && <Link href={href}>{f.subject ? `Open ${f.subject}` : "Open it"}</Link>}</span></li>;
  return (
    <li class={`finding tone-${l.tone}`}>
      <Icon name={l.icon} />
      <span>
        <span class="unseen">{l.word}: </span>
        {href ? <Link href={href}>{f.text}</Link> : f.text}
        {f.remedy && <span class="muted"> {f.remedy}</span>}
      </span>
    </li>
  );
}

/** What stands where a figure will be: the first answer has nothing to count from. */
const unknown = "known in a moment";

const ranges: [string, string][] = [["60", "1 min"], ["300", "5 min"], ["900", "15 min"]];

function Golden({ s }: { s: Snapshot }) {
  const [range, setRange] = useQuery("range", "300");
  const f = s.signals ?? {};
  const l = f.latency ?? {};
  const full = f.saturation ?? {};
  const known = Boolean(s.interval);
  const limit = num(full.connectionsLimit);
  const memoryLimit = num(full.memoryLimitBytes);
  return (
    <section aria-label="Golden signals" class="golden">
      <div class="golden-range"><Choice label="Range of the charts" value={range} options={ranges} set={setRange} /></div>
      <Signal title="Traffic" value={known ? short(f.inRate ?? 0) : "–"} unit="msg/s" range={range}
        note={known ? <>{short(f.outRate ?? 0)} copies/s out · {bytes(f.bytesInRate ?? 0)}/s in</> : unknown}
        lines={[{ name: "in", colour: "accent", fill: true }]} rows={[(p) => p.in]} format={(n) => `${short(n)}/s`} />
      <Signal title="Errors" value={known ? share(f.errorShare ?? 0) : "–"} unit="of messages" range={range} tone={(f.errorShare ?? 0) > 0.01 ? "bad" : undefined}
        note={known ? <>{short(f.lostRate ?? 0)}/s lost · {short(f.deadRate ?? 0)}/s dead · {short(f.filteredRate ?? 0)}/s filtered</> : unknown}
        lines={[{ name: "errors", colour: "bad", fill: true }]} rows={[(p) => p.errors]} format={share} least={0.01} />
      <Signal title="Latency" value={l.p99 ? span(seconds(l.p99)) : "–"} unit="p99" range={range}
        note={num(l.count) > 0 ? <>p50 {span(seconds(l.p50))} · p95 {span(seconds(l.p95))} · max {span(seconds(l.max))}</> : known ? <>nothing passed in this second</> : unknown}
        lines={[{ name: "p99", colour: "accent" }, { name: "p50", colour: "accent-2" }]} rows={[(p) => p.p99 || null, (p) => p.p50 || null]} format={span} />
      <Signal title="Saturation" value={known ? share(full.busiest ?? 0) : "–"} unit="busiest loop" range={range} tone={(full.busiest ?? 0) > 0.9 ? "bad" : undefined}
        note={<>{whole(num(full.connections))}{limit > 0 ? ` of ${short(limit)}` : ""} conn. · {bytes(num(full.memoryBytes))}{memoryLimit > 0 ? ` of ${bytes(memoryLimit)}` : ""}{num(full.queuedBytes) > 0 ? ` · ${bytes(num(full.queuedBytes))} queued` : ""}</>}
        lines={[{ name: "busy", colour: "accent", fill: true }]} rows={[(p) => p.busiest]} format={share} least={1} />
    </section>
  );
}

interface SignalProperties {
  title: string;
  value: string;
  unit: string;
  note: ComponentChildren;
  lines: Line[];
  rows: ((p: Point) => number | null)[];
  format: (n: number) => string;
  range: string;
  least?: number;
  tone?: "bad";
}

function Signal(p: SignalProperties) {
  const data = withGaps([history.map((h) => h.t), ...p.rows.map((row) => history.map(row))]);
  return (
    <div class="signal">
      <h2>{p.title}</h2>
      <p class={p.tone ? `signal-value tone-${p.tone}` : "signal-value"}>{p.value} <small>{p.unit}</small></p>
      <Chart spark label={`${p.title}, the last ${Math.round(Number(p.range) / 60)} minutes`} lines={p.lines} data={data} format={p.format} height={44} range={Number(p.range) || 300} least={p.least} />
      <p class="signal-note">{p.note}</p>
    </div>
  );
}

function Map({ s }: { s: Snapshot }) {
  const [view, setView] = useQuery("view", "map");
  const [chosen, choose] = useQuery("node");
  const map = s.map ?? {};
  const node = map.nodes?.find((n) => n.id === chosen);
  const hint = !s.interval ? "Rates come with the next answer." : (s.signals?.inRate ?? 0) === 0 ? "Nothing comes in now." : "Figures are messages a second.";
  return (
    <Panel title="Chain map" tight aside={<>
      <span class="muted map-hint">{hint} Arrow keys move, Enter opens.</span>
      <Choice label="Show the chain map as" value={view} options={[["map", "Map"], ["table", "Table"]]} set={setView} />
    </>}>
      {!map.nodes?.length ? (
        <Empty title="No listener, no chain"><p>The configuration names no listener, so no message can come in. Add one under <code>listeners:</code>; <Link href={to("config")}>Config</Link> shows what is in effect.</p></Empty>
      ) : view === "table" ? <MapTable map={map} known={Boolean(s.interval)} /> : <ChainMap map={map} />}
      {node && <NodeDetail node={node} map={map} close={() => choose("")} />}
    </Panel>
  );
}

function Changes({ of }: { of: Change[] }) {
  return (
    <Panel title="Last changes" tight>
      {of.length === 0 ? (
        <Empty title="Nothing has changed since weft started"><p>That is normal. Swaps, rollouts, reloads and drains appear here.</p></Empty>
      ) : (
        <ol class="changes">
          {of.slice(0, 8).map((c, i) => {
            const l = level(c.level);
            return (
              <li key={i}>
                <time dateTime={c.time} title={clock(moment(c.time))}>{ago(moment(c.time))}</time>
                <span class={`change-what tone-${l.tone}`}>{c.what}</span>
                <span>
                  {c.kind === "plugin" && c.subject ? <Link href={to("plugins", c.subject)}>{c.subject}</Link> : c.subject}
                  {num(c.generation) > 0 && ` gen ${num(c.generation)}`}
                  {c.text && <span class="muted"> {c.text}</span>}
                </span>
              </li>
            );
          })}
        </ol>
      )}
    </Panel>
  );
}

function LedgerLine({ s }: { s: Snapshot }) {
  const l = s.ledger ?? {};
  const parts: [string, number][] = [["delivered", num(l.delivered)], ["logged", num(l.logged)], ["replied", num(l.replied)], ["filtered", num(l.filtered)], ["dropped", num(l.dropped)], ["dead", num(l.dead)], ["in flight", num(l.inFlight)]];
  return (
    <Panel title="Ledger" tight aside={<Link href={to("drops")}>Drops</Link>}>
      <div class="ledger-line">
        <p><b>{whole(num(l.in) + num(l.emitted) + num(l.recalled))}</b> came in or were made since weft started; each is in one of these:</p>
        <ul>{parts.filter(([, n]) => n !== 0).map(([name, n]) => <li key={name}><span>{name}</span><b>{whole(n)}</b></li>)}</ul>
      </div>
    </Panel>
  );
}
