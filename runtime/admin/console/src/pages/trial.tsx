// A generation on trial beside the live one: promote it or roll it back?
import { useEffect, useState } from "preact/hooks";
import { call, CallError } from "../api/rpc";
import type { Generation, Plugin } from "../api/types";
import { ago, hash, moment, num, seconds, share, short, span, whole } from "../format";
import { live } from "../live";
import { useCell, useOperate } from "../state";
import { notify } from "../ui/notice";
import { Icon } from "../ui/icon";
import { Badge, Panel } from "../ui/parts";
import { PromoteDialog, RollbackDialog } from "./swap";

/** How much of the messages the trial has really seen, over all places. */
function observed(name: string): number | undefined {
  const lanes = (live.get().snapshot?.map?.nodes ?? []).filter((n) => n.kind === "MAP_NODE_KIND_PLUGIN" && n.name === name && n.lanes?.[1]);
  const total = lanes.reduce((sum, n) => sum + (n.rate ?? 0), 0);
  return total > 0 ? lanes.reduce((sum, n) => sum + (n.lanes![1]!.observedShare ?? 0) * (n.rate ?? 0), 0) / total : undefined;
}

export function TrialPanel({ p, changed, linked }: { p: Plugin; changed: () => void; linked?: preact.ComponentChildren }) {
  useCell(live);
  const [asking, ask] = useState<"promote" | "rollback">();
  const may = useOperate();
  const shadow = p.state === "PLUGIN_STATE_SHADOW";
  const seen = observed(p.name);
  return (
    <Panel class="trial" title={`${shadow ? "Shadow" : "Canary"}: generation ${num(p.candidate?.number)} of ${p.name}`} aside={linked}>
      <p class="trial-line">
        <Badge tone="trial">{shadow ? "shadow" : "canary"}</Badge>
        <span><b>{p.trial?.weight ?? 0}%</b> of sessions set{seen !== undefined && !shadow && <>, <b>{share(seen)}</b> of messages seen</>}</span>
        <span class="muted">since {ago(moment(p.trial?.since)).replace(" ago", "")}, {p.trial?.manual ? "promoted by hand alone" : p.trial?.window ? `decides by itself after ${span(seconds(p.trial.window))}` : "decides by itself"}</span>
      </p>
      {p.trial?.progress && !p.trial.manual && <p class="muted">{p.trial.progress}</p>}
      <div class="trial-body">
        <SideBySide p={p} />
        <div class="trial-side">
          <div class="shares">
            <Share name="sessions, set" value={(p.trial?.weight ?? 0) / 100} />
            {!shadow && <Share name="messages, seen" value={seen} />}
          </div>
          {may && <Weight p={p} changed={changed} />}
          {may && <div class="row">
            <button type="button" class="button button-main" onClick={() => ask("promote")}><Icon name="check" />Promote generation {num(p.candidate?.number)}</button>
            <button type="button" class="button" onClick={() => ask("rollback")}><Icon name="back" />Withdraw it</button>
          </div>}
        </div>
      </div>
      {asking === "promote" && <PromoteDialog p={p} close={() => ask(undefined)} changed={changed} />}
      {asking === "rollback" && <RollbackDialog p={p} close={() => ask(undefined)} changed={changed} />}
    </Panel>
  );
}

const Share = ({ name, value }: { name: string; value?: number }) => (
  <div class="share"><span>{name}</span><span class="share-track" aria-hidden="true"><i style={{ width: `${(value ?? 0) * 100}%` }} /></span><b>{value === undefined ? "–" : share(value)}</b></div>
);

function Weight({ p, changed }: { p: Plugin; changed: () => void }) {
  const set = p.trial?.weight ?? 0;
  const [value, setValue] = useState(set);
  const [busy, setBusy] = useState(false);
  useEffect(() => setValue(set), [set]);
  const apply = async () => {
    setBusy(true);
    try {
      const got = await call<{ plugin?: Plugin }>("Plugins/SetWeight", { name: p.name, weight: value });
      notify("ok", `${p.name}: generation ${num(p.candidate?.number)} now sees ${got.plugin?.trial?.weight ?? value} of a hundred sessions.`);
      changed();
    } catch (cause) {
      notify("bad", cause instanceof CallError ? cause.message : String(cause));
    }
    setBusy(false);
  };
  return (
    <form class="weight" onSubmit={(e) => { e.preventDefault(); void apply(); }}>
      <label class="slider"><span>Weight: of a hundred sessions</span><input type="range" name="weight" min={0} max={100} value={value} onInput={(e) => setValue(Number(e.currentTarget.value))} /><output>{value}</output></label>
      <button type="submit" class="button" disabled={busy || value === set}>{value === set ? `Is ${set}%` : `Set to ${value}%`}</button>
    </form>
  );
}

function SideBySide({ p }: { p: Plugin }) {
  const rows: [string, (g: Generation | undefined) => number, (n: number) => string][] = [
    ["Messages", (g) => num(g?.stats?.messages), whole],
    ["p50 of a call", (g) => seconds(g?.stats?.p50), span],
    ["p95 of a call", (g) => seconds(g?.stats?.p95), span],
    ["p99 of a call", (g) => seconds(g?.stats?.p99), span],
    ["Longest call", (g) => seconds(g?.stats?.longest), span],
    ["Fuel a message", (g) => num(g?.stats?.fuel) / (num(g?.stats?.messages) || 1), short],
    ["Dropped", (g) => num(g?.stats?.drops) / (num(g?.stats?.messages) || 1), share],
    ["Replied", (g) => num(g?.stats?.replies) / (num(g?.stats?.messages) || 1), share],
    ["Failed", (g) => num(g?.stats?.failed), whole],
    ["Traps", (g) => num(g?.stats?.traps), whole],
  ];
  return (
    <div class="table" role="region" aria-label="Generations side by side" tabIndex={0}>
      <table class="versus">
        <thead>
          <tr><th scope="col"><span class="unseen">Figure</span></th><th scope="col" class="number">live {num(p.live?.number)} <code>{hash(p.live?.sha256)}</code></th><th scope="col" class="number trial-text">trial {num(p.candidate?.number)} <code>{hash(p.candidate?.sha256)}</code></th><th scope="col" class="number">difference</th></tr>
        </thead>
        <tbody>
          {rows.map(([name, pick, format]) => {
            const a = pick(p.live);
            const b = pick(p.candidate);
            const by = name !== "Messages" && format !== share && a > 0 && b > 0 ? b / a - 1 : undefined;
            return (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="number">{format(a)}</td>
                <td class="number">{format(b)}</td>
                <td class={`number ${by === undefined ? "muted" : by > 0.2 ? "tone-warn" : "muted"}`}>{by === undefined ? "" : Math.abs(by) < 0.005 ? "the same" : `${by > 0 ? "+" : "−"}${Math.abs(by * 100).toFixed(0)}%`}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
