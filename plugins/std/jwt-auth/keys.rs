//! The keys that tokens are verified with. What kind a key is decides which
//! algorithm its tokens have: what a token says decides nothing (RFC 8725,
//! section 3.1).

use crate::base64;
use crate::der;
use crate::rsa::PublicKey;
use crate::settings::{wrong, Settings};
use crate::sha256::{Hmac, Sha256};
use weft::json::{self, Kind, Value};

/// A signature with a shorter key can be guessed (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
const JWK: &[&str] = &["kty", "n", "e", "k", "kid", "use", "alg", "key_ops", "x5c", "x5t", "x5t#S256", "x5u"];

pub enum Key {
    Secret(Hmac),
    Public(Box<PublicKey>),
}

impl Key {
    /// The value of `alg` in the header of its tokens (RFC 7518, section 3.1).
    pub fn algorithm(&self) -> &'static str {
        match self {
            Key::Secret(_) => "HS256",
            Key::Public(_) => "RS256",
        }
    }

    /// Reports whether the signature is the message's.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Secret(secret) => secret.verify(message, signature),
            Key::Public(key) => {
                let mut hash = Sha256::new();
                hash.update(message);
                key.verify(&hash.finish(), signature)
            }
        }
    }
}

/// A key of the configuration: a secret, PEM, or a JWK (RFC 7517) as an object or
/// as its text. `kid` is the name that it has there.
pub fn parse(place: &str, v: Value, kid: Option<&str>) -> Result<Key, String> {
    const EXPECTED: &str = "a secret, a public key in PEM or a JWK";
    match v.kind() {
        Kind::Object => jwk(place, v, kid),
        Kind::String => {
            let text = v.string().ok_or_else(|| wrong(place, Some(v), EXPECTED))?;
            text_key(place, &text, kid)
        }
        _ => Err(wrong(place, Some(v), EXPECTED)),
    }
}

/// A public key that was mistaken for a secret would let everybody sign: what
/// looks like one is one, or refused.
fn text_key(place: &str, text: &str, kid: Option<&str>) -> Result<Key, String> {
    let trimmed = text.trim();
    if trimmed.contains(der::BEGIN) || trimmed.starts_with("---") {
        let (n, e) = der::public_key(trimmed).map_err(|e| format!("{}: {}", place, e))?;
        return public(place, &n, &e);
    }
    if trimmed.starts_with('{') {
        let v = json::parse(trimmed).map_err(|e| format!("{}: begins like a JWK, but is {}", place, e))?;
        return jwk(place, v, kid);
    }
    for (start, what) in [("MII", "a key without its lines -----BEGIN and -----END"), ("ssh-", "a key for SSH (ssh-keygen -e -m pkcs8 converts it)")] {
        if trimmed.starts_with(start) {
            return Err(format!("{}: looks like {}; expected a secret, a public key in PEM or a JWK", place, what));
        }
    }
    secret(place, text.as_bytes())
}

fn secret(place: &str, key: &[u8]) -> Result<Key, String> {
    if key.len() < SHORTEST_SECRET {
        return Err(format!("{}: expected at least {} bytes for HS256, found {}", place, SHORTEST_SECRET, key.len()));
    }
    Ok(Key::Secret(Hmac::new(key)))
}

fn public(place: &str, n: &[u8], e: &[u8]) -> Result<Key, String> {
    let exponent = match e.len() {
        0..=4 => e.iter().fold(0, |sum: u32, b| sum << 8 | *b as u32),
        more => return Err(format!("{}: expected an RSA key with an exponent of at most 4 bytes, found {}", place, more)),
    };
    let key = PublicKey::new(n, exponent).map_err(|e| format!("{}: {}", place, e))?;
    Ok(Key::Public(Box::new(key)))
}

fn jwk(place: &str, v: Value, kid: Option<&str>) -> Result<Key, String> {
    for part in ["d", "p", "q"] {
        if v.get(part).is_some() {
            return Err(format!("{}.{}: is part of a private key, which does not belong here", place, part));
        }
    }
    let s = Settings::of(v, place.into(), JWK)?;
    if let (Some(named), Some(kid)) = (s.text("kid")?, kid) {
        if named != kid {
            return Err(format!("{}: is the name of the key, but its kid is \"{}\"", place, named));
        }
    }
    s.word("use", &["sig"])?;
    let operations = v.get("key_ops");
    if matches!(operations, Some(o) if !o.items().any(|o| o.str().as_deref() == Some("verify"))) {
        return Err(wrong(&s.path("key_ops"), operations, "an array with \"verify\""));
    }
    let bytes = |name: &str| -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let text = s.text(name)?.ok_or_else(|| format!("{}: is missing", s.path(name)))?;
        base64::decode(text.as_bytes(), &mut bytes).ok_or_else(|| format!("{}: is not base64url", s.path(name)))?;
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        Ok(if name == "k" { bytes } else { bytes.split_off(zeros) })
    };
    let key = match s.word("kty", &["RSA", "oct"])?.as_deref() {
        Some("RSA") => public(place, &bytes("n")?, &bytes("e")?)?,
        Some(_) => secret(&s.path("k"), &bytes("k")?)?,
        None => return Err(format!("{}: is missing", s.path("kty"))),
    };
    match s.text("alg")? {
        Some(alg) if alg != key.algorithm() => Err(format!("{}: is \"{}\", but the key is for {}", s.path("alg"), alg, key.algorithm())),
        _ => Ok(key),
    }
}
