//! Where answers live until the next call: one chunk of memory that is filled
//! from the bottom and begun anew with every call. After the first few calls it
//! is as large as it needs to be, and answering allocates nothing.

use crate::memory;
use std::cell::{Cell, RefCell};

const FIRST: u32 = 16 << 10;
/// More than this is not kept from call to call.
const KEEP: u32 = 1 << 20;

/// Some bytes of an answer, placed where the host can read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    pub(crate) address: u32,
    pub(crate) length: u32,
}

struct Arena {
    start: Cell<u32>,
    top: Cell<u32>,
    end: Cell<u32>,
    /// Chunks of this call that were too small: address and size.
    spent: RefCell<Vec<(u32, u32)>>,
    /// How many calls there were.
    calls: Cell<u32>,
    /// The input buffer: address and size.
    input: Cell<u32>,
    input_size: Cell<u32>,
}

impl Arena {
    const fn new() -> Arena {
        Arena {
            start: Cell::new(0),
            top: Cell::new(0),
            end: Cell::new(0),
            spent: RefCell::new(Vec::new()),
            calls: Cell::new(0),
            input: Cell::new(0),
            input_size: Cell::new(0),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod global {
    pub struct Lone(super::Arena);
    // An instance of WebAssembly without threads has one thread.
    unsafe impl Sync for Lone {}
    static ARENA: Lone = Lone(super::Arena::new());
    #[inline(always)]
    pub(super) fn with<R>(f: impl FnOnce(&super::Arena) -> R) -> R {
        f(&ARENA.0)
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod global {
    thread_local!(static ARENA: super::Arena = const { super::Arena::new() });
    pub(super) fn with<R>(f: impl FnOnce(&super::Arena) -> R) -> R {
        ARENA.with(|a| f(a))
    }
}

use global::with;

/// Begins a call: everything that was lent before is gone.
#[inline(always)]
pub fn reset() {
    with(|a| {
        if !a.spent.borrow().is_empty() {
            merge(a);
        }
        a.top.set(a.start.get());
        a.calls.set(a.calls.get().wrapping_add(1));
    })
}

/// The number of this call.
#[inline(always)]
pub fn call() -> u32 {
    with(|a| a.calls.get())
}

/// Replaces the chunks of the last call by one that would have been enough.
#[cold]
fn merge(a: &Arena) {
    let mut sum = a.end.get() - a.start.get();
    memory::free(a.start.get(), sum);
    for (address, size) in a.spent.borrow_mut().drain(..) {
        sum += size;
        memory::free(address, size);
    }
    let size = sum.min(KEEP);
    let start = memory::allocate(size);
    a.start.set(start);
    a.end.set(start + size);
}

/// Takes `size` bytes, aligned to `align` (a power of two, at most 8).
#[inline(always)]
pub fn take(size: u32, align: u32) -> u32 {
    with(|a| {
        let at = (a.top.get() + (align - 1)) & !(align - 1);
        if a.end.get() < at || a.end.get() - at < size {
            return refill(a, size);
        }
        a.top.set(at + size);
        at
    })
}

#[cold]
fn refill(a: &Arena, size: u32) -> u32 {
    let had = a.end.get() - a.start.get();
    if had > 0 {
        a.spent.borrow_mut().push((a.start.get(), had));
    }
    let new = size.max(had.saturating_mul(2).min(KEEP)).max(FIRST);
    let start = memory::allocate(new);
    a.start.set(start);
    a.top.set(start + size);
    a.end.set(start + new);
    start
}

/// Lengthens (or with a smaller `to` shortens) what was taken last, in place.
/// False if something else was taken since, or no room is left.
#[inline]
pub fn resize(address: u32, from: u32, to: u32) -> bool {
    with(|a| {
        if address + from != a.top.get() || to > a.end.get() - address {
            return false;
        }
        a.top.set(address + to);
        true
    })
}

/// Copies bytes so that they live until the next call. Bytes of the input
/// buffer live as long anyway and stay where they are.
#[inline]
pub fn lend(b: &[u8]) -> Lent {
    let length = b.len() as u32;
    let from = memory::address_of(b.as_ptr());
    let in_input = with(|a| from.wrapping_sub(a.input.get()) < a.input_size.get());
    if in_input {
        return Lent { address: from, length };
    }
    let address = take(length, 1);
    copy(b, address);
    Lent { address, length }
}

/// Copies bytes to an address with room for them. Topics and names are short:
/// up to 64 bytes are copied by words that may overlap, without a call.
#[inline(always)]
pub fn copy(b: &[u8], address: u32) {
    let (from, to, n) = (b.as_ptr(), memory::at(address), b.len());
    unsafe {
        match n {
            8..=64 => {
                let mut i = 0;
                while i + 8 < n {
                    word::<u64>(from, to, i);
                    i += 8;
                }
                word::<u64>(from, to, n - 8);
            }
            4..=7 => {
                word::<u32>(from, to, 0);
                word::<u32>(from, to, n - 4);
            }
            0..=3 => {
                for i in 0..n {
                    *to.add(i) = *from.add(i);
                }
            }
            _ => core::ptr::copy_nonoverlapping(from, to, n),
        }
    }
}

#[inline(always)]
unsafe fn word<T>(from: *const u8, to: *mut u8, offset: usize) {
    (to.add(offset) as *mut T).write_unaligned((from.add(offset) as *const T).read_unaligned())
}

/// Hands out a new input buffer and frees the former one.
pub fn input(size: u32) -> u32 {
    with(|a| {
        memory::free(a.input.get(), a.input_size.get());
        a.input.set(memory::allocate(size));
        a.input_size.set(size.max(8));
        a.input.get()
    })
}
