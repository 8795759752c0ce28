//! Reads and verifies a token: a JSON Web Token (RFC 7519) in the compact form
//! (RFC 7515, section 7.1), signed with HS256 or RS256.

use crate::base64;
use crate::config::Config;
use crate::keys::Key;
use std::borrow::Cow;
use weft::json::{self, Kind, Value};

// Why a token is refused. Weft counts reasons, so there are few.
pub const MISSING: &str = "token: missing";
pub const MALFORMED: &str = "token: malformed";
pub const TOO_LONG: &str = "token: too long";
const ALGORITHM: &str = "token: wrong algorithm";
const CRITICAL: &str = "token: unsupported crit";
const KEY: &str = "token: unknown key";
const SIGNATURE: &str = "token: wrong signature";
pub const EXPIRED: &str = "token: expired";
const EARLY: &str = "token: not yet valid";
pub const NO_CLOCK: &str = "token: expires, and the plugin has no clock (grant it)";
const ISSUER: &str = "token: wrong issuer";
const AUDIENCE: &str = "token: wrong audience";
const SUBJECT: &str = "token: bad sub";
const SUBSCRIBE: &str = "token: bad subscribe";

const LONGEST_SUBJECT: usize = 256;
const LONGEST_PATTERN: usize = 1024;
/// A message has at most 64 effects.
const MOST_PATTERNS: usize = 64;
/// Dates are kept in ten digits.
const LATEST: i64 = 9_999_999_999;

/// What a verified token says.
#[derive(Debug)]
pub struct Claims<'a> {
    pub subject: Cow<'a, str>,
    /// Seconds since 1970.
    pub expires: Option<i64>,
    pub subscribe: Vec<Cow<'a, str>>,
    pub all: Value<'a>,
}

/// The decoded parts of a token; kept so that the next one finds room.
#[derive(Default)]
pub struct Parts {
    header: Vec<u8>,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// Splits a token into its three parts; none if it does not have three.
pub fn split(token: &[u8]) -> Option<[&[u8]; 3]> {
    let mut parts = token.split(|&c| c == b'.');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    if parts.next().is_some() || found.iter().any(|p| p.is_empty()) {
        return None;
    }
    Some(found)
}

/// Whether a payload that does not say so may be a token.
pub fn looks_like_one(text: &[u8]) -> bool {
    split(text).is_some() && text.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// Verifies a token. `now` is in seconds since 1970, none if there is no clock.
pub fn verify<'p>(config: &Config, token: &[u8], now: Option<i64>, parts: &'p mut Parts) -> Result<Claims<'p>, &'static str> {
    let [header, claims, signature] = split(token).ok_or(MALFORMED)?;
    decode(header, &mut parts.header)?;
    decode(claims, &mut parts.claims)?;
    decode(signature, &mut parts.signature)?;
    let key = key(config, object(&parts.header)?)?;
    let signed = &token[..header.len() + 1 + claims.len()];
    if !key.verify(signed, &parts.signature) {
        return Err(SIGNATURE);
    }
    check(config, object(&parts.claims)?, now)
}

fn decode(text: &[u8], to: &mut Vec<u8>) -> Result<(), &'static str> {
    to.clear();
    base64::decode(text, to).ok_or(MALFORMED)
}

fn object(text: &[u8]) -> Result<Value, &'static str> {
    let text = core::str::from_utf8(text).map_err(|_| MALFORMED)?;
    json::parse(text).ok().filter(|v| v.kind() == Kind::Object).ok_or(MALFORMED)
}

/// The key for a token. The algorithm is the key's or none: what the header says
/// must agree and decides nothing (RFC 8725, section 3.1).
fn key<'c>(config: &'c Config, header: Value) -> Result<&'c Key, &'static str> {
    let mut algorithm = None;
    let mut kid = None;
    for (name, value) in header.fields() {
        match name.as_ref() {
            "alg" => once(&mut algorithm, value)?,
            "kid" => once(&mut kid, value)?,
            "crit" => return Err(CRITICAL),
            _ => {}
        }
    }
    let algorithm = algorithm.and_then(|v| v.str());
    if !matches!(algorithm.as_deref(), Some("HS256" | "RS256")) {
        return Err(ALGORITHM);
    }
    let key = match &config.key {
        Some(key) => key,
        None => {
            let kid = kid.and_then(|v| v.str()).ok_or(KEY)?;
            config.keys.iter().find(|(name, _)| *name == kid).map(|(_, key)| key).ok_or(KEY)?
        }
    };
    match algorithm.as_deref() == Some(key.algorithm()) {
        true => Ok(key),
        false => Err(ALGORITHM),
    }
}

