//! A readable listing of a program, for `concerto ir`.

use std::fmt::Write;

use super::Verified;
use super::ops::{Kind, Operand};
use super::program::{Constant, Function};
use crate::secret::is_secret_header;

/// The listing.
#[must_use]
pub fn print(program: &Verified) -> String {
    let mut out = String::new();
    let document = program.document();
    // Writing to a String cannot fail.
    let _ = header(&mut out, program);
    for (index, function) in document.functions.iter().enumerate() {
        let _ = print_function(&mut out, program, index, function);
    }
    out
}

fn header(out: &mut String, program: &Verified) -> std::fmt::Result {
    let document = program.document();
    writeln!(out, "concerto-ir {} (compiler {})", document.version, document.compiler)?;
    for file in &document.files {
        writeln!(out, "file {}", file.path)?;
    }
    for connection in &document.connections {
        let fields = serde_json::to_string(&connection.fields).unwrap_or_default();
        writeln!(out, "connect {} kind={} {}", connection.name, connection.kind, masked(&fields))?;
        if let Some(profile) = &connection.profile {
            let fields = serde_json::to_string(profile).unwrap_or_default();
            writeln!(out, "profile {} {}", connection.name, masked(&fields))?;
        }
    }
    for model in &document.models {
        let on = program.connections().get(model.connection as usize).map_or("?", |c| &c.name);
        let fields = serde_json::to_string(&model.fields).unwrap_or_default();
        writeln!(out, "model {} on {on} {fields}", model.name)?;
    }
    for schema in &document.schemas {
        writeln!(out, "schema {} {}", schema.name, schema.json)?;
    }
    for tool in &document.tools {
        for method in &tool.methods {
            let external = if method.function.is_none() { " external" } else { "" };
            let (name, own) = (&tool.name, &method.name);
            writeln!(out, "tool {name}.{own} as {}{external} {}", method.wire, method.parameters)?;
        }
    }
    for test in &document.tests {
        let name = program.function(test.function).map_or("?", |f| &f.name);
        let expected = match &test.expect_fail {
            Some(part) => format!(" fails {part:?}"),
            None => String::new(),
        };
        writeln!(out, "test {name} {:?}{expected}", test.title)?;
    }
    let permissions = &document.permissions;
    writeln!(out, "may read env {:?}, reach hosts {:?}", permissions.env, permissions.hosts)
}

/// Literal keys, also in headers, are legal, but no listing shows them.
fn masked(fields: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(fields) {
        Ok(mut fields) => {
            if let Some(key) = fields.get_mut("api_key") {
                mask(key);
            }
            let headers = fields.get_mut("headers").and_then(serde_json::Value::as_array_mut);
            for header in headers.into_iter().flatten().filter_map(|h| h.as_array_mut()) {
                if let [name, value] = header.as_mut_slice()
                    && name.as_str().is_some_and(is_secret_header)
                {
                    mask(value);
                }
            }
            fields.to_string()
        }
        Err(_) => String::new(),
    }
}

/// Hides the texts of a field expression; names of variables stay.
fn mask(expr: &mut serde_json::Value) {
    match expr {
        serde_json::Value::String(_) => *expr = "***".into(),
        serde_json::Value::Array(parts) => parts.iter_mut().for_each(mask),
        serde_json::Value::Object(parts) => {
            parts.iter_mut().filter(|(name, _)| *name != "env").for_each(|(_, part)| mask(part));
        }
        _ => {}
    }
}

fn print_function(
    out: &mut String,
    program: &Verified,
    index: usize,
    function: &Function,
) -> std::fmt::Result {
    let params: Vec<_> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, program.type_name(param.ty)))
        .collect();
    let public = if function.public { "pub " } else { "" };
    writeln!(
        out,
        "\n{public}fn {}({}) -> {}  // {index}, {} registers",
        function.name,
        params.join(", "),
        program.type_name(function.result),
        function.registers
    )?;
    for (pc, raw) in function.code.iter().enumerate() {
        let (name, kinds) = raw.op.signature();
        write!(out, "  {pc:4}  {name:<20}")?;
        for (kind, operand) in kinds.iter().zip(&raw.operands) {
            write!(out, " {}", show(program, *kind, operand))?;
        }
        if let Ok(found) = function.spans.binary_search_by_key(&pc, |span| span.0 as usize)
            && function.spans.get(found).is_some()
            && let Some(position) = program.position(index, pc)
        {
            write!(out, "  // {}:{}", position.line, position.column)?;
        }
        out.push('\n');
    }
    Ok(())
}

fn show(program: &Verified, kind: Kind, operand: &Operand) -> String {
    let number = match operand {
        Operand::Name(name) => return name.clone(),
        Operand::Number(number) => *number,
    };
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let document = program.document();
    match kind {
        Kind::Reg | Kind::Pair | Kind::Window | Kind::WindowPairs => format!("r{number}"),
        Kind::Count => format!("x{number}"),
        Kind::Jump => format!("->{number}"),
        Kind::Imm => format!("#{number}"),
        Kind::Const => match document.constants.get(index) {
            Some(Constant::Str(text)) => format!("{text:?}"),
            Some(Constant::Int(value)) => format!("{value}"),
            Some(Constant::Float(value)) => format!("{value:?}"),
            _ => "?".to_owned(),
        },
        Kind::Type => program.type_name(u32::try_from(number).unwrap_or(u32::MAX)),
        Kind::Function => document.functions.get(index).map_or("?", |f| &f.name).to_owned(),
        Kind::Model => document.models.get(index).map_or("?", |m| &m.name).to_owned(),
        Kind::Schema => document.schemas.get(index).map_or("?", |s| &s.name).to_owned(),
        Kind::Tool => document.tools.get(index).map_or("?", |tool| &tool.name).to_owned(),
        Kind::Native | Kind::Effect => "?".to_owned(),
    }
}
