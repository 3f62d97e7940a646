//! How long a server wants us to wait: six sources, the first that gives a value counts; and what it says about its limits. Pure; `now` comes
//! from the caller.

use std::time::{Duration, SystemTime};

use crate::wire::{ServerLimit, find};

/// What servers limit, in headers and in metrics.
const LIMITED: [(&str, &str); 4] = [
    ("requests", "requests"),
    ("tokens", "tokens"),
    ("input-tokens", "input_tokens"),
    ("output-tokens", "output_tokens"),
];

/// The server's wish. `told` is what the body says outside of its text; a number that is none, or negative, is absent.
pub(super) fn wish(
    headers: &[(String, String)],
    told: Option<Duration>,
    message: &str,
    now: SystemTime,
) -> Option<Duration> {
    let millis = || find(headers, "retry-after-ms").and_then(|text| seconds(text, 0.001));
    let plain = || find(headers, "retry-after").and_then(|text| seconds_or_date(text, now));
    millis()
        .or_else(plain)
        .or(told)
        .or_else(|| reset_after(headers))
        .or_else(|| reset_at(headers, now))
        .or_else(|| in_text(message))
}

/// What an answer says about the limits of its server, by what is limited (C-92).
pub(super) fn server_limits(
    headers: &[(String, String)],
    now: SystemTime,
) -> Vec<(&'static str, ServerLimit)> {
    if !headers.iter().any(|(name, _)| name.contains("-ratelimit-")) {
        return Vec::new();
    }
    let told = LIMITED.map(|(what, name)| {
        let plain = |part: &str| find(headers, &format!("x-ratelimit-{part}-{what}"));
        let own = |part: &str| find(headers, &format!("anthropic-ratelimit-{what}-{part}"));
        let number = |part: &str| plain(part).or_else(|| own(part))?.trim().parse().ok();
        let at = || Some(rfc3339(own("reset")?.trim())?.duration_since(now).unwrap_or_default());
        let resets_in = plain("reset").and_then(duration).or_else(at);
        (name, ServerLimit { limit: number("limit"), remaining: number("remaining"), resets_in })
    });
    told.into_iter().filter(|(_, told)| *told != ServerLimit::default()).collect()
}

/// Seconds, or an HTTP date: one in the past means no wait.
fn seconds_or_date(text: &str, now: SystemTime) -> Option<Duration> {
    seconds(text, 1.0).or_else(|| {
        let date = httpdate::parse_http_date(text.trim()).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}

/// Limits that reset after a while, where nothing remains: the longest.
fn reset_after(headers: &[(String, String)]) -> Option<Duration> {
    let reset = |what: &&str| {
        let remaining = find(headers, &format!("x-ratelimit-remaining-{what}"))?;
        let reset = find(headers, &format!("x-ratelimit-reset-{what}"))?;
        duration(reset).filter(|wait| remaining.trim() == "0" && !wait.is_zero())
    };
    ["requests", "tokens"].iter().filter_map(reset).max()
}

/// Limits that reset at a time, where nothing remains: the latest.
fn reset_at(headers: &[(String, String)], now: SystemTime) -> Option<Duration> {
    let reset = |what: &&str| {
        let remaining = find(headers, &format!("anthropic-ratelimit-{what}-remaining"))?;
        let reset = find(headers, &format!("anthropic-ratelimit-{what}-reset"))?;
        let at = rfc3339(reset.trim()).filter(|_| remaining.trim() == "0")?;
        Some(at.duration_since(now).unwrap_or_default())
    };
    ["requests", "tokens", "input-tokens", "output-tokens"].iter().filter_map(reset).max()
}

/// `try again in 5.289s`, `retry in 8.94s`, `retry after 26 seconds`.
fn in_text(message: &str) -> Option<Duration> {
    let text = message.to_lowercase();
    ["try again in ", "retry in ", "retry after "].iter().find_map(|sign| {
        let rest = text.get(text.find(sign)? + sign.len()..)?;
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || "hmsd".contains(c)))
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let unit = match after.trim_start() {
            word if word.starts_with("minute") => "m",
            word if word.starts_with("hour") => "h",
            word if word.starts_with("millisecond") => "ms",
            _ => "",
        };
        duration(&format!("{}{unit}", number.trim_end_matches('.')))
    })
}

fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

/// `12ms`, `6.4s`, `6m0s`, `1h30m`, `1d2h`, or bare seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Some(bare) = seconds(text, 1.0) {
        return Some(bare);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(seconds(number, unit)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A time such as `2026-11-23T10:00:31Z` or `2026-11-23T11:00:31.5+01:00`.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone = time.rfind(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let mut time = time.splitn(3, ':');
    let mut next = || time.next().and_then(|part| part.parse::<f64>().ok());
    let (hour, minute, second) = (next()?, next()?, next()?);
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0.0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let east = hours.parse::<f64>().ok()? * 3600.0 + minutes.parse::<f64>().ok()? * 60.0;
            if sign == "-" { -east } else { east }
        }
    };
    let in_range = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0.0..24.0).contains(&hour)
        && (0.0..60.0).contains(&minute)
        && (0.0..61.0).contains(&second);
    let days = u32::try_from(days_from_civil(year, month, day)).ok().filter(|_| in_range)?;
    let since = f64::from(days) * 86_400.0 + hour * 3600.0 + minute * 60.0 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(since).ok()?)
}

