//! The configuration, checked once.

use crate::keys::{self, Key};
use crate::settings::{wrong, Settings};
use weft::json::Kind;

const KEYS: &[&str] = &[
    "algorithm", "key", "keys", "issuer", "audience", "leeway", "required", "strip", "claims", "reply", "on_failure",
    "max_token",
];

const ALGORITHMS: &[&str] = &["HS256", "RS256"];
/// Signatures by RSA are longer than those by a secret.
const SHORT_TOKEN: i64 = 1024;
const LONG_TOKEN: i64 = 2048;

pub struct Config {
    /// The key of tokens without a name of one, or the only one.
    pub key: Option<Key>,
    /// The keys by their names, the header's `kid`.
    pub keys: Vec<(String, Key)>,
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
    let (key, keys) = found_keys(&s)?;
    let public = key.iter().chain(keys.iter().map(|(_, k)| k)).any(|k| matches!(k, Key::Public(_)));
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
        key,
        keys,
        issuer: s.text("issuer")?,
        audience: s.text("audience")?,
        leeway: s.number("leeway", 0, 3600)?.unwrap_or(0),
        required: s.flag("required")?.unwrap_or(true),
        strip,
        claims,
        reply: reply.as_deref().unwrap_or("OK {identity}").split("{identity}").map(String::from).collect(),
        close: s.word("on_failure", &["close", "drop"])?.map_or(true, |w| w == "close"),
        max_token: s.number("max_token", 64, 65536)?.unwrap_or(if public { LONG_TOKEN } else { SHORT_TOKEN }) as u32,
    })
}

/// The only key, or several by their names.
fn found_keys(s: &Settings) -> Result<(Option<Key>, Vec<(String, Key)>), String> {
    let (key, named) = match (s.get("key"), s.get("keys")) {
        (Some(_), Some(_)) => return Err("keys: is set beside key; expected one of the two".into()),
        (Some(v), None) => (Some(keys::parse("key", v, None)?), Vec::new()),
        (None, Some(v)) if v.kind() == Kind::Object && v.fields().next().is_some() => {
            let parse = |(name, v): (std::borrow::Cow<str>, _)| {
                let key = keys::parse(&format!("keys.{}", name), v, Some(&name))?;
                Ok((name.into_owned(), key))
            };
            (None, v.fields().map(parse).collect::<Result<_, String>>()?)
        }
        (None, Some(v)) => return Err(wrong("keys", Some(v), "an object of names and keys")),
        (None, None) => return Err("key: is missing; expected what tokens are signed with (a secret, or a public key), or keys: {NAME: KEY}".into()),
    };
    if let Some(algorithm) = s.word("algorithm", ALGORITHMS)? {
        let one = key.iter().map(|k| ("key".to_string(), k));
        let all = one.chain(named.iter().map(|(name, k)| (format!("keys.{}", name), k)));
        for (place, k) in all {
            if k.algorithm() != algorithm {
                return Err(format!("{}: is a key for {}, but algorithm is {}", place, k.algorithm(), algorithm));
            }
        }
    }
    Ok((key, named))
}
