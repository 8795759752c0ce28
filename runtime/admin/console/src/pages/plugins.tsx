// Plugins: what each does and costs; one of them: is it slow, trapping, near its limit?
import { useState } from "preact/hooks";
import type { Generation, Plugin, PluginLogLine, RolloutEvent } from "../api/types";
import { ago, bytes, clock, hash, moment, num, seconds, share, short, span, whole } from "../format";
import { history, live } from "../live";
import { Link, place, to, useQuery } from "../route";
import { useAsk, useCell } from "../state";
import { Chart, withGaps, type Line } from "../ui/chart";
import { Icon } from "../ui/icon";
import { Answered, Badge, Choice, Empty, Figure, Figures, Meter, nodeState, Panel, Table, type Tone } from "../ui/parts";
import { DriftPanel, EndedDrift } from "./drift";
import { DropZone } from "./swap";
import { TrialPanel } from "./trial";

const states: Record<string, { word: string; tone: Tone }> = {
  PLUGIN_STATE_STEADY: { word: "steady", tone: "ok" },
  PLUGIN_STATE_WATCHED: { word: "watched", tone: "info" },
  PLUGIN_STATE_CANARY: { word: "canary", tone: "trial" },
  PLUGIN_STATE_SHADOW: { word: "shadow", tone: "trial" },
};

export const rolloutState = (p: Plugin) => states[p.state ?? ""] ?? { word: "steady", tone: "ok" as Tone };

/** What a plugin's nodes of the map say about it: the worst state, and all messages. */
function now(name: string) {
  const nodes = (live.get().snapshot?.map?.nodes ?? []).filter((n) => n.kind === "MAP_NODE_KIND_PLUGIN" && n.name === name);
  const order = ["DOWN", "BYPASSED", "TRAPPING", "OPEN_CIRCUIT", "SLOW", "OK", "IDLE"];
  const worst = [...nodes].sort((a, b) => order.indexOf((a.state ?? "").slice(11)) - order.indexOf((b.state ?? "").slice(11)))[0];
  return {
    state: nodeState(worst?.state), why: worst?.why,
    rate: nodes.reduce((sum, n) => sum + (n.rate ?? 0), 0),
    p99: Math.max(0, ...nodes.map((n) => seconds(n.latency?.p99))),
    fuel: Math.max(0, ...nodes.map((n) => n.fuelShare ?? 0)),
    deadline: Math.max(0, ...nodes.map((n) => seconds(n.deadline))),
  };
}

export function Plugins() {
  const asked = useAsk<{ plugins?: Plugin[] }>("Plugins/List", {}, 2000);
  useCell(live);
  return (
    <div class="stack">
      <h1>Plugins</h1>
      <Answered asked={asked}>
        {({ plugins }) => !plugins?.length ? (
          <Empty title="No plugin is declared" icon="plugins"><p>Messages go from listeners to routes untouched. Declare one under <code>plugins:</code> and name it in a listener's <code>chain:</code>; <code>weft plugin new</code> writes the first one.</p></Empty>
        ) : (
          <Table label="Plugins" head={["Plugin", "State", "Rollout", ["Rate", "number"], ["p99", "number"], ["Fuel", "number"], ["Memory", "number"], ["Traps", "number"], ["Failed", "number"], "Stands in"]}>
            {plugins.map((p) => {
              const is = now(p.name);
              const stats = p.live?.stats ?? {};
              const rollout = rolloutState(p);
              return (
                <tr key={p.name}>
                  <th scope="row"><Link href={to("plugins", p.name)} class="cell-link">{p.name}</Link> <span class="muted">gen {num(p.live?.number)}</span></th>
                  <td><Badge tone={is.state.tone} icon={is.state.icon} title={is.why}>{is.state.word}</Badge></td>
                  <td>{rollout.word === "steady" ? <span class="muted">steady</span> : <Badge tone={rollout.tone}>{rollout.word}{p.candidate ? ` ${num(p.candidate.number)}, ${p.trial?.weight ?? 0}%` : ""}</Badge>}</td>
                  <td class="number">{short(is.rate)}/s</td>
                  <td class="number">{is.p99 ? span(is.p99) : "–"}</td>
                  <td class="number">{share(is.fuel)}</td>
                  <td class="number">{stats.memoryBytes ? bytes(num(stats.memoryBytes)) : "–"}</td>
                  <td class={num(stats.traps) > 0 ? "number tone-bad" : "number"}>{whole(num(stats.traps))}</td>
                  <td class={num(stats.failed) > 0 ? "number tone-bad" : "number"}>{whole(num(stats.failed))}</td>
                  <td class="muted">{p.places?.join(", ") || "nowhere"}</td>
                </tr>
              );
            })}
          </Table>
        )}
      </Answered>
    </div>
  );
}

