//! Public RSA keys as PEM (RFC 7468): a SubjectPublicKeyInfo (RFC 5280, section
//! 4.1.2.7, with RFC 3279, section 2.3.1) or an RSAPublicKey (RFC 8017, appendix
//! A.1.1). DER (X.690) is read strictly.

use crate::base64;

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const ELLIPTIC: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const NULL: [u8; 2] = [0x05, 0x00];

/// What a text has somewhere that is meant to be PEM.
pub const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// The modulus and exponent of a key in PEM, without zero bytes before them.
pub fn public_key(pem: &str) -> Result<(Vec<u8>, Vec<u8>), String> {
    let (label, der) = decode(pem)?;
    let key = match label {
        "PUBLIC KEY" => subject_key(&der)?,
        "RSA PUBLIC KEY" => &der,
        "CERTIFICATE" => return Err(expected("a certificate (openssl x509 -pubkey -noout gives its key)")),
        l if l.ends_with("PRIVATE KEY") => return Err(expected("a private key, which does not belong here (openssl pkey -pubout)")),
        l => return Err(expected(&format!("\"{}\"", l))),
    };
    integers(key).ok_or_else(malformed)
}

fn expected(found: &str) -> String {
    format!("expected a PUBLIC KEY or RSA PUBLIC KEY in PEM, found {}", found)
}

fn malformed() -> String {
    "the PEM holds no well-formed RSA public key".into()
}

/// The label and the bytes of the only block of a text.
fn decode(pem: &str) -> Result<(&str, Vec<u8>), String> {
    let broken = |what: &str| format!("broken PEM: {}", what);
    let text = pem.trim().strip_prefix(BEGIN).ok_or_else(|| broken("it does not begin with -----BEGIN"))?;
    let (label, text) = text.split_once(DASHES).ok_or_else(|| broken("the first line has no end"))?;
    let end = format!("{}END {}{}", DASHES, label, DASHES);
    let text = text.strip_suffix(end.as_str()).ok_or_else(|| broken(&format!("the last line is not {}", end)))?;
    let text: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let mut der = Vec::new();
    base64::standard(&text, &mut der).ok_or_else(|| broken("it is not base64"))?;
    Ok((label, der))
}

/// The RSAPublicKey inside a SubjectPublicKeyInfo.
fn subject_key(der: &[u8]) -> Result<&[u8], String> {
    let (algorithm, bits) = parts(der).ok_or_else(malformed)?;
    match algorithm {
        Algorithm::Rsa => {}
        Algorithm::Pss => return Err(expected("a key for RSASSA-PSS, which RS256 is not")),
        Algorithm::Elliptic => return Err(expected("an elliptic curve's key; RS256 needs RSA")),
        Algorithm::Other => return Err(expected("a key of another kind; RS256 needs RSA")),
    }
    match bits {
        [0, key @ ..] => Ok(key), // no unused bits
        _ => Err(malformed()),
    }
}

enum Algorithm {
    Rsa,
    Pss,
    Elliptic,
    Other,
}

fn parts(der: &[u8]) -> Option<(Algorithm, &[u8])> {
    let (info, rest) = element(der, SEQUENCE)?;
    let (identifier, info) = element(info, SEQUENCE)?;
    let (object, parameters) = element(identifier, OBJECT)?;
    let (bits, end) = element(info, BITS)?;
    let algorithm = match object {
        o if o == RSA && parameters == NULL => Algorithm::Rsa,
        o if o == RSA_PSS => Algorithm::Pss,
        o if o == ELLIPTIC => Algorithm::Elliptic,
        o if o == RSA => return None,
        _ => Algorithm::Other,
    };
    if rest.is_empty() && end.is_empty() {
        Some((algorithm, bits))
    } else {
        None
    }
}

fn integers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (key, rest) = element(der, SEQUENCE)?;
    let (n, key) = positive(key)?;
    let (e, key) = positive(key)?;
    if rest.is_empty() && key.is_empty() {
        Some((n, e))
    } else {
        None
    }
}

/// A positive integer in as few bytes as it needs, and what follows it.
fn positive(der: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (bytes, rest) = element(der, INTEGER)?;
    match bytes {
        [0, high @ 0x80..=0xff, tail @ ..] => Some(([&[*high], tail].concat(), rest)),
        [0x01..=0x7f, ..] => Some((bytes.to_vec(), rest)),
        _ => None,
    }
}

/// The content of the element with this tag that comes first, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (first as usize, rest),
        0x81 => (*rest.first().filter(|n| **n >= 0x80)? as usize, &rest[1..]),
        0x82 => match rest {
            [high @ 1..=0xff, low, rest @ ..] => (u16::from_be_bytes([*high, *low]) as usize, rest),
            _ => return None,
        },
        _ => return None, // longer than any key, or without a length
    };
    if found != tag || length > rest.len() {
        return None;
    }
    Some(rest.split_at(length))
}
