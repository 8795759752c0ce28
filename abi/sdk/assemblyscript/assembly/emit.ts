import * as abi from "./abi";
import { change } from "./attributes";
import { place } from "./bytes";
import { Type } from "./message";

/** A message that was emitted; its further fields, each of which returns it again. */
@unmanaged
export class Emit {
  // @ts-ignore: decorator
  @inline
  private get at(): usize {
    return changetype<usize>(this);
  }

  /** An event unless said otherwise. */
  type(type: Type): Emit {
    store<u8>(this.at, <u8>type, abi.EFFECT_TYPE);
    return this;
  }

  /** 0 to 7. */
  priority(priority: u8): Emit {
    store<u8>(this.at, priority, abi.EFFECT_PRIORITY);
    return this;
  }

  /** 0, 1 or 2. */
  qos(qos: u8): Emit {
    store<u8>(this.at, qos, abi.EFFECT_QOS);
    return this;
  }

  /** The sequence id. */
  seq(seq: u64): Emit {
    store<u64>(this.at, seq, abi.EFFECT_SEQ);
    return this;
  }

  /** Keep it for later subscribers. */
  retain(): Emit {
    store<u32>(this.at, abi.FLAG_RETAIN, abi.EFFECT_FLAGS);
    return this;
  }

  /** Gives it an attribute. */
  attribute<T>(name: string, value: T): Emit {
    place<T>(value);
    change(this.at + abi.EFFECT_ATTRS, name, true);
    return this;
  }
}
