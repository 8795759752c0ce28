//! What a plugin wants to see of each message.

use crate::abi;

/// The hooks of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Hook {
    /// [`Plugin::message`](crate::Plugin::message)
    Messages = abi::HOOK_MESSAGES,
    /// [`Plugin::open`](crate::Plugin::open)
    Open = abi::HOOK_OPEN,
    /// [`Plugin::close`](crate::Plugin::close)
    Close = abi::HOOK_CLOSE,
    /// [`Plugin::tick`](crate::Plugin::tick)
    Tick = abi::HOOK_TICK,
    /// [`Plugin::resume`](crate::Plugin::resume)
    Resume = abi::HOOK_RESUME,
}

/// What the host must fill in: begin with [`Needs::none`] and add. What is not
/// asked for reads as empty and costs nothing to pass; it can be set all the same.
///
/// ```
/// use weft::Needs;
/// let needs = Needs::none().topic().context().payload(64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs(u64);

impl Needs {
    /// Everything: every field and the whole payload.
    pub const fn all() -> Needs {
        Needs(abi::NEEDS_ALL)
    }

    /// None of topic, attributes, context, listener and payload.
    pub const fn none() -> Needs {
        Needs(abi::NEED_HOOKS)
    }

    /// The topic.
    pub const fn topic(self) -> Needs {
        Needs(self.0 | abi::NEED_TOPIC)
    }

    /// The attributes. A plugin that sets or removes one needs them.
    pub const fn attributes(self) -> Needs {
        Needs(self.0 | abi::NEED_ATTRS)
    }

    /// The session's context. A plugin that sets a value in it needs it.
    pub const fn context(self) -> Needs {
        Needs(self.0 | abi::NEED_CONTEXT)
    }

    /// The listener's name.
    pub const fn listener(self) -> Needs {
        Needs(self.0 | abi::NEED_LISTENER)
    }

    /// The first `bytes` of each payload.
    pub const fn payload(self, bytes: u32) -> Needs {
        Needs(self.0 & !abi::PAYLOAD_ALL | bytes as u64)
    }

    /// The whole of each payload.
    pub const fn whole_payload(self) -> Needs {
        Needs(self.0 | abi::PAYLOAD_ALL)
    }

    /// A hook that the plugin exports is not to be called.
    pub const fn without(self, hook: Hook) -> Needs {
        Needs(self.0 & !(1 << (abi::NEED_HOOK_SHIFT + hook as usize)))
    }

    /// The number that the contract defines.
    pub const fn bits(self) -> u64 {
        self.0
    }
}
