// The filter of sources: who may speak to listeners, in the kernel and in weft.
import { useState } from "preact/hooks";
import { call } from "../api/rpc";
import type { FilterRule, FilterSource, FilterStatus } from "../api/types";
import { ago, bytes, clock, count, moment, num, seconds, span, whole } from "../format";
import { useAsk, useOperate } from "../state";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { notify } from "../ui/notice";
import { Answered, Badge, Empty, Figure, Figures, Panel, Table } from "../ui/parts";

export function Filter() {
  const status = useAsk<FilterStatus>("FastPath/Status", {}, 2000);
  const rules = useAsk<{ rules?: FilterRule[]; total?: number }>(status.data ? "FastPath/List" : null, { size: 200 }, 3000);
  const top = useAsk<{ sources?: FilterSource[] }>(status.data ? "FastPath/Top" : null, { size: 20 }, 3000);
  const may = useOperate();
  const [blocking, block] = useState<string>();
  const [freeing, free] = useState<FilterRule>();
  return (
    <div class="stack">
      <div class="title"><h1>Filter</h1><span class="muted">Who is turned away before a byte of theirs is a message.</span></div>
      <Answered asked={status}>
        {(s) => (
          <>
            <Panel title="Where it is enforced" aside={may && <button type="button" class="button" onClick={() => block("")}><Icon name="deny" />Block a source…</button>}>
              {s.problem && <p class="why tone-warn"><Icon name="trapping" />{s.problem}</p>}
              <Figures>
                <Figure label="In the kernel" note={s.interfaces?.map((i) => `${i.name} ${i.mode || i.problem || "not"}`).join(", ") || "weft alone enforces"}>{s.kernel ? "yes" : "no"}</Figure>
                <Figure label="Entries" note={`of ${whole(s.entriesLimit ?? 0)}`}>{whole(s.entries ?? 0)}</Figure>
                {s.cost && <Figure label="Cost of a packet">{span(seconds(s.cost))}</Figure>}
                {s.pin && <Figure label="Kept for the next start">{s.pin}</Figure>}
                {Object.entries(s.owners ?? {}).map(([owner, n]) => <Figure key={owner} label={`Rules of ${owner}`}>{whole(n)}</Figure>)}
              </Figures>
            </Panel>
            <Panel title="What became of packets" tight>
              {!s.counts?.length ? <Empty title="No packet has been judged"><p>That is normal where nobody has connected yet, or no listener has a filter.</p></Empty> : (
                <Table label="Packets by listener and reason" head={["Listener", "Became of them", "By", ["Packets", "number"], ["Bytes", "number"]]}>
                  {s.counts.map((c) => <tr key={`${c.listener} ${c.reason} ${c.enforcer}`}><th scope="row">{c.listener}</th><td><Badge tone={c.reason === "pass" ? "ok" : "warn"} icon={c.reason === "pass" ? "ok" : "deny"}>{c.reason}</Badge></td><td>{c.enforcer}</td><td class="number">{whole(num(c.packets))}</td><td class="number">{num(c.bytes) > 0 ? bytes(num(c.bytes)) : "–"}</td></tr>)}
                </Table>
              )}
            </Panel>
          </>
        )}
      </Answered>
      {status.data && (
        <div class="split">
          <Panel title="Most turned away lately" tight>
            <Answered asked={top}>{({ sources }) => !sources?.length ? <Empty title="Nobody was turned away in the last minute" icon="ok" /> : (
              <Table label="Sources" head={["Source", "Listener", "Reason", ["Packets", "number"], "Last", ...(may ? [""] : [])]}>
                {sources.map((x) => <tr key={`${x.source} ${x.listener} ${x.reason}`}><th scope="row">{x.source}</th><td>{x.listener}</td><td>{x.reason}</td><td class="number">{whole(num(x.packets))}</td><td>{ago(moment(x.last))}</td>{may && <td><button type="button" class="button button-small" aria-label={`Block ${x.source}`} onClick={() => block(x.source ?? "")}>Block…</button></td>}</tr>)}
              </Table>)}
            </Answered>
          </Panel>
          <Panel title="Rules" tight>
            <Answered asked={rules}>{({ rules: list, total }) => !list?.length ? <Empty title="There are no rules"><p>Everybody may speak to every listener. That is normal; rules come from the configuration, from plugins that block, and from here.</p></Empty> : (
              <>
                <Table label="Rules" head={["Prefix", "Action", "Listener", "Owner", "Until", ""]}>
                  {list.map((r) => <tr key={`${r.prefix} ${r.listener} ${r.owner} ${r.action}`}><th scope="row" title={r.why}>{r.prefix}</th><td><Badge tone={r.action === "deny" ? "warn" : "ok"}>{r.action}</Badge>{r.overruled && <span class="muted"> overruled</span>}</td><td>{r.listener || "all"}</td><td>{r.owner}</td><td title={clock(moment(r.until))}>{r.until ? `in ${span(Math.max((moment(r.until) - Date.now()) / 1000, 0))}` : "no end"}</td><td>{may && r.action === "deny" && r.owner !== "config" && <button type="button" class="button button-small" aria-label={`Unblock ${r.prefix}`} onClick={() => free(r)}>Unblock…</button>}</td></tr>)}
                </Table>
                {(total ?? 0) > list.length && <p class="note muted">{whole(list.length)} of {whole(total ?? 0)}; weft fastpath list shows all.</p>}
              </>)}
            </Answered>
          </Panel>
        </div>
      )}
      {blocking !== undefined && <BlockDialog source={blocking} shut={() => block(undefined)} done={() => { rules.again(); status.again(); }} />}
      {freeing && <UnblockDialog rule={freeing} shut={() => free(undefined)} done={() => { rules.again(); status.again(); }} />}
    </div>
  );
}