export function PluginPage() {
  const name = useCell(place).path[1]!;
  const asked = useAsk<{ plugins?: Plugin[] }>("Plugins/List", { names: [name] }, 1500);
  useCell(live);
  const p = asked.data?.plugins?.[0];
  const is = now(name);
  return (
    <div class="stack">
      <div class="title">
        <p class="crumbs"><Link href={to("plugins")}>Plugins</Link><Icon name="right" size={12} /></p>
        <h1>{name}</h1>
        {p && <Badge tone={is.state.tone} icon={is.state.icon}>{is.state.word}</Badge>}
        {p && <span class="muted">{p.file}{p.places?.length ? ` · in ${p.places.join(", ")}` : " · stands nowhere"}</span>}
      </div>
      {is.why && <p class={`why tone-${is.state.tone}`}><Icon name={is.state.icon} />{is.why}</p>}
      <Answered asked={asked}>
        {() => p ? (
          <>
            <PluginCharts name={name} p={p} deadline={is.deadline || seconds(p.callLimit)} />
            {p.candidate && <TrialPanel p={p} changed={asked.again} />}
            <DriftPanel drift={p.candidate?.drift} live={num(p.live?.number)} shadow={num(p.candidate?.number)} />
            <EndedDrift p={p} />
            <div class="split split-wide">
              <Generations p={p} />
              <DropZone p={p} changed={asked.again} />
            </div>
            <div class="split">
              <History of={p.history ?? (p.last ? [p.last] : [])} />
              <LogPanel name={name} />
            </div>
          </>
        ) : null}
      </Answered>
    </div>
  );
}

function PluginCharts({ name, p, deadline }: { name: string; p: Plugin; deadline: number }) {
  const [range, setRange] = useQuery("range", "300");
  const of = (pick: (one: { rate: number; p50: number; p99: number; fuel: number; trial: number }) => number | null) => history.map((h) => (h.plugins[name] ? pick(h.plugins[name]) : null));
  const times = history.map((h) => h.t);
  const shared = { height: 150, range: Number(range) || 300 };
  const stats = p.live?.stats ?? {};
  const memory = num(stats.memoryBytes);
  const most = num(p.memoryLimitBytes) * (stats.instances ?? 0);
  const rate: Line[] = [{ name: "messages", colour: "accent", fill: true }];
  const rows = [of((o) => o.rate)];
  if (p.candidate) {
    rate.push({ name: `on trial: gen ${num(p.candidate.number)}`, colour: "trial" });
    rows.push(of((o) => o.trial));
  }
  return (
    <Panel title="What it does and costs" aside={<Choice label="Range of the charts" value={range} options={[["60", "1 min"], ["300", "5 min"], ["900", "15 min"]]} set={setRange} />}>
      <div class="charts">
        <div><h3>Throughput</h3><Chart {...shared} label={`Messages a second to ${name}`} lines={rate} data={withGaps([times, ...rows])} format={(n) => `${short(n)}/s`} /></div>
        <div><h3>Time of a call</h3><Chart {...shared} label={`Time of a call to ${name}`} lines={[{ name: "p99", colour: "accent" }, { name: "p50", colour: "accent-2" }]} data={withGaps([times, of((o) => o.p99 || null), of((o) => o.p50 || null)])} format={span} /></div>
        <div><h3>Fuel of a call</h3><Chart {...shared} label={`Share of its fuel that a call to ${name} takes`} lines={[{ name: "of its limit", colour: "accent", fill: true }]} data={withGaps([times, of((o) => o.fuel)])} format={share} least={0.1} /></div>
      </div>
      <Figures>
        <Figure label="Since gen began" note={`${whole(num(stats.calls))} calls`}>{whole(num(stats.messages))} msg</Figure>
        <Figure label="Call p50 / p99" note={stats.p95 ? `p95 ${span(seconds(stats.p95))}, longest ${span(seconds(stats.longest))}${deadline ? `; may take ${span(deadline)}` : ""}` : undefined}>{stats.p50 ? span(seconds(stats.p50)) : "–"} / {stats.p99 ? span(seconds(stats.p99)) : "–"}</Figure>
        <Figure label="CPU time" note="estimated">{span(stats.busySeconds ?? 0)}</Figure>
        <Figure label="Memory" note={most > 0 ? <><Meter value={memory / most} label="Memory of its limit" text={`${bytes(memory)} of ${bytes(most)}`} />of {bytes(most)}, {whole(stats.instances ?? 0)} instances</> : undefined}>{memory ? bytes(memory) : "–"}</Figure>
        <Figure label="Traps" tone={num(stats.traps) > 0 ? "bad" : undefined} note={`${whole(num(stats.fuelTraps))} out of fuel, ${whole(num(stats.depthTraps))} too deep`}>{whole(num(stats.traps))}</Figure>
        <Figure label="Policy answered" tone={num(stats.failed) > 0 ? "bad" : undefined} note={stats.resting ? `rests in ${stats.resting} places` : `${whole(num(stats.rebuilds))} rebuilds`}>{whole(num(stats.failed))}</Figure>
        <Figure label="Dropped" note={`${whole(num(stats.replies))} replied, ${whole(num(stats.emitted))} made`}>{whole(num(stats.drops))}</Figure>
        <Figure label="Denied" tone={num(stats.denied) > 0 ? "warn" : undefined} note="outside of its grants">{whole(num(stats.denied))}</Figure>
      </Figures>
    </Panel>
  );
}

