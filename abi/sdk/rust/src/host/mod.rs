//! The host functions, with slices for pointers and lengths: those of weft in a
//! guest, stand-ins in a test.

#[cfg(target_arch = "wasm32")]
mod weft;
#[cfg(target_arch = "wasm32")]
pub use self::weft::*;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod standin;
#[cfg(not(target_arch = "wasm32"))]
pub use self::standin::*;
