import type { ChainMap, MapNode } from "../api/types";
import { num, seconds, share, short, span, whole } from "../format";
import { Link } from "../route";
import { Icon } from "../ui/icon";
import { Badge, nodeState, Table } from "../ui/parts";
import { hrefOf } from "./chainmap";
import { kindOf } from "./words";

/** The chain map's figures as a table: the same, in the order of a message's way. */
export function MapTable({ map, known }: { map: ChainMap; known: boolean }) {
  const rate = (n?: number) => (known ? `${short(n ?? 0)}/s` : "–");
  const nodes = [...(map.nodes ?? [])].sort((a, b) => (a.column ?? 0) - (b.column ?? 0) || (a.place ?? 0) - (b.place ?? 0));
  const next = (n: MapNode) => (map.edges ?? []).filter((e) => e.from === n.id).map((e) => `${map.nodes?.find((o) => o.id === e.to)?.name ?? e.to} ${rate(e.rate)}`).join(", ");
  return (
    <Table label="Chain map as a table" head={["Node", "State", "Generation", ["Rate", "number"], ["p99", "number"], ["Deadline", "number"], ["Fuel", "number"], ["Ended here", "number"], "Goes on to"]}>
      {nodes.map((n) => {
        const state = nodeState(n.state);
        const [live, trial] = n.lanes ?? [];
        return (
          <tr key={n.id}>
            <th scope="row"><Link href={hrefOf(n)} class="cell-link"><Icon name={kindOf(n).icon} size={14} />{n.name}</Link> <span class="muted">{kindOf(n).word}</span></th>
            <td><Badge tone={state.tone} icon={state.icon} title={n.why}>{state.word}</Badge></td>
            <td>{live ? num(live.generation) : ""}{trial ? ` + ${trial.state === "PLUGIN_STATE_SHADOW" ? `shadow ${num(trial.generation)} (${whole(num(trial.differed))} of ${whole(num(trial.compared))} differ)` : `canary ${num(trial.generation)} (${trial.weight ?? 0}% set, ${share(trial.observedShare ?? 0)} seen)`}` : ""}</td>
            <td class="number">{rate(n.rate)}</td>
            <td class="number">{n.latency?.p99 ? span(seconds(n.latency.p99)) : "–"}</td>
            <td class="number">{n.deadline ? span(seconds(n.deadline)) : "–"}</td>
            <td class="number">{n.kind === "MAP_NODE_KIND_PLUGIN" ? share(n.fuelShare ?? 0) : "–"}</td>
            <td class="number">{num(n.drops) > 0 ? `${whole(num(n.drops))} ${n.topReason ?? ""}` : "0"}</td>
            <td>{next(n) || <span class="muted">{n.kind === "MAP_NODE_KIND_API" || n.kind === "MAP_NODE_KIND_LISTENER" ? "nothing came by it yet" : "ends here"}</span>}</td>
          </tr>
        );
      })}
    </Table>
  );
}
