//! Addresses as the contract counts them: 32 bits, in the guest's memory. On a
//! developer's own machine, where pointers are wider, a region of each thread
//! stands in for that memory so that plugins can be tested without a host.

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
compile_error!("a plugin's instance belongs to one thread; build without the atomics feature");

/// Reads a value at an address, aligned or not.
///
/// # Safety
/// `address` must come from the host or from this crate and have room for `T`.
#[inline(always)]
pub unsafe fn load<T: Copy>(address: u32) -> T {
    (at(address) as *const T).read_unaligned()
}

/// Writes a value at an address, aligned or not.
///
/// # Safety
/// As for [`load`], and nothing else may refer to these bytes.
#[inline(always)]
pub unsafe fn store<T: Copy>(address: u32, value: T) {
    (at(address) as *mut T).write_unaligned(value)
}

/// The bytes of a span.
///
/// # Safety
/// The span must lie in the memory and stay unchanged for `'a`.
#[inline(always)]
pub unsafe fn bytes<'a>(address: u32, length: u32) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    core::slice::from_raw_parts(at(address), length as usize)
}

#[cfg(target_arch = "wasm32")]
mod imp {
    use std::alloc::{alloc, dealloc, handle_alloc_error, Layout};

    #[inline(always)]
    pub fn at(address: u32) -> *mut u8 {
        address as *mut u8
    }

    /// The address of a byte, whatever it belongs to.
    #[inline(always)]
    pub fn address_of(pointer: *const u8) -> u32 {
        pointer as u32
    }

    /// Takes `size` bytes, aligned to 8, their content undefined.
    pub fn allocate(size: u32) -> u32 {
        let layout = layout(size);
        let p = unsafe { alloc(layout) };
        if p.is_null() {
            handle_alloc_error(layout)
        }
        p as u32
    }

    /// Gives back what [`allocate`] took.
    pub fn free(address: u32, size: u32) {
        if size > 0 {
            unsafe { dealloc(at(address), layout(size)) }
        }
    }

    fn layout(size: u32) -> Layout {
        unsafe { Layout::from_size_align_unchecked(size.max(8) as usize, 8) }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use std::cell::Cell;

    const REGION: usize = 256 << 20;

    thread_local! {
        // Mapped lazily: a test pays only for the pages that it touches. 8 more
        // bytes let addresses be aligned as a guest's are.
        static BASE: *mut u8 = {
            let region = Vec::leak(vec![0; REGION + 8]).as_mut_ptr();
            unsafe { region.add(region.align_offset(8)) }
        };
        static NEXT: Cell<usize> = const { Cell::new(4096) };
    }

    pub fn at(address: u32) -> *mut u8 {
        BASE.with(|base| base.wrapping_add(address as usize))
    }

    pub fn address_of(pointer: *const u8) -> u32 {
        let distance = BASE.with(|base| (pointer as usize).wrapping_sub(*base as usize));
        if distance < REGION {
            distance as u32
        } else {
            u32::MAX // not in the stand-in, hence in no span
        }
    }

    pub fn allocate(size: u32) -> u32 {
        NEXT.with(|next| {
            let start = next.get();
            let end = start + (size.max(8) as usize + 7) / 8 * 8;
            assert!(end <= REGION, "the memory that stands in for the guest's is used up");
            next.set(end);
            start as u32
        })
    }

    pub fn free(_address: u32, _size: u32) {}
}

pub use imp::{address_of, allocate, at, free};
