// How a shadow's answers differ from those of the live generation, with the messages.
import type { Answer, Drift, DriftSample, Plugin } from "../api/types";
import { clock, moment, num, payload, share, whole } from "../format";
import { Empty, Pairs, Panel } from "../ui/parts";

const fields = ["verdict", "topic", "attributes", "payload", "header", "effects"] as const;

/** The differences of the last shadow that has ended, which nobody may have seen meanwhile. */
export function EndedDrift({ p }: { p: Plugin }) {
  const ended = [...(p.last ? [p.last] : []), ...(p.history ?? [])].find((e) => e.drift);
  if (p.candidate || !ended) return null;
  return <DriftPanel drift={ended.drift} live={num(p.live?.number)} shadow={num(ended.generation)} title={`Differences of ${p.name}'s last shadow, generation ${num(ended.generation)}: ${ended.what}`} />;
}

export function DriftPanel({ drift, live, shadow, title = "Differences of the shadow" }: { drift?: Drift; live: number; shadow: number; title?: string }) {
  if (!drift) return null;
  const compared = num(drift.compared);
  const differed = num(drift.differed);
  const samples = [...(drift.samples ?? [])].reverse().slice(0, 8);
  return (
    <Panel title={title}>
      <p><b>{whole(differed)}</b> of <b>{whole(compared)}</b> messages that were compared differ{compared > 0 ? `, ${share(differed / compared)}` : ""}.</p>
      {compared === 0 ? <Empty title="Nothing has been compared yet"><p>That is normal until a session that the shadow sees sends a message.</p></Empty>
        : differed === 0 ? <Empty title="Every answer is the same" icon="ok"><p>The shadow does to each message what generation {live} does.</p></Empty>
        : (
          <>
            <ul class="tally">{fields.filter((f) => num(drift[f]) > 0).map((f) => <li key={f}>{f} <b>{whole(num(drift[f]))}</b></li>)}</ul>
            <div class="samples">{samples.map((s, i) => <Sample key={i} s={s} live={live} shadow={shadow} />)}</div>
          </>
        )}
    </Panel>
  );
}

function Sample({ s, live, shadow }: { s: DriftSample; live: number; shadow: number }) {
  const differs = new Set(s.fields ?? []);
  return (
    <article class="sample">
      <header><time>{clock(moment(s.time), true)}</time> <b>{s.topic}</b> <span class="muted">differs in {s.fields?.join(", ")}</span></header>
      {s.payload && <pre>{payload(s.payload).text}</pre>}
      <div class="sample-sides">
        <Side title={`live ${live}`} a={s.live} differs={differs} />
        <Side title={`shadow ${shadow}`} a={s.shadow} differs={differs} trial />
      </div>
    </article>
  );
}

function Side({ title, a, differs, trial }: { title: string; a?: Answer; differs: Set<string>; trial?: boolean }) {
  const rows: [string, preact.ComponentChildren, boolean][] = [
    ["verdict", `${a?.verdict ?? "–"}${a?.out ? `: ${a.out}` : ""}`, true],
    ["topic", a?.topic || "–", differs.has("topic")],
    ["attributes", <Pairs of={a?.attributes} />, differs.has("attributes")],
    ["payload", <code>{payload(a?.payload).text || "–"}</code>, differs.has("payload")],
    ["made", String(a?.emitted ?? 0), differs.has("effects")],
  ];
  return (
    <div class={trial ? "side side-trial" : "side"}>
      <h3 class="side-title">{title}</h3>
      <dl>{rows.filter(([, , show]) => show).map(([name, value]) => <div key={name} class={differs.has(name) ? "differs" : ""}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
    </div>
  );
}
