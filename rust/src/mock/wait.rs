//! How a refusal says how long to wait: every form that providers use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::clock;

/// A form, and how many seconds (`ms`: milliseconds).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wait {
    /// `retry-after: 7`
    Seconds(f64),
    /// `retry-after: Tue, 24 Nov 2026 10:00:07 GMT`
    Date(f64),
    /// `retry-after-ms: 6400`
    Ms(f64),
    /// Google's detail in the body; Gemini only.
    RetryInfo(f64),
    /// The headers of a limit of which nothing is left, in the provider's form.
    Reset(f64),
    /// Words in the message.
    Text(f64),
}

/// Whose rate headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RateHeaders {
    /// `x-ratelimit-*`, durations.
    OpenAi,
    /// `anthropic-ratelimit-*`, times.
    Anthropic,
}

impl Wait {
    /// The headers that carry it, if headers do.
    pub(super) fn headers(self, style: RateHeaders) -> Vec<(String, String)> {
        let own = |name: &str, value: String| (name.to_owned(), value);
        match (self, style) {
            (Self::Seconds(seconds), _) => vec![own("retry-after", seconds.to_string())],
            (Self::Date(seconds), _) => {
                vec![own("retry-after", httpdate::fmt_http_date(after(seconds)))]
            }
            (Self::Ms(ms), _) => vec![own("retry-after-ms", ms.to_string())],
            (Self::Reset(seconds), RateHeaders::OpenAi) => vec![
                own("x-ratelimit-limit-requests", "500".to_owned()),
                own("x-ratelimit-remaining-requests", "0".to_owned()),
                own("x-ratelimit-reset-requests", format!("{seconds}s")),
            ],
            (Self::Reset(seconds), RateHeaders::Anthropic) => vec![
                own("anthropic-ratelimit-requests-limit", "50".to_owned()),
                own("anthropic-ratelimit-requests-remaining", "0".to_owned()),
                own("anthropic-ratelimit-requests-reset", rfc3339(after(seconds))),
            ],
            (Self::RetryInfo(_) | Self::Text(_), _) => Vec::new(),
        }
    }

    /// The words at the end of the message, if it is said in words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Text(seconds) => format!(" Please try again in {seconds}s."),
            _ => String::new(),
        }
    }

    /// Google's form, such as `22s`.
    pub(super) fn retry_info(self) -> Option<String> {
        match self {
            Self::RetryInfo(seconds) => Some(format!("{seconds}s")),
            _ => None,
        }
    }
}

/// So many seconds from now; as near as times can be.
fn after(seconds: f64) -> SystemTime {
    let ahead = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    clock::wall().checked_add(ahead).unwrap_or(UNIX_EPOCH)
}

/// RFC 3339 in UTC with whole seconds; days become dates by Howard Hinnant's `civil_from_days`.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153; // months count from March
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_687_231, "2026-11-26T10:00:31Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn each_form_has_its_place() {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = |wait: Wait| wait.headers(RateHeaders::OpenAi);
        assert_eq!(headers(Wait::Seconds(2.0)), [own("retry-after", "2")]);
        assert_eq!(headers(Wait::Seconds(0.5)), [own("retry-after", "0.5")]);
        assert_eq!(headers(Wait::Ms(1500.0)), [own("retry-after-ms", "1500")]);
        assert_eq!(headers(Wait::Reset(6.4))[2], own("x-ratelimit-reset-requests", "6.4s"));
        assert_eq!(Wait::RetryInfo(22.0).retry_info().as_deref(), Some("22s"));
        assert_eq!(Wait::Text(5.25).words(), " Please try again in 5.25s.");
        let date = headers(Wait::Date(60.0)).remove(0).1;
        let ahead = httpdate::parse_http_date(&date).unwrap().duration_since(clock::wall());
        assert!((58..=60).contains(&ahead.unwrap().as_secs()), "{date}");
    }
}
