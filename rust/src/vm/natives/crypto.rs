//! `std::crypto`: digests over the UTF-8 bytes of a text, and base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};

use super::{Failure, Function, Outcome, Table, text};
use crate::value::{Value, builtin};

pub(super) static TABLE: Table = &[
    ("crypto.sha256", Function::Pure(1, |a| Ok(hex(&Sha256::digest(text(a, 0)?.as_bytes()))))),
    ("crypto.sha512", Function::Pure(1, |a| Ok(hex(&Sha512::digest(text(a, 0)?.as_bytes()))))),
    ("crypto.md5", Function::Pure(1, |a| Ok(hex(&Md5::digest(text(a, 0)?.as_bytes()))))),
    ("crypto.hmac_sha256", Function::Pure(2, hmac_sha256)),
    (
        "crypto.base64_encode",
        Function::Pure(1, |a| Ok(STANDARD.encode(text(a, 0)?.as_bytes()).into())),
    ),
    ("crypto.base64_decode", Function::Pure(1, base64_decode)),
];

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn hmac_sha256(args: &mut [Value]) -> Outcome {
    let (key, message) = (text(args, 0)?, text(args, 1)?);
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| Failure::Broken)?;
    mac.update(message.as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

fn base64_decode(args: &mut [Value]) -> Outcome {
    let input = text(args, 0)?;
    let bytes = STANDARD.decode(input.as_bytes()).ok();
    Ok(match bytes.map(String::from_utf8) {
        Some(Ok(decoded)) => Value::ok(decoded.into()),
        Some(Err(_)) => undecodable("the decoded bytes are no UTF-8", input),
        None => undecodable("the text is no base64", input),
    })
}

fn undecodable(message: &str, input: &str) -> Value {
    Value::err(builtin::decode_error(message, input))
}
