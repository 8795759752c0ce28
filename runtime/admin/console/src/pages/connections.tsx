// Connections: who is slow or noisy? Sorted and paged by the server.
import { useState } from "preact/hooks";
import { call } from "../api/rpc";
import type { Connection } from "../api/types";
import { ago, bytes, clock, count, moment, num, whole } from "../format";
import { live } from "../live";
import { Link, to, useQuery } from "../route";
import { useAsk, useCell, useOperate } from "../state";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { notify } from "../ui/notice";
import { Answered, Badge, Empty, Figure, Figures, Pairs, Panel, Search, Table } from "../ui/parts";

const size = 50;
const orders: [string, string][] = [
  ["CONNECTION_ORDER_QUEUED", "slowest to take"], ["CONNECTION_ORDER_BYTES_IN", "most sent"], ["CONNECTION_ORDER_BYTES_OUT", "most got"],
  ["CONNECTION_ORDER_SILENT", "longest silent"], ["CONNECTION_ORDER_NEWEST", "newest"], ["CONNECTION_ORDER_UNSPECIFIED", "oldest"],
];

interface Page {
  connections?: Connection[];
  chosen?: string;
  all?: string;
}

export function Connections() {
  const [listener, setListener] = useQuery("listener");
  const [contains, setContains] = useQuery("contains");
  const [source, setSource] = useQuery("source");
  const [order, setOrder] = useQuery("order", "CONNECTION_ORDER_QUEUED");
  const [page, setPage] = useQuery("page", "1");
  const [open, setOpen] = useQuery("id");
  const [closing, setClosing] = useState<Connection[]>();
  const [marked, mark] = useState<Set<string>>(new Set());
  const at = Math.max(Number(page) || 1, 1);
  const asked = useAsk<Page>("Connections/List", { listener, contains, source, order, size, skip: (at - 1) * size }, 2000);
  const listeners = [...new Set((useCell(live).snapshot?.map?.nodes ?? []).filter((n) => n.kind === "MAP_NODE_KIND_LISTENER").map((n) => n.name ?? ""))];
  const first = (set: (v: string) => void) => (e: { currentTarget: { value: string } }) => { setPage("1"); set(e.currentTarget.value.trim()); };
  const filtered = Boolean(listener || contains || source);
  const may = useOperate();
  return (
    <div class="stack">
      <div class="title"><h1>Connections</h1>{asked.data && <span class="muted" role="status">{filtered ? `${whole(num(asked.data.chosen))} of ` : ""}{count(num(asked.data.all), "connection")}</span>}</div>
      <form class="filters" onSubmit={(e) => e.preventDefault()} aria-label="Filter">
        <label>Name contains<Search value={contains} placeholder="client id, identity" put={(text) => first(setContains)({ currentTarget: { value: text } })} /></label>
        <label>From<Search value={source} placeholder="192.0.2.0/24" put={(text) => first(setSource)({ currentTarget: { value: text } })} /></label>
        <label>Listener<select value={listener} onChange={first(setListener)}><option value="">all</option>{[...listeners, ...(listener && !listeners.includes(listener) ? [listener] : [])].map((n) => <option key={n}>{n}</option>)}</select></label>
        <label>First<select value={order} onChange={first(setOrder)}>{orders.map(([v, word]) => <option key={v} value={v}>{word}</option>)}</select></label>
        {may && <span class="filters-end"><button type="button" class="button" disabled={marked.size === 0} onClick={() => setClosing((asked.data?.connections ?? []).filter((c) => marked.has(c.id)))}><Icon name="close" />Close {marked.size > 0 ? count(marked.size, "connection") : "marked"}…</button></span>}
      </form>
      {open && <Detail id={open} shut={() => setOpen("")} end={(c) => setClosing([c])} />}
      <Answered asked={asked}>
        {(data) => !data.connections?.length ? (
          <Panel title="Nobody"><Empty title={filtered ? "No connection matches" : "Nobody is connected"} icon="connections"><p>{filtered ? `${count(num(data.all), "other")} are there. Make the filter wider.` : "Where clients should be there, look at the listeners' addresses on the chain map, and at Filter for who was turned away."}</p></Empty></Panel>
        ) : (
          <>
            <Table label="Connections" head={[...(may ? [["", "mark"] as [string, string]] : []), "Who", "Listener", "Address", ["Sent", "number"], ["Got", "number"], ["Waiting", "number"], "Heard", "Since", "State", ...(may ? [" "] : [])]}>
              {data.connections.map((c) => (
                <tr key={c.id} aria-selected={c.id === open}>
                  {may && <td><input type="checkbox" aria-label={`Mark ${nameOf(c)}`} checked={marked.has(c.id)} onChange={(e) => { const next = new Set(marked); if (e.currentTarget.checked) next.add(c.id); else next.delete(c.id); mark(next); }} /></td>}
                  <th scope="row"><button type="button" class="plain link" onClick={() => setOpen(c.id)}>{nameOf(c)}</button></th>
                  <td>{c.listener} <span class="muted">{c.protocol}</span></td>
                  <td>{c.remote}</td>
                  <td class="number">{bytes(num(c.bytesIn))}</td>
                  <td class="number">{bytes(num(c.bytesOut))}</td>
                  <td class={num(c.queuedBytes) > 65536 ? "number tone-warn" : "number"}>{bytes(num(c.queuedBytes))}</td>
                  <td title={clock(moment(c.heard))}>{ago(moment(c.heard))}</td>
                  <td title={clock(moment(c.since))}>{ago(moment(c.since))}</td>
                  <td><State c={c} /></td>
                  {may && <td><button type="button" class="button button-small" aria-label={`Close the connection of ${nameOf(c)}`} onClick={() => setClosing([c])}>Close…</button></td>}
                </tr>
              ))}
            </Table>
            <nav class="pager" aria-label="Pages of connections">
              <button type="button" class="button" disabled={at <= 1} onClick={() => setPage(String(at - 1))}>Earlier</button>
              <span class="muted">{whole((at - 1) * size + 1)} to {whole((at - 1) * size + data.connections.length)} of {whole(num(data.chosen))}</span>
              <button type="button" class="button" disabled={at * size >= num(data.chosen)} onClick={() => setPage(String(at + 1))}>Later</button>
            </nav>
          </>
        )}
      </Answered>
      {closing && <CloseDialog of={closing} shut={() => setClosing(undefined)} done={() => { mark(new Set()); if (closing.some((c) => c.id === open)) setOpen(""); asked.again(); }} />}
    </div>
  );
}