function Generations({ p }: { p: Plugin }) {
  const rows: [string, Tone, Generation | undefined][] = [["on trial", "trial", p.candidate], ["live", "ok", p.live], ["before", "idle", p.previous]];
  return (
    <Panel title="Generations" tight>
      <Table label="Generations" head={["", ["No.", "number"], "Module", "Brought by", "Since", ["Messages", "number"], ["p99", "number"], ["Fuel/msg", "number"], ["Traps", "number"]]}>
        {rows.filter((row): row is [string, Tone, Generation] => Boolean(row[2])).map(([word, tone, g]) => {
          const s = g.stats ?? {};
          const messages = num(s.messages);
          return (
            <tr key={word}>
              <th scope="row"><Badge tone={tone}>{word}</Badge></th>
              <td class="number">{num(g.number)}</td>
              <td><code title={g.sha256}>{hash(g.sha256)}</code></td>
              <td>{g.source}</td>
              <td title={clock(moment(g.since))}>{ago(moment(g.since))}</td>
              <td class="number">{whole(messages)}</td>
              <td class="number">{s.p99 ? span(seconds(s.p99)) : "–"}</td>
              <td class="number">{messages > 0 ? short(num(s.fuel) / messages) : "–"}</td>
              <td class={num(s.traps) > 0 ? "number tone-bad" : "number"}>{whole(num(s.traps))}</td>
            </tr>
          );
        })}
      </Table>
    </Panel>
  );
}

const eventTone = (what?: string): string => (what === "refused" || what === "rolled-back" || what === "withdrawn" ? "warn" : what === "promoted" || what === "settled" || what === "swapped" ? "ok" : "info");

export function History({ of }: { of: RolloutEvent[] }) {
  return (
    <Panel title="What happened" tight>
      {of.length === 0 ? <Empty title="Nothing yet"><p>Its first generation still runs. That is normal.</p></Empty> : (
        <ol class="changes">
          {of.slice(0, 12).map((e, i) => (
            <li key={i}>
              <time dateTime={e.time} title={clock(moment(e.time))}>{ago(moment(e.time))}</time>
              <span class={`change-what tone-${eventTone(e.what)}`}>{e.what}</span>
              <span>gen {num(e.generation)}<span class="muted"> by {e.cause}{e.text ? `: ${e.text}` : ""}</span></span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function LogPanel({ name }: { name: string }) {
  const asked = useAsk<{ lines?: PluginLogLine[] }>("Plugins/Logs", { name, limit: 50 }, 3000);
  const [all, showAll] = useState(false);
  return (
    <Panel title="Its log" tight>
      <Answered asked={asked}>
        {({ lines }) => !lines?.length ? <Empty title="It has logged nothing"><p>That is normal for a plugin without the grant <code>log</code>, or one with nothing to say.</p></Empty> : (
          <div class="log" role="log" tabIndex={0} aria-label={`Log of ${name}`}>
            {lines.slice(all ? 0 : -12).map((l) => (
              <p key={String(l.number)}><time>{clock(moment(l.time))}</time> <span class={`tone-${l.level === "error" ? "bad" : l.level === "warn" ? "warn" : "idle"}`}>{l.level}</span> {l.text}</p>
            ))}
            {lines.length > 12 && !all && <button type="button" class="plain" onClick={() => showAll(true)}>Show {lines.length - 12} earlier lines</button>}
          </div>
        )}
      </Answered>
    </Panel>
  );
}