/// Days since 1970-01-01 in the Gregorian calendar, for years from 1970 on: years begin in March, so that the leap day is the last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T10:00:00Z
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_428_000)
    }

    /// Headers, text, milliseconds.
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<u64>);

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn durations_have_many_forms() {
        for (text, millis) in [
            ("12ms", 12),
            ("6.4s", 6400),
            ("6m0s", 360_000),
            ("2m59.56s", 179_560),
            ("1h30m", 5_400_000),
            ("1d2h", 93_600_000),
            ("22", 22_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        let huge = "18446744073709551615s18446744073709551615s";
        for bad in ["", "x", "5y", "-3", "-1", "NaN", "inf", "1e300", huge] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    // C-92, providers.md 9.4
    #[test]
    fn limits_of_servers() {
        let told = |limit, remaining, seconds: Option<u64>| ServerLimit {
            limit,
            remaining,
            resets_in: seconds.map(Duration::from_secs),
        };
        let openai = headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "1m30s"),
            ("x-ratelimit-remaining-tokens", "many"),
            ("x-ratelimit-limit-tokens", " 30000 "),
            ("x-ratelimit-reset-tokens", "-1"),
        ]);
        assert_eq!(
            server_limits(&openai, now()),
            [
                ("requests", told(Some(500), Some(499), Some(90))),
                ("tokens", told(Some(30_000), None, None))
            ]
        );
        let anthropic = headers(&[
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-23T10:00:31Z"),
            ("anthropic-ratelimit-output-tokens-limit", "8000"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-23T09:00:00Z"),
            ("anthropic-ratelimit-input-tokens-limit", "-7"),
        ]);
        assert_eq!(
            server_limits(&anthropic, now()),
            [
                ("requests", told(None, Some(0), Some(31))),
                ("output_tokens", told(Some(8000), None, Some(0)))
            ]
        );
        assert_eq!(server_limits(&headers(&[("retry-after", "1")]), now()), []);
    }

    // C-71, providers.md 9.4: each source alone, in its forms.
    #[test]
    fn six_sources() {
        let date = ("retry-after", "Mon, 23 Nov 2026 10:01:00 GMT");
        let past = ("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT");
        let none = ("x-ratelimit-remaining-requests", "0");
        let left = ("x-ratelimit-remaining-requests", "1");
        let rows: [Row; 20] = [
            (&[("retry-after-ms", "1500.5")], "", Some(1500)),
            (&[("retry-after", "2.5")], "", Some(2500)),
            (&[date], "", Some(60_000)),
            (&[past], "", Some(0)),
            (&[none, ("x-ratelimit-reset-requests", "6m0s")], "", Some(360_000)),
            (&[none, ("x-ratelimit-reset-requests", "17")], "", Some(17_000)),
            (&[none, ("x-ratelimit-reset-requests", "0")], "", None),
            (&[none, ("x-ratelimit-reset-requests", "-1")], "", None),
            (&[left, ("x-ratelimit-reset-requests", "17")], "", None),
            (
                &[
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "2026-11-23T10:00:31Z"),
                    ("anthropic-ratelimit-requests-remaining", "0"),
                    ("anthropic-ratelimit-requests-reset", "2026-11-23T11:00:40.5+01:00"),
                    ("anthropic-ratelimit-output-tokens-remaining", "7"),
                    ("anthropic-ratelimit-output-tokens-reset", "2026-11-23T11:00:00Z"),
                ],
                "",
                Some(40_500),
            ),
            (&[], "Please try again in 5.289s. Visit", Some(5289)),
            (&[], "Please retry in 8.5s.", Some(8500)),
            (&[], "Retry after 26 seconds", Some(26_000)),
            (&[], "try again in 1m2s.", Some(62_000)),
            (&[], "try again in 2 minutes", Some(120_000)),
            (&[], "try again in 20ms", Some(20)),
            (&[], "try again later", None),
            (&[("retry-after-ms", "-5")], "", None),
            (&[("retry-after", "NaN")], "", None),
            (&[("retry-after", "soon")], "", None),
        ];
        for (pairs, text, millis) in rows {
            let found = wish(&headers(pairs), None, text, now()).map(|wait| wait.as_millis());
            assert_eq!(found, millis.map(u128::from), "{pairs:?} {text}");
        }
    }

    // providers.md 9.4: the first source that gives a value counts.
    #[test]
    fn sources_come_in_order() {
        let mut all = headers(&[
            ("retry-after-ms", "1000"),
            ("retry-after", "2"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "4s"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-23T10:00:05Z"),
        ]);
        let mut told = Some(Duration::from_secs(3));
        let text = "try again in 6s";
        for expected in 1..=6 {
            assert_eq!(wish(&all, told, text, now()), Some(Duration::from_secs(expected)));
            match expected {
                1 | 2 => _ = all.remove(0),
                3 => told = None,
                _ => _ = all.drain(..all.len().min(2)),
            }
        }
    }

    #[test]
    fn times_are_read() {
        for (text, seconds) in [
            ("2026-11-23T10:00:00Z", 1_795_428_000.0),
            ("2024-02-29T23:59:59.25-02:30", 1_709_260_199.25),
            ("1970-01-01T00:00:00Z", 0.0),
        ] {
            let expected = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
            assert_eq!(rfc3339(text), Some(expected), "{text}");
        }
        for bad in [
            "",
            "2026-11-23",
            "2026-13-01T00:00:00Z",
            "2026-11-23T25:00:00Z",
            "x-y-zTZ",
            "2026-11-23T10:00:00",
        ] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }
}
