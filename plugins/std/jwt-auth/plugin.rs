//! Authenticates sessions by a JSON Web Token: the password of a protocol that has
//! one, or else the session's first message.

#[allow(dead_code)] // each plugin uses a part of it
#[path = "../base64.rs"]
mod base64;
mod config;
mod der;
mod keys;
mod rsa;
#[path = "../settings.rs"]
mod settings;
mod sha256;
mod token;

use config::Config;
use token::{Claims, Parts};
use weft::{Message, Needs, Plugin, Verdict, Writer};

/// What a session's context is called with a verified token's subject, and with
/// the second since 1970 at which it ends.
const IDENTITY: &str = "identity";
const EXPIRES: &str = "exp";
/// What a session's beginning says: the protocol, and the password if there is one.
const PROTOCOL: &str = "protocol";
const PASSWORD: &str = "password";
/// The protocol that has a place for the token, so that nobody need wait for a
/// message: until then its clients could subscribe.
const MQTT: &str = "mqtt";
/// Dates are kept in ten digits; token.rs sees to it that they fit.
const DIGITS: usize = 10;
const LONGEST_CONTEXT: usize = 4 << 10;
const SECOND: i64 = 1_000_000_000;

struct JwtAuth {
    config: Config,
    parts: Parts,
}

impl Plugin for JwtAuth {
    fn init(config: &str) -> Result<Self, String> {
        Ok(JwtAuth { config: config::parse(config)?, parts: Parts::default() })
    }

    fn needs(&self) -> Needs {
        // One byte more than a token may have shows what is too long.
        Needs::none().context().attributes().payload(self.config.max_token + 1)
    }

    fn open(&mut self, session: &mut Message) -> Verdict {
        let password = match session.attribute(PASSWORD) {
            Some(password) => trim(password),
            None if self.config.required && session.attribute_str(PROTOCOL) == Some(MQTT) => return Verdict::close(token::MISSING),
            None => return Verdict::Continue,
        };
        let text = announced(password).unwrap_or(password);
        if text.len() > self.config.max_token as usize {
            return Verdict::close(token::TOO_LONG);
        }
        match self.establish(session, text, None) {
            Ok(_) => Verdict::Continue,
            Err(reason) => Verdict::close(reason),
        }
    }

    #[inline]
    fn message(&mut self, m: &mut Message) -> Verdict {
        let context = m.contexts();
        let identity = match context.get(IDENTITY) {
            None => return self.begin(m),
            Some(identity) => identity,
        };
        if let Some(expires) = context.get(EXPIRES) {
            if let Err(reason) = in_time(expires, m.time(), self.config.leeway) {
                return self.refuse(reason);
            }
        }
        if announced(m.payload()).is_some() {
            return self.renew(m, identity);
        }
        Verdict::Continue
    }
}

impl JwtAuth {
    /// Handles a message of a session that has no identity yet.
    #[cold]
    fn begin(&mut self, m: &mut Message) -> Verdict {
        if m.session() == 0 {
            return Verdict::Continue; // weft's own, or published through its API
        }
        let payload = m.payload();
        let text = match announced(payload) {
            Some(text) => text,
            None => match trim(payload) {
                text if token::looks_like_one(text) => text,
                _ if !self.config.required => return Verdict::Continue,
                _ => return self.refuse(token::MISSING),
            },
        };
        self.admit(m, text, None)
    }

    /// Handles a further token of a session that has an identity.
    #[cold]
    fn renew(&mut self, m: &mut Message, identity: &[u8]) -> Verdict {
        let text = announced(m.payload()).unwrap_or(&[]);
        self.admit(m, text, Some(identity))
    }

    /// Verifies a token and remembers what it says.
    fn admit(&mut self, m: &mut Message, text: &[u8], identity: Option<&[u8]>) -> Verdict {
        if m.payload_total() > self.config.max_token as usize {
            return self.refuse(token::TOO_LONG);
        }
        match self.establish(m, text, identity) {
            Ok(verdict) => verdict,
            Err(reason) => self.refuse(reason),
        }
    }

