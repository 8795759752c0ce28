//! Log lines, with the operator's grant `log`. Weft adds the plugin's name, and
//! limits their rate.

use crate::abi;
use crate::host;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Level {
    /// For the author.
    Debug = abi::LOG_DEBUG,
    /// For the operator's files.
    Info = abi::LOG_INFO,
    /// Worth a look.
    Warn = abi::LOG_WARN,
    /// Something does not work.
    Error = abi::LOG_ERROR,
}

/// Writes a line, at most 8 KiB of it.
pub fn write(level: Level, text: &str) {
    host::log(level as i32, text.as_bytes())
}

/// Writes a line at level debug.
pub fn debug(text: &str) {
    write(Level::Debug, text)
}

/// Writes a line at level info.
pub fn info(text: &str) {
    write(Level::Info, text)
}

/// Writes a line at level warn.
pub fn warn(text: &str) {
    write(Level::Warn, text)
}

/// Writes a line at level error.
pub fn error(text: &str) {
    write(Level::Error, text)
}

/// From now on a panic writes its message and place at level error before the
/// instance is thrown away. Adds about 20 KB to the module.
pub fn panics() {
    std::panic::set_hook(Box::new(|info| error(&info.to_string())));
}
