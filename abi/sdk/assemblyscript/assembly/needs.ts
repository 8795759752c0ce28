import * as abi from "./abi";

/** The hooks of a plugin. */
export enum Hook {
  Messages = 1,
  Open = 2,
  Close = 3,
  Tick = 4,
  Resume = 5,
}

/**
 * What the host must fill in: begin with `Needs.none()` and add. What is not
 * asked for reads as empty and costs nothing to pass; it can be set all the same.
 *
 *     return Needs.none().topic().context().payload(64);
 */
export class Needs {
  private constructor(
    /** The number that the contract defines. */
    public bits: u64
  ) {}

  /** Everything: every field and the whole payload. */
  static all(): Needs {
    return new Needs(abi.NEEDS_ALL);
  }

  /** None of topic, attributes, context, listener and payload. */
  static none(): Needs {
    return new Needs(abi.NEED_HOOKS);
  }

  /** The topic. */
  topic(): Needs {
    this.bits |= abi.NEED_TOPIC;
    return this;
  }

  /** The attributes. A plugin that sets or removes one needs them. */
  attributes(): Needs {
    this.bits |= abi.NEED_ATTRS;
    return this;
  }

  /** The session's context. A plugin that sets a value in it needs it. */
  context(): Needs {
    this.bits |= abi.NEED_CONTEXT;
    return this;
  }

  /** The listener's name. */
  listener(): Needs {
    this.bits |= abi.NEED_LISTENER;
    return this;
  }

  /** The first `bytes` of each payload; all of them without a number. */
  payload(bytes: u32 = u32.MAX_VALUE): Needs {
    this.bits = (this.bits & ~abi.PAYLOAD_ALL) | bytes;
    return this;
  }

  /** A hook that the plugin exports is not to be called. */
  without(hook: Hook): Needs {
    this.bits &= ~((<u64>1) << (abi.NEED_HOOK_SHIFT + hook));
    return this;
  }
}
