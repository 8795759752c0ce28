// Sessions: who is known here, connected or away, and what waits for them?
import { useState } from "preact/hooks";
import { call } from "../api/rpc";
import type { Session } from "../api/types";
import { ago, clock, count, moment, num, span, whole } from "../format";
import { live } from "../live";
import { Link, to, useQuery } from "../route";
import { useAsk, useCell, useOperate } from "../state";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { notify } from "../ui/notice";
import { Answered, Badge, Empty, Figure, Figures, Pairs, Panel, Search, Table } from "../ui/parts";

const size = 50;

interface Page {
  sessions?: Session[];
  chosen?: string;
  all?: string;
}

export function Sessions() {
  const [listener, setListener] = useQuery("listener");
  const [contains, setContains] = useQuery("contains");
  const [away, setAway] = useQuery("away");
  const [page, setPage] = useQuery("page", "1");
  const [open, setOpen] = useQuery("id");
  const [ending, end] = useState<Session>();
  const may = useOperate();
  const at = Math.max(Number(page) || 1, 1);
  const asked = useAsk<Page>("Sessions/List", { listener, contains, away: away === "1", size, skip: (at - 1) * size }, 2000);
  const listeners = [...new Set((useCell(live).snapshot?.map?.nodes ?? []).filter((n) => n.kind === "MAP_NODE_KIND_LISTENER").map((n) => n.name ?? ""))];
  const filtered = Boolean(listener || contains || away);
  const first = (set: (v: string) => void, value: string) => { setPage("1"); set(value.trim()); };
  return (
    <div class="stack">
      <div class="title"><h1>Sessions</h1>{asked.data && <span class="muted" role="status">{filtered ? `${whole(num(asked.data.chosen))} of ` : ""}{count(num(asked.data.all), "session")}</span>}</div>
      <form class="filters" onSubmit={(e) => e.preventDefault()} aria-label="Filter">
        <label>Name contains<Search value={contains} placeholder="client id, node" put={(text) => first(setContains, text)} /></label>
        <label>Listener<select value={listener} onChange={(e) => first(setListener, e.currentTarget.value)}><option value="">all</option>{[...listeners, ...(listener && !listeners.includes(listener) ? [listener] : [])].map((n) => <option key={n}>{n}</option>)}</select></label>
        <label class="checkbox"><input type="checkbox" checked={away === "1"} onChange={(e) => first(setAway, e.currentTarget.checked ? "1" : "")} />Only who is away</label>
      </form>
      {open && <Detail id={open} shut={() => setOpen("")} end={end} />}
      <Answered asked={asked}>
        {(data) => !data.sessions?.length ? (
          <Panel title="Nobody"><Empty title={filtered ? "No session matches" : "Nobody has a session"} icon="sessions"><p>{filtered ? `${count(num(data.all), "session")} in all. Make the filter wider.` : "That is normal until a client connects. A session that outlives its connection stays here until it ends or its client is back."}</p></Empty></Panel>
        ) : (
          <>
            <Table label="Sessions" head={["Who", "Listener", "Client", ["Subscriptions", "number"], ["Waiting", "number"], "Since", "Ends", ...(may ? [" "] : [])]}>
              {data.sessions.map((s) => (
                <tr key={s.id} aria-selected={s.id === open}>
                  <th scope="row"><button type="button" class="plain link" onClick={() => setOpen(s.id)}>{s.name || s.id}</button></th>
                  <td>{s.listener} <span class="muted">{s.protocol}</span></td>
                  <td>{s.connection ? <Badge tone="ok" icon="ok">connected</Badge> : <Badge tone="idle" icon="idle">away</Badge>}</td>
                  <td class="number">{whole(s.subscriptions ?? 0)}</td>
                  <td class={(s.waiting ?? 0) > 0 ? "number tone-warn" : "number"}>{whole(s.waiting ?? 0)}</td>
                  <td title={clock(moment(s.since))}>{ago(moment(s.since))}</td>
                  <td>{ends(s)}</td>
                  {may && <td class="actions"><button type="button" class="button button-small" aria-label={`End the session of ${s.name || s.id}`} onClick={() => end(s)}>End…</button></td>}
                </tr>
              ))}
            </Table>
            <nav class="pager" aria-label="Pages of sessions">
              <button type="button" class="button" disabled={at <= 1} onClick={() => setPage(String(at - 1))}>Earlier</button>
              <span class="muted">{whole((at - 1) * size + 1)} to {whole((at - 1) * size + data.sessions.length)} of {whole(num(data.chosen))}</span>
              <button type="button" class="button" disabled={at * size >= num(data.chosen)} onClick={() => setPage(String(at + 1))}>Later</button>
            </nav>
          </>
        )}
      </Answered>
      {ending && <EndDialog s={ending} shut={() => end(undefined)} done={() => { if (ending.id === open) setOpen(""); asked.again(); }} />}
    </div>
  );
}

/** When a session ends, in words. */
function ends(s: Session): string {
  if (s.connection) return s.name ? "not while connected" : "with its connection";
  return s.expires ? `in ${span(Math.max((moment(s.expires) - Date.now()) / 1000, 0))}` : "never";
}

function Detail({ id, shut, end }: { id: string; shut: () => void; end: (s: Session) => void }) {
  const may = useOperate();
  const asked = useAsk<{ session?: Session; subscriptions?: string[]; queues?: string[]; context?: Record<string, string> }>("Sessions/Get", { id }, 2000);
  return (
    <Panel title={`Session ${asked.data?.session?.name || id}`} aside={<button type="button" class="plain" aria-label="Close the details" onClick={shut}><Icon name="close" /></button>}>
      <Answered asked={asked}>
        {({ session: s, subscriptions, queues, context }) => s ? (
          <>
            <Figures>
              <Figure label="Client">{s.connection ? "connected" : "away"}</Figure>
              <Figure label="By" note={s.protocol}>{s.listener}</Figure>
              <Figure label="Since">{ago(moment(s.since))}</Figure>
              <Figure label="Ends">{ends(s)}</Figure>
              <Figure label="Waits for it">{count(s.waiting ?? 0, "message")}</Figure>
            </Figures>
            <p><b>Subscribed to</b> {subscriptions?.length ? subscriptions.map((one) => <code class="chip" key={one}>{one}</code>) : <span class="muted">nothing</span>} {queues?.length ? <><b>in the queue groups</b> {queues.join(", ")}</> : null}</p>
            <p><b>Plugins remember</b> <Pairs of={context} none="nothing" /></p>
            <div class="row">{s.connection && <Link class="button" href={to("connections", { id: s.connection })}>Its connection</Link>}{may && <button type="button" class="button" onClick={() => end(s)}>End it…</button>}</div>
          </>
        ) : null}
      </Answered>
    </Panel>
  );
}

function EndDialog({ s, shut, done }: { s: Session; shut: () => void; done: () => void }) {
  const run = async () => {
    await call("Sessions/End", { id: s.id });
    notify("ok", `The session of ${s.name || s.id} has ended.`);
    done();
  };
  return (
    <Dialog title={`End the session of ${s.name || s.id}?`} action="End it" danger run={run} close={shut}>
      <p>Its {count(s.subscriptions ?? 0, "subscription")} end, and {count(s.waiting ?? 0, "message")} that wait for it are dropped and counted.{s.connection ? " Its client is cut off." : ""} Nobody can take it back; a client may begin another session at once.</p>
      <p class="muted">It is written to the audit log.</p>
    </Dialog>
  );
}
