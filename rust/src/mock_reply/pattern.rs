//! Texts that a regular expression accepts.

use regex::Regex;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The longest text that is tried, in characters, beyond the least that is asked for.
const MAX_EXTRA: usize = 64;

/// A text of `least` to `most` characters in which the pattern is found: `plain` if it will do, else a short one. `None` if none was found.
pub(super) fn matching(pattern: &str, plain: &str, least: usize, most: usize) -> Option<String> {
    let regex = Regex::new(pattern).ok()?;
    let fits = |text: &String| {
        let length = text.chars().count();
        (least..=most).contains(&length) && regex.is_match(text)
    };
    let hir = regex_syntax::parse(pattern).ok()?;
    // Repetitions are made longer until the text is long enough; where none can be, it is filled up around the match.
    let sizes = (0..=MAX_EXTRA).chain((least > MAX_EXTRA).then_some(least));
    let made = sizes.map(|extra| {
        let mut text = String::new();
        write(&hir, extra, &mut text);
        text
    });
    let filled = made.clone().flat_map(|text| {
        let missing = "x".repeat(least.saturating_sub(text.chars().count()));
        [format!("{text}{missing}"), format!("{missing}{text}")]
    });
    std::iter::once(plain.to_owned()).chain(made).chain(filled).find(fits)
}

/// The first text of an expression, with `extra` repetitions more than the least wherever more are allowed.
fn write(hir: &Hir, extra: usize, out: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => out.extend(character(class)),
        HirKind::Capture(capture) => write(&capture.sub, extra, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, extra, out)),
        HirKind::Alternation(options) => {
            if let Some(first) = options.first() {
                write(first, extra, out);
            }
        }
        HirKind::Repetition(repetition) => {
            let least = repetition.min as usize;
            let most = repetition.max.map_or(usize::MAX, |most| most as usize);
            for _ in 0..least.saturating_add(extra).min(most) {
                write(&repetition.sub, 0, out);
            }
        }
    }
}

/// A letter or digit of the class if it has one, else its first character.
fn character(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else { return None };
    let has = |wanted: &char| {
        class.ranges().iter().any(|range| (range.start()..=range.end()).contains(wanted))
    };
    let usual = ('a'..='z').chain('A'..='Z').chain('0'..='9').find(has);
    usual.or_else(|| class.ranges().first().map(regex_syntax::hir::ClassUnicodeRange::start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_their_pattern_within_their_limits() {
        for (pattern, least, most, expected) in [
            ("^[A-Z]{2}$", 0, 99, "AA"),
            (r"^\d{3}-\d+$", 0, 99, "000-0"),
            (r"^[a-z]+@[a-z]+\.(com|org)$", 0, 99, "a@a.com"),
            (r"^[a-z]+@[a-z]+\.(com|org)$", 12, 99, "aaaa@aaaa.com"),
            ("mock", 0, 99, "[mock x]"),
            ("z", 5, 5, "zxxxx"),
            ("z$", 5, 5, "xxxxz"),
            ("^a*$", 100, 100, &"a".repeat(100)),
            (r"\bword\b", 0, 4, "word"),
            (r"^\p{Lu}", 0, 99, "A"),
            ("^[^a-zA-Z0-9]$", 0, 99, "\0"),
            ("(?i)^yes$", 0, 99, "yes"),
        ] {
            assert_eq!(
                matching(pattern, "[mock x]", least, most).as_deref(),
                Some(expected),
                "{pattern}"
            );
        }
        assert_eq!(matching("^abc$", "[mock x]", 0, 2), None);
        assert_eq!(matching("[", "[mock x]", 0, 2), None);
    }
}
