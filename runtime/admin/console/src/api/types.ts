// What the admin API answers, as far as the console shows it, in protobuf's JSON: fields
// with their default are absent, 64-bit numbers are strings, durations "1.5s", bytes
// base64. The protos in runtime/admin/proto say what each means.

/** A 64-bit number. */
export type Long = string | number | undefined;
/** A duration, such as "0.25s". */
export type Duration = string | undefined;
/** A moment, RFC 3339. */
export type Timestamp = string | undefined;

export type Level = "LEVEL_OK" | "LEVEL_WARN" | "LEVEL_BAD" | undefined;

export interface Snapshot {
  time?: Timestamp;
  interval?: Duration;
  instance?: { node?: string; version?: string; state?: string; since?: Timestamp; reason?: string; started?: Timestamp; uptime?: Duration; loops?: number; configFile?: string };
  verdict?: { level?: Level; sentence?: string; findings?: Finding[] };
  signals?: Signals;
  map?: ChainMap;
  ledger?: Ledger;
  changes?: Change[];
}

export interface Finding {
  level?: Level;
  kind?: string;
  subject?: string;
  text?: string;
  remedy?: string;
  node?: string;
}

export interface Latency {
  count?: Long;
  p50?: Duration;
  p95?: Duration;
  p99?: Duration;
  max?: Duration;
}

export interface Signals {
  inRate?: number;
  outRate?: number;
  lostRate?: number;
  deadRate?: number;
  filteredRate?: number;
  errorShare?: number;
  bytesInRate?: number;
  bytesOutRate?: number;
  deadLetters?: Long;
  latency?: Latency;
  saturation?: {
    loops?: number[];
    busiest?: number;
    connections?: Long;
    connectionsLimit?: Long;
    memoryBytes?: Long;
    memoryLimitBytes?: Long;
    queuedBytes?: Long;
    pausedConnections?: Long;
    fullestLog?: string;
    fullestLogShare?: number;
    goroutines?: Long;
  };
}

export type NodeKind = "LISTENER" | "PLUGIN" | "ROUTE" | "DESTINATION" | "UPSTREAM" | "API" | "UNSPECIFIED";
export type NodeState = "OK" | "IDLE" | "SLOW" | "TRAPPING" | "BYPASSED" | "OPEN_CIRCUIT" | "DOWN" | "UNSPECIFIED";

export interface ChainMap {
  nodes?: MapNode[];
  edges?: MapEdge[];
}

export interface MapNode {
  id: string;
  kind?: `MAP_NODE_KIND_${NodeKind}`;
  name?: string;
  state?: `NODE_STATE_${NodeState}`;
  why?: string;
  rate?: number;
  latency?: Latency;
  deadline?: Duration;
  fuelShare?: number;
  dropRate?: number;
  drops?: Long;
  topReason?: string;
  column?: number;
  chain?: string;
  place?: number;
  lanes?: MapLane[];
  protocol?: string;
  address?: string;
  connections?: Long;
  members?: number;
  membersUp?: number;
}

export interface MapLane {
  generation?: Long;
  state?: PluginState;
  weight?: number;
  observedShare?: number;
  rate?: number;
  latency?: Latency;
  traps?: Long;
  compared?: Long;
  differed?: Long;
}

export interface MapEdge {
  from: string;
  to: string;
  rate?: number;
  messages?: Long;
}

export interface Reason {
  reason?: string;
  count?: Long;
  rate?: number;
}

export interface Ledger {
  in?: Long;
  emitted?: Long;
  recalled?: Long;
  delivered?: Long;
  logged?: Long;
  replied?: Long;
  filtered?: Long;
  dropped?: Long;
  dead?: Long;
  inFlight?: Long;
  reasons?: Reason[];
  copies?: Long;
  copiesDropped?: Long;
  copyReasons?: Reason[];
  kernelReasons?: Reason[];
  filterReasons?: Reason[];
}

export interface Change {
  time?: Timestamp;
  level?: Level;
  kind?: string;
  subject?: string;
  what?: string;
  text?: string;
  generation?: Long;
}

