// What the chain map says about a node.
import type { MapNode } from "../api/types";
import { num, seconds, share, short, span } from "../format";
import type { IconName } from "../ui/icon";
import { nodeState } from "../ui/parts";

const kinds: Record<string, { icon: IconName; word: string }> = {
  MAP_NODE_KIND_LISTENER: { icon: "listener", word: "listener" },
  MAP_NODE_KIND_API: { icon: "listener", word: "API" },
  MAP_NODE_KIND_PLUGIN: { icon: "plugins", word: "plugin" },
  MAP_NODE_KIND_ROUTE: { icon: "route", word: "route" },
  MAP_NODE_KIND_DESTINATION: { icon: "place", word: "destination" },
  MAP_NODE_KIND_UPSTREAM: { icon: "place", word: "upstream" },
};

export const kindOf = (n: MapNode) => kinds[n.kind ?? ""] ?? kinds.MAP_NODE_KIND_DESTINATION!;

/** Whether its state is one that it says in a word, beside the icon. */
export const isUnwell = (n: MapNode): boolean => !["NODE_STATE_OK", "NODE_STATE_IDLE", "NODE_STATE_UNSPECIFIED", undefined].includes(n.state);

/** The line under its name. */
export function noteOf(n: MapNode): string {
  const connections = num(n.connections);
  if (n.kind === "MAP_NODE_KIND_UPSTREAM") return `${n.membersUp ?? 0} of ${n.members ?? 0} up${n.latency?.p99 ? ` · p99 ${span(seconds(n.latency.p99))}` : ""}`;
  if (n.kind === "MAP_NODE_KIND_LISTENER") return [n.protocol, `${short(connections)} conn.`].filter(Boolean).join(" · ");
  if (n.why && n.state !== "NODE_STATE_OK" && n.state !== "NODE_STATE_IDLE") return n.why;
  return (n.rate ?? 0) > 0 ? `${short(n.rate ?? 0)}/s` : "nothing now";
}

/** A node in one sentence, for who does not see it. */
export function spoken(n: MapNode): string {
  const parts = [`${kindOf(n).word} ${n.name}`, nodeState(n.state).word];
  if (n.why) parts.push(n.why);
  parts.push(`${short(n.rate ?? 0)} messages a second`);
  const [live, trial] = n.lanes ?? [];
  if (live) parts.push(`generation ${num(live.generation)}`);
  if (n.latency?.p99) parts.push(`p99 ${span(seconds(n.latency.p99))}${n.deadline ? ` of ${span(seconds(n.deadline))}` : ""}`);
  if (n.kind === "MAP_NODE_KIND_PLUGIN") parts.push(`fuel ${share(n.fuelShare ?? 0)}`);
  if (trial) parts.push(trial.state === "PLUGIN_STATE_SHADOW" ? `shadow ${num(trial.generation)}, ${num(trial.differed)} of ${num(trial.compared)} differ` : `canary ${num(trial.generation)}, ${trial.weight ?? 0} percent set, ${share(trial.observedShare ?? 0)} seen`);
  if (num(n.drops) > 0) parts.push(`${short(num(n.drops))} ended here${n.topReason ? `, mostly ${n.topReason}` : ""}`);
  return parts.join(", ");
}
