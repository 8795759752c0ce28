// One message's way: what every plugin did with it, how long it took and what it cost.
import type { TailMessage, TailStep } from "../api/types";
import { bytes, clock, count, moment, num, payload, seconds, short, span } from "../format";
import { Link, to } from "../route";
import { Icon } from "../ui/icon";
import { Badge, Pairs } from "../ui/parts";

export function Waterfall({ m, close, only }: { m: TailMessage; close: () => void; only: (connection: string) => void }) {
  const took = seconds(m.took);
  const steps = m.steps ?? [];
  let at = 0;
  const spans = steps.map((s) => {
    const begin = at;
    at += seconds(s.took);
    return begin;
  });
  const whole = Math.max(took, at, 1e-9);
  return (
    <section class="panel waterfall" aria-label="The message's way">
      <header class="panel-head">
        <h2>{m.topic || "a message"}</h2>
        <button type="button" class="plain" onClick={close} aria-label="Close the message"><Icon name="close" /></button>
      </header>
      <div class="panel-body">
        <p class="muted">{clock(moment(m.time), true)} by {m.listener || "the API"}{m.remote ? ` from ${m.remote}` : ""} · {bytes(num(m.size))} · QoS {m.qos ?? 0}{m.priority ? ` · priority ${m.priority}` : ""}{(m.batchSize ?? 0) > 1 ? ` · with ${count((m.batchSize ?? 1) - 1, "other")} in its batch` : ""}</p>
        {m.connection && <p class="ways"><button type="button" class="plain link" onClick={() => only(m.connection!)}>Only this connection</button></p>}
        <h3>As it came</h3>
        <pre tabIndex={0} aria-label="Payload">{payload(m.payload).text || "(empty)"}</pre>
        <p><Pairs of={m.attributes} none="no attributes" /></p>
        <h3>Its way <span class="muted">{span(took)} in all</span></h3>
        {steps.length === 0 ? <p class="muted">No plugin stands in its way.</p> : (
          <ol class="steps">
            {steps.map((s, i) => <Step key={i} s={s} begin={spans[i]! / whole} part={seconds(s.took) / whole} />)}
          </ol>
        )}
        <h3>How it ended</h3>
        <p><Badge tone={m.result === "dead" ? "bad" : m.result === "dropped" ? "warn" : "ok"}>{m.result}</Badge>{m.reason ? ` ${m.reason}` : ""}{m.route ? <> by the route <b>{m.route}</b></> : ""}{m.topicAfter && m.topicAfter !== m.topic ? <> as <b>{m.topicAfter}</b></> : ""}</p>
        {(m.places?.length ?? 0) > 0 && <ul class="tally">{m.places!.map((p) => <li key={p.to}>{p.to} <b>{p.copies ?? 0}</b></li>)}</ul>}
      </div>
    </section>
  );
}

function Step({ s, begin, part }: { s: TailStep; begin: number; part: number }) {
  const ended = s.verdict && s.verdict !== "continue";
  return (
    <li class="step">
      <p class="step-head">
        <Link href={to("plugins", s.plugin ?? "")}><b>{s.plugin}</b></Link>
        {num(s.generation) > 0 && <span class="muted">gen {num(s.generation)}</span>}
        <span class={`result tone-${s.cause && s.cause !== "plugin" ? "bad" : ended ? "warn" : "ok"}`}>{s.verdict}</span>
        {s.cause && s.cause !== "plugin" && <Badge tone="bad" icon="trapping">{s.cause}</Badge>}
        <span class="step-cost">{span(seconds(s.took))} · {short(num(s.fuel))} fuel</span>
      </p>
      <div class="step-track" aria-hidden="true"><i style={{ left: `${begin * 100}%`, width: `${Math.max(part * 100, 0.8)}%` }} /></div>
      {s.out && <p class="step-out">{s.out}</p>}
      {(s.changes?.length ?? 0) > 0 && (
        <dl class="step-changes">
          {s.changes!.map((c, i) => <div key={i}><dt>{c.what}</dt><dd>{c.before ? <del>{c.before}</del> : <span class="muted">was not there</span>}<Icon name="right" size={11} />{c.after ? <ins>{c.after}</ins> : <span class="muted">taken away</span>}</dd></div>)}
        </dl>
      )}
      {((s.emitted ?? 0) > 0 || (s.subscriptions ?? 0) > 0) && <p class="muted">{[(s.emitted ?? 0) > 0 && `made ${count(s.emitted!, "message")}`, (s.subscriptions ?? 0) > 0 && `changed ${count(s.subscriptions!, "subscription")}`].filter(Boolean).join(", ")}</p>}
    </li>
  );
}
