//! Text that must not be seen: it prints as `***` and is wiped from memory.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A key or another secret.
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

/// Replaces each secret of 6 or more bytes, also in its URL-encoded and base64 form, by `***`.
#[must_use]
pub fn scrub(text: &str, secrets: &[Secret]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets {
        let plain = secret.expose();
        if plain.len() < 6 {
            continue;
        }
        for form in [plain.to_owned(), url_encoded(plain), base64(plain)] {
            if clean.contains(&form) {
                clean = clean.replace(&form, "***");
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
    fn base64_is_right() {
        assert_eq!(base64("Man"), "TWFu");
        assert_eq!(base64("Ma"), "TWE");
    }

    #[test]
    fn short_texts_are_left_alone() {
        assert_eq!(scrub("test", &[Secret::new("test")]), "test");
    }
}
