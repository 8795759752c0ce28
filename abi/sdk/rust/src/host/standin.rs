//! Host functions for tests: everything is granted, and belongs to the thread.

use crate::abi;
use crate::attributes::Attributes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// What the stand-ins remember; [`crate::testing`] shows it.
#[derive(Default)]
pub struct Host {
    pub logs: Vec<(i32, String)>,
    pub metrics: Vec<(String, i32, f64)>,
    pub wall: i64,
    pub monotonic: i64,
    pub keys: HashMap<Vec<u8>, Entry>,
    pub random: u64,
    pub requests: Vec<Request>,
    pub rules: Vec<Rule>,
    pub sources: HashMap<u64, String>,
}

/// What a plugin has said of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rule {
    pub source: String,
    /// It is let in, not blocked.
    pub allow: bool,
    /// In milliseconds; 0 for the operator's longest.
    pub ttl: i64,
}

/// A request that was begun; its token is its place, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Request {
    pub method: String,
    pub url: String,
    pub header: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// In milliseconds; 0 for the operator's.
    pub deadline: i64,
}

pub struct Entry {
    pub value: Vec<u8>,
    pub revision: i64,
    pub expires: Option<i64>,
}

thread_local!(static HOST: RefCell<Host> = RefCell::default());

pub fn with<R>(f: impl FnOnce(&mut Host) -> R) -> R {
    HOST.with(|h| f(&mut h.borrow_mut()))
}

impl Host {
    fn live(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let now = self.monotonic;
        if matches!(self.keys.get(key), Some(e) if e.expires.map_or(false, |at| at <= now)) {
            self.keys.remove(key);
        }
        self.keys.get_mut(key)
    }

    fn store(&mut self, key: &[u8], value: &[u8], ttl: i64) -> i64 {
        let revision = self.live(key).map_or(0, |e| e.revision) + 1;
        let expires = (ttl > 0).then(|| self.monotonic.saturating_add(ttl.saturating_mul(1_000_000)));
        self.keys.insert(key.to_vec(), Entry { value: value.to_vec(), revision, expires });
        revision
    }
}

fn allowed(key: &[u8], value: &[u8], ttl: i64) -> Result<(), i32> {
    if key.is_empty() || ttl < 0 {
        return Err(abi::STATUS_INVALID);
    }
    if key.len() > abi::MAX_KV_KEY || value.len() > abi::MAX_KV_VALUE {
        return Err(abi::STATUS_LIMIT);
    }
    Ok(())
}

pub fn log(level: i32, text: &[u8]) {
    let text = String::from_utf8_lossy(&text[..text.len().min(abi::MAX_LOG)]).into_owned();
    with(|h| h.logs.push((level, text)))
}

pub fn metric(kind: i32, name: &[u8]) -> i32 {
    let legal = |(i, c): (usize, &u8)| c.is_ascii_lowercase() || i > 0 && (c.is_ascii_digit() || *c == b'_');
    if name.is_empty() || name.len() > abi::MAX_METRIC_NAME || !name.iter().enumerate().all(legal) {
        return abi::STATUS_INVALID;
    }
    let name = String::from_utf8_lossy(name).into_owned();
    with(|h| {
        if let Some(id) = h.metrics.iter().position(|m| m.0 == name) {
            return if h.metrics[id].1 == kind { id as i32 } else { abi::STATUS_INVALID };
        }
        h.metrics.push((name, kind, 0.0));
        h.metrics.len() as i32 - 1
    })
}

fn change(id: i32, kind: i32, f: impl FnOnce(&mut f64)) -> i32 {
    with(|h| match h.metrics.get_mut(id as usize) {
        Some(m) if m.1 == kind => {
            f(&mut m.2);
            abi::STATUS_OK
        }
        _ => abi::STATUS_INVALID,
    })
}

pub fn metric_add(id: i32, n: i64) -> i32 {
    if n < 0 {
        return abi::STATUS_INVALID;
    }
    change(id, abi::METRIC_COUNTER, |v| *v += n as f64)
}

pub fn metric_set(id: i32, value: f64) -> i32 {
    change(id, abi::METRIC_GAUGE, |v| *v = value)
}

/// Remembers how many values were observed.
pub fn metric_observe(id: i32, _value: f64) -> i32 {
    change(id, abi::METRIC_HISTOGRAM, |v| *v += 1.0)
}

pub fn clock_wall() -> i64 {
    with(|h| h.wall)
}

pub fn clock_monotonic() -> i64 {
    with(|h| h.monotonic)
}

/// The same numbers in every test (splitmix64).
pub fn random(to: &mut [u8]) -> i32 {
    if to.len() > abi::MAX_HOST_BYTES {
        return abi::STATUS_LIMIT;
    }
    with(|h| {
        for part in to.chunks_mut(8) {
            h.random = h.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (h.random ^ (h.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            part.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..part.len()]);
        }
    });
    abi::STATUS_OK
}