export type PluginState = "PLUGIN_STATE_STEADY" | "PLUGIN_STATE_WATCHED" | "PLUGIN_STATE_CANARY" | "PLUGIN_STATE_SHADOW" | undefined;
export type Mode = "ROLLOUT_MODE_UNSPECIFIED" | "ROLLOUT_MODE_AT_ONCE" | "ROLLOUT_MODE_CANARY" | "ROLLOUT_MODE_SHADOW";

export interface Plugin {
  name: string;
  file?: string;
  state?: PluginState;
  places?: string[];
  live?: Generation;
  candidate?: Generation;
  previous?: Generation;
  trial?: { mode?: Mode; weight?: number; manual?: boolean; since?: Timestamp; window?: Duration; messages?: Long; progress?: string };
  last?: RolloutEvent;
  history?: RolloutEvent[];
  memoryLimitBytes?: Long;
  callLimit?: Duration;
  callFuelLimit?: Long;
}

export interface Generation {
  number?: Long;
  sha256?: string;
  source?: string;
  since?: Timestamp;
  stats?: PluginStats;
  drift?: Drift;
}

export interface PluginStats {
  messages?: Long;
  drops?: Long;
  replies?: Long;
  routes?: Long;
  closes?: Long;
  emitted?: Long;
  failed?: Long;
  traps?: Long;
  fuelTraps?: Long;
  depthTraps?: Long;
  faults?: Long;
  rebuilds?: Long;
  denied?: Long;
  fuel?: Long;
  fuelMost?: Long;
  busySeconds?: number;
  instances?: number;
  resting?: number;
  calls?: Long;
  p50?: Duration;
  p95?: Duration;
  p99?: Duration;
  longest?: Duration;
  memoryBytes?: Long;
}

export interface Drift {
  compared?: Long;
  differed?: Long;
  verdict?: Long;
  topic?: Long;
  attributes?: Long;
  payload?: Long;
  header?: Long;
  effects?: Long;
  samples?: DriftSample[];
}

export interface Answer {
  verdict?: string;
  out?: string;
  topic?: string;
  attributes?: Record<string, string>;
  payload?: string;
  emitted?: number;
}

export interface DriftSample {
  time?: Timestamp;
  session?: Long;
  hook?: string;
  fields?: string[];
  topic?: string;
  payload?: string;
  live?: Answer;
  shadow?: Answer;
}

export interface RolloutEvent {
  time?: Timestamp;
  what?: string;
  generation?: Long;
  cause?: string;
  text?: string;
  /** Of a shadow that it ended. */
  drift?: Drift;
}

export interface PluginLogLine {
  number?: Long;
  time?: Timestamp;
  level?: string;
  generation?: Long;
  text?: string;
}

export interface TailResponse {
  started?: object;
  message?: TailMessage;
  ended?: { why?: string };
  quiet?: object;
  passed?: Long;
  looked?: Long;
  missed?: Long;
}

export interface TailMessage {
  time?: Timestamp;
  listener?: string;
  connection?: string;
  remote?: string;
  topic?: string;
  attributes?: Record<string, string>;
  payload?: string;
  size?: Long;
  priority?: number;
  qos?: number;
  batch?: Long;
  batchSize?: number;
  steps?: TailStep[];
  resumed?: boolean;
  topicAfter?: string;
  route?: string;
  places?: { to?: string; copies?: number }[];
  result?: string;
  reason?: string;
  copies?: number;
  took?: Duration;
}

export interface TailStep {
  plugin?: string;
  generation?: Long;
  verdict?: string;
  cause?: string;
  out?: string;
  took?: Duration;
  fuel?: Long;
  callMessages?: number;
  changes?: { what?: string; before?: string; after?: string }[];
  emitted?: number;
  subscriptions?: number;
}

export interface Connection {
  id: string;
  listener?: string;
  protocol?: string;
  remote?: string;
  since?: Timestamp;
  heard?: Timestamp;
  bytesIn?: Long;
  bytesOut?: Long;
  queuedBytes?: Long;
  paused?: boolean;
  closing?: boolean;
  node?: string;
  clientId?: string;
  identity?: string;
  subscriptions?: number;
}

