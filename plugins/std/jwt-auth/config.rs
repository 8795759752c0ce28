//! The configuration, checked once.

use crate::settings::Settings;
use crate::sha256::Hmac;

const KEYS: &[&str] = &[
    "algorithm", "key", "keys", "issuer", "audience", "leeway", "required", "strip", "claims", "reply", "on_failure",
    "max_token",
];

/// A signature with a shorter key can be guessed (RFC 7518, section 3.2).
const SHORTEST_KEY: usize = 32;

pub struct Config {
    /// The key of tokens without a name of one, or the only one.
    pub key: Option<Hmac>,
    /// The keys by their names, the header's `kid`.
    pub keys: Vec<(String, Hmac)>,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// By how many seconds clocks may differ.
    pub leeway: i64,
    /// Messages of a session without an identity are refused.
    pub required: bool,
    /// A token goes no further than here.
    pub strip: bool,
    /// What is remembered of the claims: name in the context, claim.
    pub claims: Vec<(String, String)>,
    /// The answer to an accepted token, split where the identity belongs.
    pub reply: Vec<String>,
    /// A refused token ends the session.
    pub close: bool,
    /// The longest payload that can be a token.
    pub max_token: u32,
}

pub fn parse(text: &str) -> Result<Config, String> {
    let s = Settings::new(text, KEYS)?;
    match s.text("algorithm")?.as_deref() {
        None | Some("HS256") => {}
        Some("RS256") => return Err("algorithm: RS256 is not supported yet; expected HS256".into()),
        Some(other) => return Err(format!("algorithm: unknown value \"{}\"; expected HS256", other)),
    }
    let key = s.text("key")?;
    let named = s.texts("keys")?;
    match (&key, named.is_empty()) {
        (None, true) => return Err("key: is missing; expected the secret that tokens are signed with, or keys: {NAME: SECRET}".into()),
        (Some(_), false) => return Err("keys: is set beside key; expected one of the two".into()),
        _ => {}
    }
    let strip = s.flag("strip")?.unwrap_or(true);
    let reply = s.text("reply")?;
    if !strip && reply.is_some() {
        return Err("reply: is set although strip is false; a token that is passed on is not answered".into());
    }
    let claims = s.texts("claims")?;
    for (name, _) in &claims {
        if name.is_empty() || name == "identity" || name == "exp" {
            return Err(format!("claims.{}: expected a name other than identity and exp, which are always set", name));
        }
    }
    Ok(Config {
        key: key.map(|k| secret("key", &k)).transpose()?,
        keys: named.into_iter().map(|(n, k)| Ok((n.clone(), secret(&format!("keys.{}", n), &k)?))).collect::<Result<_, String>>()?,
        issuer: s.text("issuer")?,
        audience: s.text("audience")?,
        leeway: s.number("leeway", 0, 3600)?.unwrap_or(0),
        required: s.flag("required")?.unwrap_or(true),
        strip,
        claims,
        reply: reply.as_deref().unwrap_or("OK {identity}").split("{identity}").map(String::from).collect(),
        close: s.word("on_failure", &["close", "drop"])?.map_or(true, |w| w == "close"),
        max_token: s.number("max_token", 64, 65536)?.unwrap_or(1024) as u32,
    })
}

fn secret(place: &str, key: &str) -> Result<Hmac, String> {
    if key.len() < SHORTEST_KEY {
        return Err(format!("{}: expected at least {} bytes for HS256, found {}", place, SHORTEST_KEY, key.len()));
    }
    Ok(Hmac::new(key.as_bytes()))
}
