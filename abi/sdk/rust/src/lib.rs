//! Plugins for the weft message router, in Rust: one function over one message.
//!
//! ```
//! use weft::{Message, Plugin, Verdict};
//!
//! struct Router;
//!
//! impl Plugin for Router {
//!     fn init(_config: &str) -> Result<Self, String> {
//!         Ok(Router)
//!     }
//!
//!     fn message(&mut self, m: &mut Message) -> Verdict {
//!         match m.context_str("identity") {
//!             Some(truck) => {
//!                 m.set_topic(["truck/", truck, "/telemetry"]);
//!                 Verdict::Continue
//!             }
//!             None => Verdict::drop("no identity"),
//!         }
//!     }
//! }
//!
//! weft::plugin!(Router);
//! ```
//!
//! The crate needs Rust 1.63 and nothing else. What weft offers beyond messages
//! is in [`log`], [`metrics`], [`clock`], [`random`], [`kv`], [`http`] and [`filter`]; a
//! module imports only what it calls, and the operator must grant that. [`json`] reads
//! configurations and payloads. [`testing`] runs a plugin without weft.
#![warn(missing_docs)]

mod abi;
mod arena;
mod attributes;
pub mod clock;
mod content;
mod effect;
mod error;
mod export;
pub mod filter;
mod host;
pub mod http;
pub mod json;
pub mod kv;
pub mod log;
mod memory;
mod message;
pub mod metrics;
mod needs;
mod plugin;
pub mod random;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;
mod verdict;

pub use arena::Lent;
pub use attributes::Attributes;
pub use content::{Content, Writer};
pub use effect::Emit;
pub use error::Error;
pub use message::{Answer, Message, Type};
pub use needs::{Hook, Needs};
pub use plugin::Plugin;
pub use verdict::Verdict;

/// What the macros call. Not for plugins.
#[doc(hidden)]
pub mod guest {
    pub use crate::arena::input as buffer;
    pub use crate::plugin::{init, restore, run, snapshot};

    /// A text as an array, for a section.
    pub const fn array<const N: usize>(text: &str) -> [u8; N] {
        let from = text.as_bytes();
        let mut to = [0; N];
        let mut i = 0;
        while i < N {
            to[i] = from[i];
            i += 1;
        }
        to
    }
}
