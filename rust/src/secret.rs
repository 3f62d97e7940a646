//! Text that must not be seen: it prints as `***` and is wiped from memory.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A key or another secret: it prints and serialises as `***`, and is wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself, for the request that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether the value of a header with this name is a secret.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "cookie"].iter().any(|part| name.contains(part))
}

/// Shorter texts are no secrets: replacing them would only garble messages.
const SHORTEST: usize = 6;

/// Replaces each secret of 6 or more bytes, also in its URL-encoded, escaped and base64 form, by `***`. A secret that was
/// cut off at the end of the text is replaced too.
#[must_use]
pub fn scrub(text: &str, secrets: &[Secret]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SHORTEST) {
        let escaped = [secret.escape_debug().to_string(), secret.replace('/', "\\/")];
        let encoded = [url_encoded(secret), base64(secret)];
        for form in [secret.to_owned()].into_iter().chain(escaped).chain(encoded) {
            if clean.contains(&form) {
                clean = clean.replace(&form, "***");
            }
            let cut = (SHORTEST..form.len()).rev().find(|length| {
                form.get(..*length).is_some_and(|beginning| clean.ends_with(beginning))
            });
            if let Some(length) = cut {
                clean.truncate(clean.len() - length);
                clean.push_str("***");
            }
        }
    }
    clean
}

fn url_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Base64 without padding, so that it is also found inside a longer encoding that begins with the secret.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| DIGITS.get((bits & 63) as usize).map_or('A', |d| char::from(*d));
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let byte = |index: usize| chunk.get(index).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for position in 0..=chunk.len() {
            out.push(digit(bits >> (18 - 6 * position)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let secret = Secret::new("sk-canary/1+2");
        assert_eq!(format!("{secret:?}"), "***");
        let dirty = format!(
            "a {} b {} c {}",
            "sk-canary/1+2",
            "sk-canary%2F1%2B2",
            base64("sk-canary/1+2")
        );
        assert_eq!(scrub(&dirty, &[secret]), "a *** b *** c ***");
    }

    #[test]
    fn a_secret_that_was_cut_off_does_not_show() {
        let secret = [Secret::new("sk-canary/1+2")];
        assert_eq!(scrub("a sk-canary/1", &secret), "a ***");
        assert_eq!(scrub("a sk-can", &secret), "a ***");
        assert_eq!(scrub("a sk-ca", &secret), "a sk-ca");
        assert_eq!(scrub(r#"{"k": "sk-canary\/1+2"}"#, &secret), r#"{"k": "***"}"#);
    }

    #[test]
    fn base64_is_right() {
        assert_eq!(base64("Man"), "TWFu");
        assert_eq!(base64("Ma"), "TWE");
    }

    #[test]
    fn short_texts_are_left_alone() {
        assert_eq!(scrub("test", &[Secret::new("test")]), "test");
    }
}