    /// Verifies a token and remembers what it says; answers what becomes of a
    /// message that brought it.
    fn establish(&mut self, m: &mut Message, text: &[u8], identity: Option<&[u8]>) -> Result<Verdict, &'static str> {
        let now = Some(m.time()).filter(|t| *t != 0).map(|t| t / SECOND);
        let claims = token::verify(&self.config, text, now, &mut self.parts)?;
        if matches!(identity, Some(is) if is != claims.subject.as_bytes()) {
            return Err("token: another identity");
        }
        remember(&self.config, m, &claims).ok_or("token: claims too long")?;
        for pattern in &claims.subscribe {
            m.subscribe(pattern.as_ref(), 0);
        }
        Ok(answer(&self.config, &claims.subject))
    }

    fn refuse(&self, reason: &'static str) -> Verdict {
        refusal(&self.config, reason)
    }
}

#[cold]
fn refusal(config: &Config, reason: &'static str) -> Verdict {
    match config.close {
        true => Verdict::close(reason),
        false => Verdict::drop(reason),
    }
}

/// Puts the identity and the configured claims into the session's context; none,
/// with nothing changed, if they do not fit.
fn remember(config: &Config, m: &mut Message, claims: &Claims) -> Option<()> {
    let expires = claims.expires.map(|at| format!("{:010}", at));
    let mut values = vec![(IDENTITY, Some(claims.subject.as_bytes())), (EXPIRES, expires.as_ref().map(|e| e.as_bytes()))];
    let found: Vec<_> = config.claims.iter().map(|(name, claim)| (name, claims.all.get(claim).and_then(scalar))).collect();
    values.extend(found.iter().map(|(name, value)| (name.as_str(), value.as_ref().map(|v| v.as_bytes()))));
    let added: usize = values.iter().map(|(name, value)| value.map_or(0, |v| 4 + name.len() + v.len())).sum();
    if m.contexts().as_bytes().len() + added > LONGEST_CONTEXT {
        return None;
    }
    for (name, value) in values {
        match value {
            Some(value) => m.set_context(name, value),
            None => m.remove_context(name),
        }
    }
    Some(())
}

/// A claim as text, if it is a string, a number or a bool.
fn scalar(v: weft::json::Value) -> Option<std::borrow::Cow<str>> {
    use weft::json::Kind;
    match v.kind() {
        Kind::String => v.str(),
        Kind::Number | Kind::Bool => core::str::from_utf8(v.raw()).ok().map(|t| t.into()),
        _ => None,
    }
}

/// What becomes of the message with the token.
fn answer(config: &Config, identity: &str) -> Verdict {
    if !config.strip {
        return Verdict::Continue;
    }
    let mut reply = Writer::new();
    for (i, part) in config.reply.iter().enumerate() {
        if i > 0 {
            reply.push(identity.as_bytes());
        }
        reply.push(part.as_bytes());
    }
    if reply.is_empty() {
        return Verdict::drop("token: accepted");
    }
    Verdict::reply(reply)
}

/// The token of a payload that says that it is one.
#[inline]
fn announced(payload: &[u8]) -> Option<&[u8]> {
    // The first byte tells nearly all others apart.
    let rest = match payload.first() {
        Some(b'A') => payload.strip_prefix(b"AUTH "),
        Some(b'B') => payload.strip_prefix(b"Bearer "),
        _ => None,
    };
    rest.map(trim)
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// Whether a session's token is still valid.
#[inline]
fn in_time(expires: &[u8], time: i64, leeway: i64) -> Result<(), &'static str> {
    if time == 0 {
        return Err(token::NO_CLOCK);
    }
    let digits: &[u8; DIGITS] = expires.try_into().map_err(|_| token::EXPIRED)?; // else not what this plugin wrote
    let at = digits.iter().fold(0, |n, c| n * 10 + c.wrapping_sub(b'0') as i64);
    if time / SECOND >= at + leeway {
        return Err(token::EXPIRED);
    }
    Ok(())
}

weft::plugin!(JwtAuth, hooks: [open]);