pub fn kv_get(key: &[u8], to: &mut [u8]) -> i64 {
    with(|h| match h.live(key) {
        None => abi::STATUS_NOT_FOUND as i64,
        Some(e) => {
            if let Some(to) = to.get_mut(..e.value.len()) {
                to.copy_from_slice(&e.value);
            }
            e.value.len() as i64
        }
    })
}

pub fn kv_set(key: &[u8], value: &[u8], ttl: i64) -> i32 {
    if let Err(status) = allowed(key, value, ttl) {
        return status;
    }
    with(|h| h.store(key, value, ttl));
    abi::STATUS_OK
}

pub fn kv_cas(key: &[u8], revision: i64, value: &[u8], ttl: i64) -> i64 {
    if let Err(status) = allowed(key, value, ttl) {
        return status as i64;
    }
    with(|h| {
        if h.live(key).map_or(0, |e| e.revision) != revision {
            return abi::STATUS_CONFLICT as i64;
        }
        h.store(key, value, ttl)
    })
}

pub fn kv_revision(key: &[u8]) -> i64 {
    with(|h| h.live(key).map_or(abi::STATUS_NOT_FOUND as i64, |e| e.revision))
}

pub fn kv_delete(key: &[u8]) -> i32 {
    with(|h| match h.live(key) {
        None => abi::STATUS_NOT_FOUND,
        Some(_) => {
            h.keys.remove(key);
            abi::STATUS_OK
        }
    })
}

pub fn kv_add(key: &[u8], delta: i64, ttl: i64) -> i64 {
    let failed = |status: i32| i64::MIN - status as i64;
    if let Err(status) = allowed(key, &[], ttl) {
        return failed(status);
    }
    with(|h| {
        if h.live(key).is_none() {
            h.store(key, &delta.to_le_bytes(), ttl);
            return delta;
        }
        let e = h.keys.get_mut(key).expect("just looked up");
        match <[u8; 8]>::try_from(e.value.as_slice()) {
            Ok(had) => {
                let sum = i64::from_le_bytes(had).wrapping_add(delta);
                e.value = sum.to_le_bytes().to_vec();
                e.revision += 1;
                sum
            }
            Err(_) => failed(abi::STATUS_INVALID),
        }
    })
}

/// Remembers the request. Every host is granted.
pub fn http_send(method: &[u8], url: &[u8], header: &[u8], body: &[u8], deadline: i64) -> i64 {
    let url = String::from_utf8_lossy(url).into_owned();
    if !(url.starts_with("https://") || url.starts_with("http://")) || deadline < 0 {
        return abi::STATUS_INVALID as i64;
    }
    let over = method.len() > abi::MAX_HTTP_METHOD || url.len() > abi::MAX_HTTP_TARGET;
    if over || header.len() > abi::MAX_HTTP_HEADER || body.len() > abi::MAX_HTTP_BODY {
        return abi::STATUS_LIMIT as i64;
    }
    let method = if method.is_empty() { b"GET" } else { method };
    let header = Attributes::new(header).map(|(name, value)| (name.to_string(), value.to_vec())).collect();
    let method = String::from_utf8_lossy(method).into_owned();
    with(|h| {
        h.requests.push(Request { method, url, header, body: body.to_vec(), deadline });
        h.requests.len() as i64
    })
}

/// What the test has set with [`crate::testing::set_source`], else an address that
/// ends in the session's lowest byte.
pub fn filter_source(session: u64, to: &mut [u8]) -> i64 {
    if session == 0 {
        return abi::STATUS_NOT_FOUND as i64;
    }
    let text = with(|h| h.sources.get(&session).cloned()).unwrap_or_else(|| format!("192.0.2.{}", session as u8));
    if let Some(to) = to.get_mut(..text.len()) {
        to.copy_from_slice(text.as_bytes());
    }
    text.len() as i64
}

/// The address of a source, without its port.
fn address(source: &[u8]) -> Result<String, i32> {
    let text = std::str::from_utf8(source).map_err(|_| abi::STATUS_INVALID)?;
    let ip = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|s| s.ip()));
    match ip {
        Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(ip.to_string()),
        _ => Err(abi::STATUS_INVALID),
    }
}

fn rule(source: &[u8], allow: bool, ttl: i64) -> i32 {
    let source = match address(source) {
        Ok(source) if ttl >= 0 => source,
        _ => return abi::STATUS_INVALID,
    };
    with(|h| {
        h.rules.retain(|r| r.source != source);
        h.rules.push(Rule { source, allow, ttl });
    });
    abi::STATUS_OK
}

pub fn filter_block(source: &[u8], ttl: i64) -> i32 {
    rule(source, false, ttl)
}

pub fn filter_allow(source: &[u8], ttl: i64) -> i32 {
    rule(source, true, ttl)
}

pub fn filter_unblock(source: &[u8]) -> i32 {
    let source = match address(source) {
        Ok(source) => source,
        Err(status) => return status,
    };
    with(|h| {
        let before = h.rules.len();
        h.rules.retain(|r| r.source != source);
        if h.rules.len() < before { abi::STATUS_OK } else { abi::STATUS_NOT_FOUND }
    })
}
