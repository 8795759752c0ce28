//! The macros that make a crate a module that weft loads.

/// Exports a type that implements [`Plugin`](crate::Plugin). Beside `message`,
/// weft calls only the hooks that are named here: any of `open`, `close`, `tick`,
/// `resume` and `snapshot` (which stands for snapshot and restore).
///
/// ```
/// # struct Guard;
/// # impl weft::Plugin for Guard {
/// #     fn init(_: &str) -> Result<Self, String> { Ok(Guard) }
/// #     fn message(&mut self, _: &mut weft::Message) -> weft::Verdict { weft::Verdict::Continue }
/// # }
/// weft::plugin!(Guard, hooks: [open, tick]);
/// ```
#[macro_export]
macro_rules! plugin {
    ($type:ty $(,)?) => { $crate::plugin!($type, hooks: []); };
    ($type:ty, hooks: [$($hook:ident),* $(,)?] $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static mut PLUGIN: Option<$type> = None;

            // Exports are called one at a time and never from within another.
            #[inline(always)]
            unsafe fn plugin() -> &'static mut $type {
                match &mut *core::ptr::addr_of_mut!(PLUGIN) {
                    Some(p) => p,
                    None => core::arch::wasm32::unreachable(),
                }
            }

            #[no_mangle]
            pub extern "C" fn weft_abi_1_1() {}

            #[no_mangle]
            pub extern "C" fn weft_buffer(size: u32) -> u32 {
                $crate::guest::buffer(size)
            }

            #[no_mangle]
            pub unsafe extern "C" fn weft_init(config: u32, length: u32) -> u64 {
                $crate::guest::init::<$type>(&mut *core::ptr::addr_of_mut!(PLUGIN), config, length)
            }

            #[no_mangle]
            pub unsafe extern "C" fn weft_needs() -> u64 {
                <$type as $crate::Plugin>::needs(plugin()).bits()
            }

            #[no_mangle]
            pub unsafe extern "C" fn weft_on_messages(records: u32, count: u32) -> u32 {
                let p = plugin();
                $crate::guest::run(records, count, |m| <$type as $crate::Plugin>::message(p, m))
            }

            $( $crate::__hook!($hook, $type); )*
        };
        // On other targets the type is still checked.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || { fn is_plugin<T: $crate::Plugin>() {} is_plugin::<$type>() };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    (open, $type:ty) => {
        #[no_mangle]
        pub unsafe extern "C" fn weft_on_open(records: u32, count: u32) -> u32 {
            let p = plugin();
            $crate::guest::run(records, count, |m| <$type as $crate::Plugin>::open(p, m))
        }
    };
    (close, $type:ty) => {
        #[no_mangle]
        pub unsafe extern "C" fn weft_on_close(records: u32, count: u32) -> u32 {
            let p = plugin();
            $crate::guest::run(records, count, |m| {
                <$type as $crate::Plugin>::close(p, m);
                $crate::Verdict::Continue
            })
        }
    };
    (tick, $type:ty) => {
        #[no_mangle]
        pub unsafe extern "C" fn weft_on_tick(records: u32, count: u32) -> u32 {
            let p = plugin();
            $crate::guest::run(records, count, |m| {
                <$type as $crate::Plugin>::tick(p, m);
                $crate::Verdict::Continue
            })
        }
    };
    (resume, $type:ty) => {
        #[no_mangle]
        pub unsafe extern "C" fn weft_on_resume(records: u32, count: u32) -> u32 {
            let p = plugin();
            $crate::guest::run(records, count, |m| <$type as $crate::Plugin>::resume(p, m))
        }
    };
    (snapshot, $type:ty) => {
        #[no_mangle]
        pub unsafe extern "C" fn weft_snapshot() -> u64 {
            $crate::guest::snapshot::<$type>(plugin())
        }

        #[no_mangle]
        pub unsafe extern "C" fn weft_restore(state: u32, length: u32) -> u64 {
            $crate::guest::restore::<$type>(plugin(), state, length)
        }
    };
    ($other:ident, $type:ty) => {
        compile_error!(concat!(
            "no such hook: ", stringify!($other), "; expected open, close, tick, resume or snapshot"
        ));
    };
}

/// Embeds the plugin's manifest, JSON as abi/SPEC.md section 8 describes it, as
/// text or by `include_str!`.
///
/// ```
/// weft::manifest!(r#"{"name": "topic-router", "version": "1.2.0"}"#);
/// ```
#[macro_export]
macro_rules! manifest {
    ($json:expr) => {
        const _: () = {
            const TEXT: &str = $json;
            #[cfg_attr(target_arch = "wasm32", link_section = "weft.manifest")]
            #[used]
            static SECTION: [u8; TEXT.len()] = $crate::guest::array(TEXT);
        };
    };
}
