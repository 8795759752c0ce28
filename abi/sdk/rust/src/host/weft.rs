mod import {
    #[link(wasm_import_module = "weft")]
    extern "C" {
        pub fn log(level: i32, text: *const u8, length: usize);
        pub fn metric(kind: i32, name: *const u8, length: usize) -> i32;
        pub fn metric_add(id: i32, n: i64) -> i32;
        pub fn metric_set(id: i32, value: f64) -> i32;
        pub fn metric_observe(id: i32, value: f64) -> i32;
        pub fn clock_wall() -> i64;
        pub fn clock_monotonic() -> i64;
        pub fn random(to: *mut u8, length: usize) -> i32;
        pub fn kv_get(key: *const u8, key_length: usize, to: *mut u8, capacity: usize) -> i64;
        pub fn kv_set(key: *const u8, key_length: usize, value: *const u8, length: usize, ttl: i64) -> i32;
        pub fn kv_cas(
            key: *const u8,
            key_length: usize,
            revision: i64,
            value: *const u8,
            length: usize,
            ttl: i64,
        ) -> i64;
        pub fn kv_revision(key: *const u8, key_length: usize) -> i64;
        pub fn kv_delete(key: *const u8, key_length: usize) -> i32;
        pub fn kv_add(key: *const u8, key_length: usize, delta: i64, ttl: i64) -> i64;
        pub fn http_send(
            method: *const u8,
            method_length: usize,
            url: *const u8,
            url_length: usize,
            header: *const u8,
            header_length: usize,
            body: *const u8,
            body_length: usize,
            deadline: i64,
        ) -> i64;
        pub fn filter_source(session: u64, to: *mut u8, capacity: usize) -> i64;
        pub fn filter_block(source: *const u8, length: usize, ttl: i64) -> i32;
        pub fn filter_allow(source: *const u8, length: usize, ttl: i64) -> i32;
        pub fn filter_unblock(source: *const u8, length: usize) -> i32;
    }
}

#[inline]
pub fn log(level: i32, text: &[u8]) {
    unsafe { import::log(level, text.as_ptr(), text.len()) }
}

#[inline]
pub fn metric(kind: i32, name: &[u8]) -> i32 {
    unsafe { import::metric(kind, name.as_ptr(), name.len()) }
}

#[inline]
pub fn metric_add(id: i32, n: i64) -> i32 {
    unsafe { import::metric_add(id, n) }
}

#[inline]
pub fn metric_set(id: i32, value: f64) -> i32 {
    unsafe { import::metric_set(id, value) }
}

#[inline]
pub fn metric_observe(id: i32, value: f64) -> i32 {
    unsafe { import::metric_observe(id, value) }
}

#[inline]
pub fn clock_wall() -> i64 {
    unsafe { import::clock_wall() }
}

#[inline]
pub fn clock_monotonic() -> i64 {
    unsafe { import::clock_monotonic() }
}

#[inline]
pub fn random(to: &mut [u8]) -> i32 {
    unsafe { import::random(to.as_mut_ptr(), to.len()) }
}

#[inline]
pub fn kv_get(key: &[u8], to: &mut [u8]) -> i64 {
    unsafe { import::kv_get(key.as_ptr(), key.len(), to.as_mut_ptr(), to.len()) }
}

#[inline]
pub fn kv_set(key: &[u8], value: &[u8], ttl: i64) -> i32 {
    unsafe { import::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl) }
}

#[inline]
pub fn kv_cas(key: &[u8], revision: i64, value: &[u8], ttl: i64) -> i64 {
    unsafe { import::kv_cas(key.as_ptr(), key.len(), revision, value.as_ptr(), value.len(), ttl) }
}

#[inline]
pub fn kv_revision(key: &[u8]) -> i64 {
    unsafe { import::kv_revision(key.as_ptr(), key.len()) }
}

#[inline]
pub fn kv_delete(key: &[u8]) -> i32 {
    unsafe { import::kv_delete(key.as_ptr(), key.len()) }
}

#[inline]
pub fn kv_add(key: &[u8], delta: i64, ttl: i64) -> i64 {
    unsafe { import::kv_add(key.as_ptr(), key.len(), delta, ttl) }
}

#[inline]
pub fn http_send(method: &[u8], url: &[u8], header: &[u8], body: &[u8], deadline: i64) -> i64 {
    unsafe {
        import::http_send(
            method.as_ptr(),
            method.len(),
            url.as_ptr(),
            url.len(),
            header.as_ptr(),
            header.len(),
            body.as_ptr(),
            body.len(),
            deadline,
        )
    }
}

#[inline]
pub fn filter_source(session: u64, to: &mut [u8]) -> i64 {
    unsafe { import::filter_source(session, to.as_mut_ptr(), to.len()) }
}

#[inline]
pub fn filter_block(source: &[u8], ttl: i64) -> i32 {
    unsafe { import::filter_block(source.as_ptr(), source.len(), ttl) }
}

#[inline]
pub fn filter_allow(source: &[u8], ttl: i64) -> i32 {
    unsafe { import::filter_allow(source.as_ptr(), source.len(), ttl) }
}

#[inline]
pub fn filter_unblock(source: &[u8]) -> i32 {
    unsafe { import::filter_unblock(source.as_ptr(), source.len()) }
}
