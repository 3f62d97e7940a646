//! `std::prompt` and `std::fmt`: texts with places to fill in.

use super::{Failure, Function, Outcome, Table, length, panic, text};
use crate::value::{Key, MapValue, Text, Value, builtin};
use crate::vm::PanicKind;

pub(super) static TABLE: Table = &[
    ("fmt.format", Function::Pure(2, format)),
    ("prompt.template", Function::Pure(2, |a| Ok(fill(text(a, 0)?, map(a, 1)?).text.into()))),
    ("prompt.template_strict", Function::Pure(2, template_strict)),
    // No tokenizer of a vendor is at hand, so the model makes no difference.
    ("prompt.count_tokens", Function::Pure(2, |a| Ok(length(count_tokens(text(a, 0)?))))),
];

fn map(args: &[Value], index: usize) -> Result<&MapValue, Failure> {
    match args.get(index) {
        Some(Value::Map(map)) => Ok(map),
        _ => Err(Failure::Broken),
    }
}

/// `{}` takes the next argument, `{n}` one by its number, `{{}}` is a literal `{}`; other braces stay.
fn format(args: &mut [Value]) -> Outcome {
    let template = text(args, 0)?;
    let Some(Value::Array(given)) = args.get(1) else { return Err(Failure::Broken) };
    let (mut out, mut rest, mut next) = (String::new(), &**template, 0);
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("{{}}") {
            out.push_str("{}");
            rest = after;
            continue;
        }
        let inside = from.get(1..).and_then(|inside| inside.split_once('}'));
        let number = match inside {
            Some(("", _)) => {
                next += 1;
                Some(next - 1)
            }
            Some((digits, _)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse::<usize>().unwrap_or(usize::MAX))
            }
            _ => None,
        };
        let (Some(number), Some((_, after))) = (number, inside) else {
            out.push('{');
            rest = from.get(1..).unwrap_or("");
            continue;
        };
        let Some(value) = given.get(number) else {
            let count = given.len();
            let message = format!("the template wants argument {number}, but there are {count}");
            return panic(PanicKind::InvalidArgument, message);
        };
        out.push_str(&value.to_string());
        rest = after;
    }
    out.push_str(rest);
    Ok(out.into())
}

/// A template with its places filled in, and the names that were used or are not there.
struct Filled<'a> {
    text: String,
    used: Vec<&'a str>,
    unknown: Vec<&'a str>,
}

/// One pass over `${name}` and `{{name}}`: what is inserted is not looked at again, and unknown names stay as they are.
fn fill<'a>(template: &'a Text, vars: &MapValue) -> Filled<'a> {
    let mut filled = Filled { text: String::new(), used: Vec::new(), unknown: Vec::new() };
    let mut rest: &str = template;
    while let Some(at) = rest.find(['$', '{']) {
        let (before, from) = rest.split_at(at);
        filled.text.push_str(before);
        let Some((name, after)) = placeholder(from) else {
            filled.text.push_str(from.get(..1).unwrap_or(""));
            rest = from.get(1..).unwrap_or("");
            continue;
        };
        if let Some(value) = vars.get(&Key::Str(Text::new(name))) {
            filled.text.push_str(&value.to_string());
            filled.used.push(name);
        } else {
            let whole = from.len() - after.len();
            filled.text.push_str(from.get(..whole).unwrap_or(""));
            filled.unknown.push(name);
        }
        rest = after;
    }
    filled.text.push_str(rest);
    filled
}

/// The name of a placeholder at the start of a text, blanks around it left out, and what follows it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (inside, after) = match text.strip_prefix("${") {
        Some(rest) => rest.split_once('}')?,
        None => text.strip_prefix("{{")?.split_once("}}")?,
    };
    let name = inside.trim();
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some((name, after))
}

fn template_strict(args: &mut [Value]) -> Outcome {
    let (template, vars) = (text(args, 0)?, map(args, 1)?);
    let filled = fill(template, vars);
    let wrong = |message: String| Value::err(builtin::parse_error(&message, "invalid", template));
    if let Some(name) = filled.unknown.first() {
        return Ok(wrong(format!("there is no value for `{name}`")));
    }
    for key in vars.keys() {
        if let Key::Str(name) = key
            && !filled.used.contains(&&**name)
        {
            return Ok(wrong(format!("the template does not use `{name}`")));
        }
    }
    Ok(Value::ok(filled.text.into()))
}

/// An estimate: runs of ASCII letters and digits count a quarter of their length, punctuation and CJK one each, other runs half; rounded up.
fn count_tokens(text: &str) -> usize {
    let (mut tokens, mut run, mut run_kind) = (0, 0, Scalar::Blank);
    let of_run = |kind: Scalar, run: usize| match kind {
        Scalar::Word => usize::div_ceil(run, 4),
        Scalar::Other => usize::div_ceil(run, 2),
        Scalar::Single => run,
        Scalar::Blank => 0,
    };
    for c in text.chars() {
        let kind = Scalar::of(c);
        if kind != run_kind {
            tokens += of_run(run_kind, run);
            (run, run_kind) = (0, kind);
        }
        run += 1;
    }
    tokens + of_run(run_kind, run)
}

#[derive(Clone, Copy, PartialEq)]
enum Scalar {
    Word,
    Single,
    Other,
    Blank,
}

impl Scalar {
    fn of(c: char) -> Self {
        match c {
            _ if c.is_whitespace() => Self::Blank,
            _ if c.is_ascii_alphanumeric() => Self::Word,
            _ if c.is_ascii_punctuation() => Self::Single,
            // Kana, CJK with extensions, hangul, and their compatibility forms.
            '\u{3040}'..='\u{30ff}'
            | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}'
            | '\u{1100}'..='\u{11ff}'
            | '\u{3130}'..='\u{318f}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff66}'..='\u{ff9f}'
            | '\u{20000}'..='\u{323af}' => Self::Single,
            _ => Self::Other,
        }
    }
}
