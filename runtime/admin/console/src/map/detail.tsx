// A node of the map that has no page of its own: a listener, a route, a destination.
import type { ComponentChildren } from "preact";
import type { ChainMap, Listener, MapNode, Route, UpstreamPool } from "../api/types";
import { bytes, num, seconds, short, span, whole } from "../format";
import { Link, to } from "../route";
import { useAsk } from "../state";
import { Icon } from "../ui/icon";
import { Answered, Badge, Figure, Figures, nodeState, Table } from "../ui/parts";
import { kindOf } from "./words";

export function NodeDetail({ node: n, map, close }: { node: MapNode; map: ChainMap; close: () => void }) {
  const state = nodeState(n.state);
  return (
    <section class="detail" aria-label={`${kindOf(n).word} ${n.name}`}>
      <header>
        <h3><Icon name={kindOf(n).icon} />{n.name}<span class="muted">{kindOf(n).word}</span><Badge tone={state.tone} icon={state.icon}>{state.word}</Badge></h3>
        <button type="button" class="plain" onClick={close} aria-label="Close the details"><Icon name="close" /></button>
      </header>
      {n.why && <p>{n.why}</p>}
      {n.kind === "MAP_NODE_KIND_LISTENER" ? <OfListener n={n} />
        : n.kind === "MAP_NODE_KIND_UPSTREAM" ? <OfPool n={n} />
        : n.kind === "MAP_NODE_KIND_ROUTE" ? <OfRoute n={n} />
        : <Common n={n} map={map} />}
    </section>
  );
}

const Common = ({ n, map }: { n: MapNode; map: ChainMap }) => (
  <Figures>
    <Figure label="Now">{short(n.rate ?? 0)}/s</Figure>
    <Figure label="Since weft started">{whole((map.edges ?? []).filter((e) => e.to === n.id || e.from === n.id).reduce((sum, e) => sum + num(e.messages), 0))}</Figure>
    {num(n.drops) > 0 && <Figure label="Ended here" note={n.topReason}>{whole(num(n.drops))}</Figure>}
  </Figures>
);

const counts = (of: Record<string, unknown> | undefined): string => Object.entries(of ?? {}).map(([name, n]) => `${name} ${whole(Number(n))}`).join(", ") || "none";

function OfListener({ n }: { n: MapNode }) {
  const asked = useAsk<{ listener?: Listener }>("Listeners/Get", { name: n.name }, 2000);
  return (
    <Answered asked={asked}>
      {({ listener: l }) => l ? (
        <>
          <Figures>
            <Figure label="Listens on" note={[l.network, l.tls && "TLS", l.websocket && "WebSocket"].filter(Boolean).join(", ")}>{l.address}</Figure>
            <Figure label="Speaks">{l.protocol}</Figure>
            <Figure label="Connections" note={num(l.connectionsLimit) > 0 ? `of ${whole(num(l.connectionsLimit))}` : `${whole(num(l.accepted))} accepted so far`}>{whole(num(l.connections))}</Figure>
            <Figure label="Messages" note={`${bytes(num(l.bytesIn))} in, ${bytes(num(l.bytesOut))} out`}>{whole(num(l.messages))}</Figure>
            <Figure label="Bad frames">{counts(l.badFrames)}</Figure>
            <Figure label="Refused">{counts(l.refused)}</Figure>
          </Figures>
          <Ways><Link href={to("connections", { listener: l.name })}>Its connections</Link><Link href={to("messages", { listener: l.name })}>Its messages</Link></Ways>
        </>
      ) : null}
    </Answered>
  );
}

const Ways = ({ children }: { children: ComponentChildren }) => <p class="ways">{children}</p>;

function OfRoute({ n }: { n: MapNode }) {
  const asked = useAsk<{ routes?: Route[] }>("Routes/List", {}, 5000);
  return (
    <Answered asked={asked}>
      {({ routes }) => {
        const r = (routes ?? []).find((one) => one.name === n.name || (one.default && !one.name));
        return r ? (
          <Figures>
            <Figure label="Takes">{r.when?.join("; ") || (r.default ? "what no other route takes" : "everything")}</Figure>
            <Figure label="Sends to">{r.to?.join(", ") || "nobody"}</Figure>
            <Figure label="Plugins">{r.chain?.join(" → ") || "none"}</Figure>
            <Figure label="Messages" note={r.durable ? "durable" : `QoS ${r.qos ?? 0}`}>{whole(num(r.messages))}</Figure>
          </Figures>
        ) : null;
      }}
    </Answered>
  );
}

function OfPool({ n }: { n: MapNode }) {
  const asked = useAsk<{ pools?: UpstreamPool[] }>("Upstreams/List", { names: [n.name] }, 2000);
  return (
    <Answered asked={asked}>
      {({ pools }) => pools?.[0] ? (
        <>
          <Figures>
            <Figure label="Speaks" note={pools[0].balance}>{pools[0].protocol}</Figure>
            <Figure label="Waiting" note={`of ${whole(pools[0].limit ?? 0)}`}>{whole(pools[0].waiting ?? 0)}</Figure>
            <Figure label="Retries">{whole(num(pools[0].retries))}</Figure>
            <Figure label="Failed" note={`${whole(num(pools[0].refused))} found it full`}>{whole(num(pools[0].failed))}</Figure>
          </Figures>
          <Table label={`Members of ${n.name}`} head={["Member", "State", "Circuit", ["Tries", "number"], ["Failed", "number"], ["p50", "number"], ["p99", "number"]]}>
            {(pools[0].members ?? []).map((m) => (
              <tr key={m.address}>
                <th scope="row">{m.address}</th>
                <td><Badge tone={m.up ? "ok" : "bad"} icon={m.up ? "ok" : "deny"} title={m.checkError}>{m.up ? "up" : m.why || "down"}</Badge></td>
                <td>{m.breaker}</td>
                <td class="number">{whole(num(m.requests))}</td>
                <td class="number">{whole(num(m.failures))}</td>
                <td class="number">{m.p50 ? span(seconds(m.p50)) : "–"}</td>
                <td class="number">{m.p99 ? span(seconds(m.p99)) : "–"}</td>
              </tr>
            ))}
          </Table>
        </>
      ) : null}
    </Answered>
  );
}