function BlockDialog({ source: initial, shut, done }: { source: string; shut: () => void; done: () => void }) {
  const [source, setSource] = useState(initial);
  const [minutes, setMinutes] = useState("10");
  const [why, setWhy] = useState("");
  const run = async () => {
    const got = await call<{ rules?: FilterRule[] }>("FastPath/Block", { source, why, ...(minutes !== "0" && { ttl: `${Number(minutes) * 60}s` }) });
    notify("ok", `${source} is blocked: ${count(got.rules?.length ?? 0, "rule")}.`);
    done();
  };
  return (
    <Dialog title="Block a source?" action="Block it" danger run={run} close={shut} blocked={!source.trim()}>
      <label class="field">Address or prefix<input value={source} spellcheck={false} placeholder="192.0.2.7 or 2001:db8::/32" onInput={(e) => setSource(e.currentTarget.value.trim())} /></label>
      <label class="field">For<select value={minutes} onChange={(e) => setMinutes(e.currentTarget.value)}><option value="1">1 minute</option><option value="10">10 minutes</option><option value="60">1 hour</option><option value="1440">1 day</option><option value="0">until it is unblocked</option></select></label>
      <label class="field">Why, for people<input value={why} maxLength={200} onInput={(e) => setWhy(e.currentTarget.value)} /></label>
      <p>Packets of theirs are dropped at every listener, in the kernel where it enforces. Connections that are open hear nothing more. Who opens this page from there cannot take it back from there.</p>
    </Dialog>
  );
}

function UnblockDialog({ rule, shut, done }: { rule: FilterRule; shut: () => void; done: () => void }) {
  const run = async () => {
    const got = await call<{ still?: FilterRule }>("FastPath/Unblock", { source: rule.prefix, listener: rule.listener ?? "" });
    notify(got.still ? "bad" : "ok", got.still ? `${rule.prefix} stays denied by ${got.still.owner}: ${got.still.prefix}.` : `${rule.prefix} may speak again.`);
    done();
  };
  return (
    <Dialog title={`Unblock ${rule.prefix}?`} action="Unblock it" run={run} close={shut}>
      <p>{rule.owner} has denied it{rule.why ? ` because: ${rule.why}` : ""}. It may speak to {rule.listener || "every listener"} again at once.</p>
    </Dialog>
  );
}