/// A name that appears twice makes a token ambiguous.
fn once<'a>(to: &mut Option<Value<'a>>, value: Value<'a>) -> Result<(), &'static str> {
    match to.replace(value) {
        Some(_) => Err(MALFORMED),
        None => Ok(()),
    }
}

fn check<'a>(config: &Config, claims: Value<'a>, now: Option<i64>) -> Result<Claims<'a>, &'static str> {
    let (mut sub, mut exp, mut nbf, mut iss, mut aud, mut subscribe) = (None, None, None, None, None, None);
    for (name, value) in claims.fields() {
        match name.as_ref() {
            "sub" => once(&mut sub, value)?,
            "exp" => once(&mut exp, value)?,
            "nbf" => once(&mut nbf, value)?,
            "iss" => once(&mut iss, value)?,
            "aud" => once(&mut aud, value)?,
            "subscribe" => once(&mut subscribe, value)?,
            _ => {}
        }
    }
    let expires = exp.map(date).transpose()?;
    let begins = nbf.map(date).transpose()?;
    if expires.is_some() || begins.is_some() {
        let now = now.ok_or(NO_CLOCK)?;
        if matches!(expires, Some(at) if now >= at + config.leeway) {
            return Err(EXPIRED);
        }
        if matches!(begins, Some(at) if now + config.leeway < at) {
            return Err(EARLY);
        }
    }
    if config.issuer.is_some() && iss.and_then(|v| v.str()).as_deref() != config.issuer.as_deref() {
        return Err(ISSUER);
    }
    if let Some(us) = &config.audience {
        if !aud.map_or(false, |v| meant_for(us, v)) {
            return Err(AUDIENCE);
        }
    }
    let subject = sub.and_then(|v| v.str()).filter(|s| is_name(s)).ok_or(SUBJECT)?;
    Ok(Claims { subject, expires, subscribe: patterns(subscribe)?, all: claims })
}

/// A date in seconds since 1970, whole or not (RFC 7519, section 2).
fn date(v: Value) -> Result<i64, &'static str> {
    if v.kind() != Kind::Number || v.raw().iter().any(|c| matches!(c, b'e' | b'E')) {
        return Err(MALFORMED);
    }
    let whole = v.raw().split(|&c| c == b'.').next().unwrap_or(&[]);
    if whole.starts_with(b"-") {
        return Ok(0);
    }
    Ok(whole.iter().fold(0, |n: i64, c| (n * 10 + (c - b'0') as i64).min(LATEST)))
}

/// `aud` is one name or an array of them.
fn meant_for(us: &str, v: Value) -> bool {
    let is_us = |v: Value| v.str().as_deref() == Some(us);
    is_us(v) || v.items().any(is_us)
}

/// Whether a subject can stand in a topic as one level, and in a destination.
fn is_name(s: &str) -> bool {
    !s.is_empty()
        && s.len() <= LONGEST_SUBJECT
        && !s.starts_with('$')
        && !s.bytes().any(|c| c < 0x20 || c == 0x7f || matches!(c, b'/' | b'+' | b'#' | b'*'))
}

fn patterns(v: Option<Value>) -> Result<Vec<Cow<str>>, &'static str> {
    let v = match v {
        None => return Ok(Vec::new()),
        Some(v) if v.kind() == Kind::Array => v,
        Some(_) => return Err(SUBSCRIBE),
    };
    let found = v.items().map(|p| p.str().filter(|p| is_pattern(p)).ok_or(SUBSCRIBE)).collect::<Result<Vec<_>, _>>()?;
    if found.len() > MOST_PATTERNS {
        return Err(SUBSCRIBE);
    }
    Ok(found)
}

/// A wildcard is a whole level, and `#` the last one.
fn is_pattern(p: &str) -> bool {
    let levels = p.split('/').count();
    let legal = |(i, level): (usize, &str)| match level {
        "#" => i == levels - 1,
        "+" | "*" => true,
        _ => !level.contains(|c| matches!(c, '#' | '+' | '*')),
    };
    !p.is_empty() && p.len() <= LONGEST_PATTERN && !p.bytes().any(|c| c < 0x20) && p.split('/').enumerate().all(legal)
}