const nameOf = (c: Connection): string => c.clientId || c.identity || c.node || c.id;

function State({ c }: { c: Connection }) {
  if (c.closing) return <Badge tone="warn">closing</Badge>;
  if (c.paused) return <Badge tone="warn" icon="pause" title="Nothing is read from it now: a receiver of what it sends is slow, or a log does not answer">held back</Badge>;
  return num(c.queuedBytes) > 65536 ? <Badge tone="warn" icon="slow">slow</Badge> : <Badge tone="ok" icon="ok">ok</Badge>;
}

function Detail({ id, shut, end }: { id: string; shut: () => void; end: (c: Connection) => void }) {
  const may = useOperate();
  const asked = useAsk<{ connection?: Connection; subscriptions?: string[]; queues?: string[]; context?: Record<string, string> }>("Connections/Get", { id }, 2000);
  return (
    <Panel title={`Connection ${asked.data?.connection ? nameOf(asked.data.connection) : id}`} aside={<button type="button" class="plain" aria-label="Close the details" onClick={shut}><Icon name="close" /></button>}>
      <Answered asked={asked}>
        {({ connection: c, subscriptions, queues, context }) => c ? (
          <>
            <Figures>
              <Figure label="Who" note={c.clientId && c.clientId !== c.identity ? c.clientId : undefined}>{c.identity || c.clientId || c.node || "says not"}</Figure>
              <Figure label="From">{c.remote}</Figure>
              <Figure label="By" note={c.protocol}>{c.listener}</Figure>
              <Figure label="Since">{ago(moment(c.since))}</Figure>
              <Figure label="Sent / got">{bytes(num(c.bytesIn))} / {bytes(num(c.bytesOut))}</Figure>
              <Figure label="Waits for it">{bytes(num(c.queuedBytes))}</Figure>
            </Figures>
            <p><b>Subscribed to</b> {subscriptions?.length ? subscriptions.map((s) => <code class="chip" key={s}>{s}</code>) : <span class="muted">nothing</span>} {queues?.length ? <><b>in the queue groups</b> {queues.join(", ")}</> : null}</p>
            <p><b>Plugins remember</b> <Pairs of={context} none="nothing" /></p>
            <div class="row"><Link class="button" href={to("messages", { connection: c.id })}>Its messages</Link>{may && <button type="button" class="button" onClick={() => end(c)}>Close it…</button>}</div>
          </>
        ) : null}
      </Answered>
    </Panel>
  );
}

function CloseDialog({ of, shut, done }: { of: Connection[]; shut: () => void; done: () => void }) {
  const waiting = of.reduce((sum, c) => sum + num(c.queuedBytes), 0);
  const run = async () => {
    const got = await call<{ closed?: number; gone?: string[] }>("Connections/Close", { ids: of.map((c) => c.id) });
    notify("ok", `${count(got.closed ?? 0, "connection")} closed${got.gone?.length ? `; ${got.gone.length} had ended before` : ""}.`);
    done();
  };
  return (
    <Dialog title={of.length === 1 ? `Close the connection of ${nameOf(of[0]!)}?` : `Close ${count(of.length, "connection")}?`} action={of.length === 1 ? "Close it" : `Close ${of.length}`} danger run={run} close={shut}>
      <ul class="plain-list">{of.slice(0, 8).map((c) => <li key={c.id}><b>{nameOf(c)}</b> <span class="muted">{c.remote} by {c.listener}</span></li>)}{of.length > 8 && <li class="muted">and {of.length - 8} more</li>}</ul>
      <p>{waiting > 0 ? <><b>{bytes(waiting)}</b> that wait to be written are dropped and counted.</> : "Nothing waits to be written."} A client may connect again at once; Filter can keep it away.</p>
    </Dialog>
  );
}
