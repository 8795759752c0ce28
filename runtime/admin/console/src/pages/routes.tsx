// Routes: where would this message go, and who would get it?
import type { Explained, Route, Subscription } from "../api/types";
import { count, num, whole } from "../format";
import { live } from "../live";
import { Link, to, useQuery } from "../route";
import { useAsk, useCell } from "../state";
import { Icon } from "../ui/icon";
import { Answered, Badge, Empty, Panel, Search, Table } from "../ui/parts";

interface Page {
  subscriptions?: Subscription[];
  chosen?: string;
  all?: string;
}

const size = 50;

export function Routes() {
  const [topic, setTopic] = useQuery("topic");
  const [listener, setListener] = useQuery("listener");
  const [attributes, setAttributes] = useQuery("attributes");
  const [page, setPage] = useQuery("page", "1");
  const at = Math.max(Number(page) || 1, 1);
  const explained = useAsk<Explained>(topic ? "Routes/Explain" : null, { topic, listener, attributes: pairs(attributes) }, 3000);
  const routes = useAsk<{ routes?: Route[] }>("Routes/List", {}, 3000);
  const subscriptions = useAsk<Page>("Subscriptions/List", { topic, size, skip: (at - 1) * size }, 3000);
  const listeners = [...new Set((useCell(live).snapshot?.map?.nodes ?? []).filter((n) => n.kind === "MAP_NODE_KIND_LISTENER").map((n) => n.name ?? ""))];
  return (
    <div class="stack">
      <div class="title"><h1>Routes</h1><span class="muted">Where would a message go, and who would get it? Nothing is sent.</span></div>
      <form class="filters" onSubmit={(e) => e.preventDefault()} aria-label="A message">
        <label>Topic<Search value={topic} placeholder="truck/7/telemetry" put={(text) => { setPage("1"); setTopic(text); }} /></label>
        <label>Attributes<Search value={attributes} placeholder="truck=7, alarm=high" put={setAttributes} /></label>
        <label>By listener<select value={listener} onChange={(e) => setListener(e.currentTarget.value)}><option value="">the API</option>{[...listeners, ...(listener && !listeners.includes(listener) ? [listener] : [])].map((n) => <option key={n}>{n}</option>)}</select></label>
      </form>
      {topic && <Panel title={`A message to ${topic}`} tight><Answered asked={explained}>{(e) => <Way e={e} />}</Answered></Panel>}
      <Panel title="Routes, in the order in which they are asked" tight>
        <Answered asked={routes}>{({ routes: list }) => (
          <Table label="Routes" head={["Route", "Takes", "Sends to", "Plugins", "Kept", ["Messages", "number"]]}>
            {(list ?? []).map((r) => (
              <tr key={r.name || "default"}>
                <th scope="row">{r.name || "default"}</th>
                <td class="wide">{r.when?.join("; ") || (r.default ? "what no other route takes" : "everything")}</td>
                <td class="wide">{r.to?.join(", ") || "nobody"}</td>
                <td>{r.chain?.map((p, i) => <span key={p}>{i > 0 && " → "}<Link href={to("plugins", p)}>{p}</Link></span>) ?? <span class="muted">none</span>}</td>
                <td>{r.durable ? <Badge tone="info">durable</Badge> : <span class="muted">QoS {r.qos ?? 0}</span>}</td>
                <td class="number">{whole(num(r.messages))}</td>
              </tr>
            ))}
          </Table>)}
        </Answered>
      </Panel>
      <Panel title={topic ? `Subscriptions that ${topic} goes to` : "Subscriptions"} tight>
        <Answered asked={subscriptions}>{(data) => !data.subscriptions?.length ? (
          <Empty title={topic ? "Nobody has subscribed to that" : "Nobody has subscribed to anything"} icon="idle"><p>{num(data.all) > 0 ? `${count(num(data.all), "subscription")} to other topics.` : "That is normal until a client subscribes. A message to nobody is counted under Drops."}</p></Empty>
        ) : (
          <>
            <Table label="Subscriptions" head={["Pattern", "Who", "Kind", "Shared by", ["QoS", "number"]]}>
              {data.subscriptions.map((s, i) => (
                <tr key={`${i} ${s.pattern} ${s.session}`}>
                  <th scope="row"><code>{s.pattern}</code></th>
                  <td>{s.session ? <Link href={to("sessions", { id: s.session })}>{s.name || s.session}</Link> : s.name || <span class="muted">–</span>}</td>
                  <td>{s.kind}</td>
                  <td>{s.group || <span class="muted">nobody</span>}</td>
                  <td class="number">{s.qos ?? 0}</td>
                </tr>
              ))}
            </Table>
            {num(data.chosen) > size && (
              <nav class="pager note" aria-label="Pages of subscriptions">
                <button type="button" class="button" disabled={at <= 1} onClick={() => setPage(String(at - 1))}>Earlier</button>
                <span class="muted">{whole((at - 1) * size + 1)} to {whole((at - 1) * size + data.subscriptions.length)} of {whole(num(data.chosen))}</span>
                <button type="button" class="button" disabled={at * size >= num(data.chosen)} onClick={() => setPage(String(at + 1))}>Later</button>
              </nav>
            )}
          </>
        )}
        </Answered>
      </Panel>
    </div>
  );
}

/** Reads "truck=7, alarm=high". */
function pairs(text: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    if (at > 0) out[part.slice(0, at).trim()] = part.slice(at + 1).trim();
  }
  return out;
}

function Way({ e }: { e: Explained }) {
  return (
    <>
      <p class={`note verdict-line tone-${e.dropped ? "warn" : "ok"}`} role="status">
        <Icon name={e.dropped ? "trapping" : "ok"} />
        <span>{e.dropped ? <>It would go nowhere: <b>{e.dropped}</b>.</> : <>The route <b>{e.route || "default"}</b> takes it{e.durable ? ", and keeps it in a log" : ""}{e.chain?.length ? <>; its plugins {e.chain.join(", ")} could decide otherwise</> : ""}.</>}</span>
      </p>
      {(e.places?.length ?? 0) > 0 && (
        <Table label="Places" head={["Goes to", ["Receivers now", "number"], "Remark"]}>
          {e.places!.map((p) => <tr key={p.to}><th scope="row">{p.to}</th><td class={p.receivers ? "number" : "number tone-warn"}>{whole(p.receivers ?? 0)}</td><td class="wide muted">{p.why}</td></tr>)}
        </Table>
      )}
      <ol class="asked" aria-label="Routes that were asked">
        {(e.asked ?? []).map((r) => <li key={r.route || "default"} class={r.matches ? "tone-ok" : "tone-idle"}><Icon name={r.matches ? "ok" : "idle"} size={14} /><b>{r.route || "default"}</b><span class="muted">{r.matches ? "takes it" : r.why}</span></li>)}
      </ol>
    </>
  );
}
