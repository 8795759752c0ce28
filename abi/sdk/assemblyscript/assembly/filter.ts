import * as abi from "./abi";
import { take } from "./arena";
import { Bytes, place, placedAt, placedLength } from "./bytes";
import { Status } from "./host";
import { Message } from "./message";

@external("weft", "filter_source") declare function host_filter_source(session: u64, to: usize, capacity: u32): i64;
@external("weft", "filter_block") declare function host_filter_block(source: usize, length: u32, ttl: i64): i32;
@external("weft", "filter_allow") declare function host_filter_allow(source: usize, length: u32, ttl: i64): i32;
@external("weft", "filter_unblock") declare function host_filter_unblock(source: usize, length: u32): i32;

/**
 * Who may speak to the listeners in whose chains the plugin stands, with the
 * operator's grant `filter`. A rule is enforced before a byte becomes a message, in
 * the kernel where weft can, and ends by itself.
 *
 * A source is the text of an address, with or without a port, as the attribute `peer`
 * has it in `open`. A ttl is in milliseconds, 0 for the operator's longest; one beyond
 * it, more sources at once or more changes a second than granted are Limit, and
 * nothing changes.
 */
export namespace filter {
  /** What the last call answered. */
  export let status: Status = Status.OK;

  /**
   * Where the message's session comes from, for this hook only; null if it has no
   * session, or that is gone.
   */
  export function source(m: Message): Bytes | null {
    const at = take(abi.MAX_SOURCE, 1);
    const length = host_filter_source(m.session, at, <u32>abi.MAX_SOURCE);
    status = length < 0 ? <Status>(<i32>length) : Status.OK;
    if (length < 0 || length > <i64>abi.MAX_SOURCE) return null;
    return Bytes.of(at, <i32>length);
  }

  /** Lets nothing in that comes from the source. */
  export function block<S>(source: S, ttl: i64 = 0): Status {
    place<S>(source);
    status = <Status>host_filter_block(placedAt, placedLength, ttl);
    return status;
  }

  /**
   * Lets nothing in that comes from where the message came from; NotFound if it has no
   * session, or that is gone.
   */
  export function blockSource(m: Message, ttl: i64 = 0): Status {
    const from = source(m);
    if (from === null) return status;
    return block<Bytes>(from, ttl);
  }

  /** Lets in what comes from the source. */
  export function allow<S>(source: S, ttl: i64 = 0): Status {
    place<S>(source);
    status = <Status>host_filter_allow(placedAt, placedLength, ttl);
    return status;
  }

  /** Takes back what the plugin has said of the source; NotFound if that is nothing. */
  export function unblock<S>(source: S): Status {
    place<S>(source);
    status = <Status>host_filter_unblock(placedAt, placedLength);
    return status;
  }
}
