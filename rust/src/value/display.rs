//! The display form: what interpolation, `to_string` and `print` show.

use std::fmt::{Display, Formatter, Result, Write};

use super::{Collection, Form, FunctionValue, Value};

/// Deeper values show as `...`.
const MAX_DEPTH: usize = 64;
/// Behind so many bytes the rest shows as `...`: a value that holds its parts many times could take more than any memory.
const MAX_SIZE: usize = 64 << 20;

/// Counts what is written.
struct Bounded<'a, 'b> {
    out: &'a mut Formatter<'b>,
    left: usize,
}

impl Write for Bounded<'_, '_> {
    fn write_str(&mut self, text: &str) -> Result {
        self.left = self.left.saturating_sub(text.len());
        self.out.write_str(text)
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Str(text) => f.write_str(text),
            other => nested(other, &mut Bounded { out: f, left: MAX_SIZE }, 0),
        }
    }
}

fn nested(value: &Value, f: &mut Bounded<'_, '_>, depth: usize) -> Result {
    if depth > MAX_DEPTH || f.left == 0 {
        return f.write_str("...");
    }
    let wrapped = |f: &mut Bounded<'_, '_>, name: &str, inner: &Value| {
        write!(f, "{name}(")?;
        nested(inner, f, depth + 1)?;
        f.write_char(')')
    };
    match value {
        Value::Nil => f.write_str("nil"),
        Value::Bool(truth) => write!(f, "{truth}"),
        Value::Int(number) => write!(f, "{number}"),
        Value::Float(number) => f.write_str(&float(*number)),
        Value::Str(text) => quoted(text, f),
        Value::Array(items) => list(f, "[", items, "]", depth),
        Value::Tuple(items) => {
            list(f, "(", items, if items.len() == 1 { ",)" } else { ")" }, depth)
        }
        Value::Map(map) => {
            f.write_char('{')?;
            for (position, (key, value)) in map.iter().enumerate() {
                separate(f, position)?;
                nested(&key.to_value(), f, depth + 1)?;
                f.write_str(": ")?;
                nested(value, f, depth + 1)?;
                if f.left == 0 {
                    break;
                }
            }
            f.write_char('}')
        }
        Value::Struct(value) if value.ty.is_error => match value.get("message") {
            Some(Value::Str(message)) if depth == 0 => f.write_str(message),
            Some(message) => nested(message, f, depth + 1),
            None => f.write_str(super::declared_name(&value.ty.name)),
        },
        Value::Struct(value) if value.ty.name == "Response" && depth == 0 => {
            write!(f, "{}", value.fields.first().unwrap_or(&Value::Nil))
        }
        Value::Struct(value) => {
            let names = value.ty.fields.iter().map(|(name, _)| name.as_str());
            fields(f, super::declared_name(&value.ty.name), names, &value.fields, depth)
        }
        Value::Enum(value) => {
            let Some((name, form, names)) = value.ty.variants.get(value.variant as usize) else {
                return f.write_str(super::declared_name(&value.ty.name));
            };
            match form {
                Form::Unit => f.write_str(name),
                Form::Tuple => {
                    f.write_str(name)?;
                    list(f, "(", &value.fields, ")", depth)
                }
                Form::Struct => {
                    fields(f, name, names.iter().map(String::as_str), &value.fields, depth)
                }
            }
        }
        Value::None => f.write_str("None"),
        Value::Some(inner) => wrapped(f, "Some", inner),
        Value::Ok(inner) => wrapped(f, "Ok", inner),
        Value::Err(inner) => wrapped(f, "Err", inner),
        Value::Range(range) => {
            write!(f, "{}..{}{}", range.start, if range.inclusive { "=" } else { "" }, range.end)
        }
        Value::Function(function) => {
            write!(f, "<fn {}>", function.name.as_deref().unwrap_or(FunctionValue::CLOSURE))
        }
        Value::Model(model) => write!(f, "<model {}>", model.name),
        Value::Pipeline(pipeline) => write!(f, "<pipeline {}>", &*pipeline.name),
        Value::Task(task) if task.is_future() => f.write_str("<future>"),
        Value::Task(task) => write!(f, "<task {}>", task.id),
        Value::Collection(items) => {
            let (open, close) = match &**items {
                Collection::Set(_) => ("Set{", "}"),
                Collection::Queue(_) => ("Queue[", "]"),
                Collection::Stack(_) => ("Stack[", "]"),
            };
            list(f, open, &items.values(), close, depth)
        }
        Value::Foreign(thing) => f.write_str(&thing.shown()),
    }
}

fn separate(f: &mut Bounded<'_, '_>, position: usize) -> Result {
    if position > 0 { f.write_str(", ") } else { Ok(()) }
}

fn list(f: &mut Bounded<'_, '_>, open: &str, items: &[Value], close: &str, depth: usize) -> Result {
    f.write_str(open)?;
    for (position, item) in items.iter().enumerate() {
        separate(f, position)?;
        nested(item, f, depth + 1)?;
        if f.left == 0 {
            break;
        }
    }
    f.write_str(close)
}

fn fields<'a>(
    f: &mut Bounded<'_, '_>,
    name: &str,
    names: impl Iterator<Item = &'a str>,
    values: &[Value],
    depth: usize,
) -> Result {
    write!(f, "{name} {{")?;
    for (position, (name, value)) in names.zip(values).enumerate() {
        write!(f, "{} {name}: ", if position > 0 { "," } else { "" })?;
        nested(value, f, depth + 1)?;
    }
    f.write_str(" }")
}

fn quoted(text: &str, f: &mut Bounded<'_, '_>) -> Result {
    f.write_str(&serde_json::Value::from(text).to_string())
}

/// The shortest form that reads back to the same number, always recognisable as a Float: decimal for 1e-4 <= |x| < 1e16, else with exponent.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number != 0.0 && number.abs() < 1e-4 {
        return format!("{number:e}");
    }
    // As in JSON: of two shortest forms that are equally near the one with an even digit, where `{number}` takes the greater.
    serde_json::Value::from(number).to_string().replace("e+", "e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_show_their_type() {
        for (number, text) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e-5, "1e-5"),
            (1.5e20, "1.5e20"),
            (1e16, "1e16"),
            (123_456.75, "123456.75"),
            (3_602_879_701_896_397.0 / 4.0, "900719925474099.2"),
            (-3_602_879_701_896_399.0 / 4.0, "-900719925474099.8"),
            (0.000_123, "0.000123"),
            (1e-4, "0.0001"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn text_is_bare_outside_and_quoted_inside() {
        let text = Value::text("a\"b");
        assert_eq!(text.to_string(), "a\"b");
        assert_eq!(Value::array(vec![text, Value::Int(1)]).to_string(), r#"["a\"b", 1]"#);
        assert_eq!(Value::some(Value::text("x")).to_string(), r#"Some("x")"#);
        assert_eq!(Value::tuple(vec![Value::Nil]).to_string(), "(nil,)");
    }

    #[test]
    fn values_that_hold_their_parts_many_times_are_cut() {
        let mut value = Value::Int(0);
        for _ in 0..60 {
            value = Value::array(vec![value.clone(), value]);
        }
        let shown = value.to_string();
        assert!(shown.len() < MAX_SIZE + 10_000);
        assert!(shown.contains("..."));
    }

    #[test]
    fn deep_values_are_cut() {
        let mut value = Value::Int(0);
        for _ in 0..100 {
            value = Value::array(vec![value]);
        }
        assert!(value.to_string().contains("..."));
    }
}