export interface Session {
  id: string;
  name?: string;
  listener?: string;
  protocol?: string;
  connection?: string;
  since?: Timestamp;
  expires?: Timestamp;
  subscriptions?: number;
  waiting?: number;
}

export interface Subscription {
  pattern?: string;
  kind?: string;
  session?: string;
  name?: string;
  qos?: number;
  group?: string;
}

export interface Explained {
  route?: string;
  default?: boolean;
  chain?: string[];
  qos?: number;
  durable?: boolean;
  places?: { to?: string; receivers?: number; why?: string }[];
  asked?: { route?: string; matches?: boolean; why?: string }[];
  dropped?: string;
}

export interface Message {
  topic?: string;
  attributes?: Record<string, string>;
  payload?: string;
  text?: string;
  json?: unknown;
  type?: string;
  priority?: number;
  qos?: number;
}

export interface DeadLetter {
  id: Long;
  time?: Timestamp;
  cause?: string;
  text?: string;
  plugin?: string;
  generation?: Long;
  hook?: string;
  listener?: string;
  remote?: string;
  message?: Message;
  context?: Record<string, string>;
  frame?: string;
  payloadSize?: number;
  frameSize?: number;
  attempts?: number;
  lastResult?: string;
}

export interface DeadGroup {
  cause?: string;
  plugin?: string;
  generation?: Long;
  count?: number;
  first?: Timestamp;
  last?: Timestamp;
}

export interface DeadFilter {
  plugin?: string;
  cause?: string;
  topic?: string;
  listener?: string;
  generation?: string;
}

export interface FilterStatus {
  kernel?: boolean;
  problem?: string;
  interfaces?: { name?: string; mode?: string; problem?: string }[];
  pin?: string;
  entries?: number;
  entriesLimit?: number;
  cost?: Duration;
  counts?: { listener?: string; reason?: string; enforcer?: string; packets?: Long; bytes?: Long }[];
  owners?: Record<string, number>;
}

export interface FilterRule {
  owner?: string;
  listener?: string;
  prefix?: string;
  action?: string;
  since?: Timestamp;
  until?: Timestamp;
  why?: string;
  overruled?: boolean;
}

export interface FilterSource {
  source?: string;
  listener?: string;
  reason?: string;
  packets?: Long;
  last?: Timestamp;
}

export interface ConfigStatus {
  file?: string;
  sha256?: string;
  applied?: Timestamp;
  reloaded?: Timestamp;
  result?: string;
  problems?: string[];
  faults?: string[];
  restart?: string[];
  appliedCount?: Long;
  unchangedCount?: Long;
  refusedCount?: Long;
}

export interface ConfigValue {
  key?: string;
  value?: string;
  origin?: string;
  secret?: boolean;
}

export interface Listener {
  name: string;
  protocol?: string;
  network?: string;
  address?: string;
  tls?: boolean;
  websocket?: boolean;
  chain?: string[];
  topic?: string;
  connections?: Long;
  connectionsLimit?: Long;
  accepted?: Long;
  messages?: Long;
  payloadBytes?: Long;
  bytesIn?: Long;
  bytesOut?: Long;
  refused?: Record<string, Long>;
  closed?: Record<string, Long>;
  badFrames?: Record<string, Long>;
}

export interface Route {
  name?: string;
  when?: string[];
  chain?: string[];
  to?: string[];
  qos?: number;
  durable?: boolean;
  default?: boolean;
  messages?: Long;
}

export interface UpstreamPool {
  name: string;
  protocol?: string;
  balance?: string;
  waiting?: number;
  limit?: number;
  refused?: Long;
  failed?: Long;
  retries?: Long;
  connections?: number;
  discovery?: string;
  discoveryError?: string;
  members?: { address?: string; up?: boolean; why?: string; breaker?: string; inFlight?: number; requests?: Long; failures?: Long; p50?: Duration; p99?: Duration; checkError?: string }[];
}
