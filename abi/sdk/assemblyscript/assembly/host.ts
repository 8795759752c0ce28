import * as abi from "./abi";
import { take } from "./arena";
import { Bytes, place, placedAt, placedLength } from "./bytes";

// The host functions. A module imports only what it calls, and the operator must
// grant that.

@external("weft", "log") declare function host_log(level: i32, text: usize, length: u32): void;
@external("weft", "metric") declare function host_metric(kind: i32, name: usize, length: u32): i32;
@external("weft", "metric_add") declare function host_metric_add(id: i32, n: i64): i32;
@external("weft", "metric_set") declare function host_metric_set(id: i32, value: f64): i32;
@external("weft", "metric_observe") declare function host_metric_observe(id: i32, value: f64): i32;
@external("weft", "clock_wall") declare function host_clock_wall(): i64;
@external("weft", "clock_monotonic") declare function host_clock_monotonic(): i64;
@external("weft", "random") declare function host_random(to: usize, length: u32): i32;
@external("weft", "kv_get") declare function host_kv_get(key: usize, keyLength: u32, to: usize, capacity: u32): i64;
@external("weft", "kv_set") declare function host_kv_set(key: usize, keyLength: u32, value: usize, length: u32, ttl: i64): i32;
@external("weft", "kv_cas") declare function host_kv_cas(key: usize, keyLength: u32, revision: i64, value: usize, length: u32, ttl: i64): i64;
@external("weft", "kv_revision") declare function host_kv_revision(key: usize, keyLength: u32): i64;
@external("weft", "kv_delete") declare function host_kv_delete(key: usize, keyLength: u32): i32;
@external("weft", "kv_add") declare function host_kv_add(key: usize, keyLength: u32, delta: i64, ttl: i64): i64;

/** What host functions answer; negative numbers that are not here mean Failed. */
export enum Status {
  OK = 0,
  NotFound = -1,
  Denied = -2,
  Limit = -3,
  Invalid = -4,
  Conflict = -5,
  Failed = -6,
  Timeout = -7,
}

/** How important a log line is. */
export enum Level {
  Debug = 0,
  Info = 1,
  Warn = 2,
  Error = 3,
}

/** Log lines, with the operator's grant `log`. Weft adds the plugin's name, and limits their rate. */
export namespace log {
  /** Writes a line, at most 8 KiB of it. */
  export function write<T>(level: Level, text: T): void {
    place<T>(text);
    host_log(level, placedAt, placedLength);
  }
  /** Writes a line at level debug. */
  export function debug<T>(text: T): void {
    write<T>(Level.Debug, text);
  }
  /** Writes a line at level info. */
  export function info<T>(text: T): void {
    write<T>(Level.Info, text);
  }
  /** Writes a line at level warn. */
  export function warn<T>(text: T): void {
    write<T>(Level.Warn, text);
  }
  /** Writes a line at level error. */
  export function error<T>(text: T): void {
    write<T>(Level.Error, text);
  }
}

// Metrics, with the operator's grant `metrics`. Make them once, in `init`; a name
// matches `[a-z][a-z0-9_]{0,63}`.
function metric(kind: i32, name: string): i32 {
  place<string>(name);
  return host_metric(kind, placedAt, placedLength);
}

/** A number that only goes up. */
export class Counter {
  /** Not negative if it can be used, a Status otherwise. */
  readonly id: i32;
  constructor(name: string) {
    this.id = metric(abi.METRIC_COUNTER, name);
  }
  /** Adds `n`. */
  add(n: i64 = 1): void {
    host_metric_add(this.id, n);
  }
}

/** A number that goes up and down. */
export class Gauge {
  /** Not negative if it can be used, a Status otherwise. */
  readonly id: i32;
  constructor(name: string) {
    this.id = metric(abi.METRIC_GAUGE, name);
  }
  /** Sets it. */
  set(value: f64): void {
    host_metric_set(this.id, value);
  }
}

