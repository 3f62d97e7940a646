//! Randomness: the generator of a run, which a seed makes repeatable, and that of the operating system, for what must not be guessed.

use std::sync::{Mutex, PoisonError};

use super::Answer;
use crate::value::Value;
use crate::vm::PanicKind;

/// More bytes than this are refused.
const MOST_BYTES: i64 = 65_536;

/// Uniform in [0, 1).
pub(super) fn float(random: &Mutex<fastrand::Rng>) -> Value {
    Value::Float(random.lock().unwrap_or_else(PoisonError::into_inner).f64())
}

/// Uniform from `least` to before `bound`.
pub(super) fn int(random: &Mutex<fastrand::Rng>, least: i64, bound: i64) -> Answer {
    if least >= bound {
        let message = format!("there is no Int from {least} to before {bound}");
        return Err((PanicKind::InvalidArgument, message));
    }
    let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(random.i64(least..bound).into())
}

/// A UUID of version 4.
pub(super) fn uuid() -> Answer {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes)?;
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let digits = hex(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    Ok(parts.join("-").into())
}

/// So many bytes as hexadecimal digits.
pub(super) fn bytes(count: i64) -> Answer {
    let count = match usize::try_from(count) {
        Ok(bytes) if count <= MOST_BYTES => bytes,
        _ => {
            let message = format!("the number of bytes must be 0 to {MOST_BYTES}, found {count}");
            return Err((PanicKind::InvalidArgument, message));
        }
    };
    let mut bytes = vec![0_u8; count];
    fill(&mut bytes)?;
    Ok(hex(&bytes).into())
}

fn fill(bytes: &mut [u8]) -> Result<(), (PanicKind, String)> {
    getrandom::fill(bytes).map_err(|error| {
        (PanicKind::Panic, format!("the operating system has no randomness: {error}"))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_the_bound_is_never_reached() {
        let draw = || {
            let random = Mutex::new(fastrand::Rng::with_seed(7));
            (0..200).map(|_| int(&random, -1, 2).unwrap().to_string()).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        for (number, is_there) in [("-1", true), ("0", true), ("1", true), ("2", false)] {
            assert_eq!(drawn.iter().any(|each| each == number), is_there, "{number}");
        }
        assert!(int(&Mutex::new(fastrand::Rng::new()), 1, 1).is_err());
    }

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let (one, other) = (uuid().unwrap().to_string(), uuid().unwrap().to_string());
        let form = regex::Regex::new(
            "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        )
        .unwrap();
        assert!(form.is_match(&one) && form.is_match(&other), "{one} {other}");
        assert_ne!(one, other);
        assert_eq!(bytes(3).unwrap().to_string().len(), 6);
        assert!(bytes(-1).is_err() && bytes(65_537).is_err());
    }
}
