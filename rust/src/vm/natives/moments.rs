//! `std::time`: moments, which are Unix milliseconds, as text and back. The calendar is the Gregorian one in both directions of time.

use super::{Function, Outcome, Table, int, panic, text};
use crate::value::{Value, builtin};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    (
        "time.format",
        Function::Pure(1, |a| {
            let moment = int(a, 0)?;
            format(moment).map_or_else(|| unwritable(moment), |text| Ok(text.into()))
        }),
    ),
    (
        "time.parse",
        Function::Pure(1, |a| {
            let input = text(a, 0)?;
            Ok(parse(input.trim()).map_or_else(
                || Value::err(builtin::time_error(input)),
                |moment| Value::ok(moment.into()),
            ))
        }),
    ),
];

const DAY_MS: i64 = 86_400_000;

fn unwritable(moment: i64) -> Outcome {
    let message = format!("{moment} ms is outside of the years 0000 to 9999");
    panic(PanicKind::InvalidArgument, message)
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`; `None` outside of the years 0 to 9999.
fn format(moment: i64) -> Option<String> {
    let (days, rest) = (moment.div_euclid(DAY_MS), moment.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let (seconds, ms) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    (0..=9999).contains(&year).then(|| {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    })
}

/// Year, month and day of a day counted from 1970-01-01. Years of the calculation begin in March, so that a leap day is the last of its year.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // from 0000-03-01
    let era = shifted.div_euclid(146_097); // 400 years
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The day counted from 1970-01-01; the inverse of [`date`].
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A date, or a date and a time with an optional zone; without one it is UTC.
fn parse(input: &str) -> Option<i64> {
    let mut rest = Digits(input);
    let year = rest.number(4)?;
    rest.one_of("-")?;
    let month = rest.number(2)?;
    rest.one_of("-")?;
    let day = rest.number(2)?;
    let days = day_number(year, month, day);
    if !(1..=12).contains(&month) || date(days) != (year, month, day) {
        return None;
    }
    let time = if rest.0.is_empty() { 0 } else { time(&mut rest)? };
    rest.0.is_empty().then_some(days * DAY_MS + time)
}

/// `THH:MM`, then seconds, their fraction and the zone if they are there; in milliseconds from midnight UTC.
fn time(rest: &mut Digits<'_>) -> Option<i64> {
    rest.one_of("Tt ")?;
    let hour = rest.number(2)?;
    rest.one_of(":")?;
    let minute = rest.number(2)?;
    let (mut second, mut ms) = (0, 0);
    if rest.one_of(":").is_some() {
        second = rest.number(2)?;
        if rest.one_of(".,").is_some() {
            ms = rest.fraction()?;
        }
    }
    // A leap second counts as the first of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = match rest.one_of("Zz+-") {
        Some(sign @ ('+' | '-')) => {
            let hours = rest.number(2)?;
            let _ = rest.one_of(":");
            let minutes = rest.number(2)?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == '+' { 1 } else { -1 }
        }
        _ => 0,
    };
    Some(((hour * 60 + minute - offset) * 60 + second) * 1000 + ms)
}

/// What is left of a text.
struct Digits<'a>(&'a str);

impl Digits<'_> {
    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.0 = rest;
        number.parse().ok()
    }

    /// The next character, if it is one of these.
    fn one_of(&mut self, characters: &str) -> Option<char> {
        let next = self.0.chars().next().filter(|c| characters.contains(*c))?;
        self.0 = self.0.get(next.len_utf8()..)?;
        Some(next)
    }

    /// Milliseconds of a fraction; what is finer is cut off.
    fn fraction(&mut self) -> Option<i64> {
        let count = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at_checked(count).filter(|_| count > 0)?;
        self.0 = rest;
        let mut three: String = digits.chars().take(3).collect();
        while three.len() < 3 {
            three.push('0');
        }
        three.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_one_form_and_read_in_many() {
        for (text, moment) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T12:30:45.678Z", 951_827_445_678),
            ("2026-11-26T00:00:00.000Z", 1_795_651_200_000),
            ("0000-01-01T00:00:00.000Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(format(moment).as_deref(), Some(text));
            assert_eq!(parse(text), Some(moment));
        }
        for (text, moment) in [
            ("2000-02-29", 951_782_400_000),
            ("2000-02-29 12:30", 951_827_400_000),
            ("2000-02-29t12:30:45.6789z", 951_827_445_678),
            ("2000-02-29T12:30:45+02:00", 951_820_245_000),
            ("2000-02-29T12:30:45.5-0530", 951_847_245_500),
            ("1998-12-31T23:59:60Z", 915_148_800_000),
        ] {
            assert_eq!(parse(text), Some(moment), "{text}");
        }
        assert_eq!(format(253_402_300_800_000), None);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2000",
            "2000-13-01",
            "2001-02-29",
            "2000-02-30",
            "2000-1-1",
            "2000-02-29T",
            "2000-02-29T24:00",
            "2000-02-29T12:60",
            "2000-02-29T12:30:61",
            "2000-02-29T12:30:45.",
            "2000-02-29T12:30Zx",
            "2000-02-29T12:30+2",
            "2000-02-29T12:30+24:00",
            "é000-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