/** How values are distributed. */
export class Histogram {
  /** Not negative if it can be used, a Status otherwise. */
  readonly id: i32;
  constructor(name: string) {
    this.id = metric(abi.METRIC_HISTOGRAM, name);
  }
  /** Records a value. */
  observe(value: f64): void {
    host_metric_observe(this.id, value);
  }
}

/** The time, with the operator's grant `clock`. A message's own time costs no call. */
export namespace clock {
  /** Nanoseconds since 1970-01-01 UTC. */
  export function wall(): i64 {
    return host_clock_wall();
  }
  /** Nanoseconds since an arbitrary moment, never going back. */
  export function monotonic(): i64 {
    return host_clock_monotonic();
  }
}

/** Cryptographically secure random bytes, with the operator's grant `random`. */
export namespace random {
  /** Fills an array. */
  export function fill(to: Uint8Array): Status {
    for (let at = 0; at < to.length; at += <i32>abi.MAX_HOST_BYTES) {
      const rest = to.length - at;
      const n = rest < <i32>abi.MAX_HOST_BYTES ? rest : <i32>abi.MAX_HOST_BYTES;
      const status = host_random(to.dataStart + at, n);
      if (status < 0) return status;
    }
    return Status.OK;
  }
  /** A random number; traps if there is none. */
  export function number(): u64 {
    const at = take(8, 8);
    if (host_random(at, 8) < 0) throw new Error("no random number");
    return load<u64>(at);
  }
}

/**
 * The key-value store, with the operator's grant `kv`. It is common to all
 * instances of a plugin. Keys have at most 1 KiB, values at most 1 MiB. A ttl is
 * in milliseconds, 0 for ever.
 */
export namespace kv {
  /** What the last call answered, for the functions that return something else. */
  export let status: Status = Status.OK;

  /** The value of a key; null if there is none, or `status` says why. */
  export function get<K>(key: K): Bytes | null {
    place<K>(key);
    const k = placedAt;
    const n = placedLength;
    let room: i64 = 256;
    while (true) {
      const at = take(<usize>room, 1);
      const length = host_kv_get(k, n, at, <u32>room);
      status = length < 0 ? <Status>(<i32>length) : Status.OK;
      if (length < 0) return null;
      if (length <= room) return Bytes.of(at, <i32>length);
      room = length;
    }
  }

  /** Sets a key. */
  export function set<K, V>(key: K, value: V, ttl: i64 = 0): Status {
    place<K>(key);
    const k = placedAt;
    const n = placedLength;
    place<V>(value);
    status = <Status>host_kv_set(k, n, placedAt, placedLength, ttl);
    return status;
  }

  /**
   * Sets a key only if its revision is still `revision` (0: only if there is no
   * such key). The new revision, or a Status, which is negative.
   */
  export function compareAndSet<K, V>(key: K, revision: i64, value: V, ttl: i64 = 0): i64 {
    place<K>(key);
    const k = placedAt;
    const n = placedLength;
    place<V>(value);
    return host_kv_cas(k, n, revision, placedAt, placedLength, ttl);
  }

  /** The revision of a key, at least 1, or a Status, which is negative. */
  export function revision<K>(key: K): i64 {
    place<K>(key);
    return host_kv_revision(placedAt, placedLength);
  }

  /** Removes a key. */
  export function remove<K>(key: K): Status {
    place<K>(key);
    status = <Status>host_kv_delete(placedAt, placedLength);
    return status;
  }

  /**
   * Adds `delta` to a key's value, an 8-byte integer, as one step. The sum; if it
   * failed, 0 and `status` says why. A missing key counts as 0 and gets the ttl.
   */
  export function add<K>(key: K, delta: i64, ttl: i64 = 0): i64 {
    place<K>(key);
    const sum = host_kv_add(placedAt, placedLength, delta, ttl);
    // Sums may be negative: statuses are counted from the lowest number up.
    const from = sum - i64.MIN_VALUE;
    if (from >= 0 && from < 256) {
      status = <Status>(-(<i32>from));
      return 0;
    }
    status = Status.OK;
    return sum;
  }
}
