//! Checks a document once, so that executing it needs no checks: every index, register, window, jump and arity. Linear in its size.

use super::IrError;
use super::ops::{Instr, Kind, Op, Operand, Raw};
use super::program::{
    ConnectionFields, Constant, Document, FORMAT, FieldExpr, Function, ToolMethod, Type, VERSION,
};
use crate::value::{Origin, builtin};
use crate::vm::{Form, natives, request};

/// Registers of a frame.
const MAX_REGISTERS: u32 = 65_535;
/// What `join_each` takes: a function, an array, and how many run at a time.
const JOIN_EACH: usize = 3;
/// What the hook of a model for errors of tools takes: the model, the name of the tool, and the error.
const HOOK_PARAMETERS: usize = 3;
/// Nesting of a field expression.
const MAX_DEPTH: usize = 64;

fn bad<T>(what: impl Into<String>) -> Result<T, IrError> {
    Err(IrError::Malformed { what: what.into() })
}

/// Checks everything but the code.
pub(super) fn document(document: &Document) -> Result<(), IrError> {
    header(document)?;
    types(document)?;
    entry(document)?;
    tests(document)?;
    tools(document)?;
    for schema in &document.schemas {
        index("schema type", schema.ty, document.types.len())?;
        if serde_json::from_str::<serde::de::IgnoredAny>(&schema.json).is_err() {
            return bad(format!("schema `{}` is no JSON", schema.name));
        }
    }
    for connection in &document.connections {
        place(document, connection.span)?;
        if connection.kind.parse::<crate::config::ProviderKind>().is_err() {
            return bad(format!("provider kind `{}`", connection.kind));
        }
        if !["program", "manifest"].contains(&connection.origin.as_str()) {
            return bad(format!("origin `{}` of a connection", connection.origin));
        }
        connection_fields(&connection.fields)?;
        connection.profile.iter().try_for_each(connection_fields)?;
    }
    for (id, price) in &document.pricing {
        if price.check().is_err() {
            return bad(format!("price of `{id}`"));
        }
    }
    for store in &document.stores {
        place(document, store.span)?;
        index("key type", store.key, document.types.len())?;
        index("value type", store.value, document.types.len())?;
    }
    for model in &document.models {
        place(document, model.span)?;
        index("connection", model.connection, document.connections.len())?;
        if let Some(hook) = model.on_tool_error {
            let hook = document.functions.get(hook as usize);
            if hook.is_none_or(|hook| hook.params.len() != HOOK_PARAMETERS) {
                return bad(format!("model `{}` has a wrong hook", model.name));
            }
        }
        for name in model.fields.tools.iter().flatten() {
            if document.tools.iter().all(|tool| tool.name != *name) {
                return bad(format!("model `{}` has an unknown tool", model.name));
            }
        }
        let fields = &model.fields;
        let single = [
            &fields.base,
            &fields.max_tokens,
            &fields.seed,
            &fields.system_prompt,
            &fields.temperature,
            &fields.timeout,
            &fields.top_p,
        ];
        for expr in single.into_iter().flatten().chain(fields.stop_sequences.iter().flatten()) {
            field_expr(expr, 0)?;
        }
    }
    Ok(())
}

fn connection_fields(fields: &ConnectionFields) -> Result<(), IrError> {
    if let Some(kind) = &fields.provider
        && kind.parse::<crate::config::ProviderKind>().is_err()
    {
        return bad(format!("provider kind `{kind}`"));
    }
    let maps = fields.headers.iter().chain(&fields.models).flatten().map(|(_, value)| value);
    let single = [
        &fields.api_key,
        &fields.base_url,
        &fields.default_model,
        &fields.organization,
        &fields.project,
        &fields.timeout,
    ];
    maps.chain(single.into_iter().flatten()).try_for_each(|expr| field_expr(expr, 0))
}

fn header(document: &Document) -> Result<(), IrError> {
    if document.format != FORMAT {
        return Err(IrError::Foreign);
    }
    if document.version != VERSION {
        return Err(IrError::Version { expected: VERSION, found: document.version });
    }
    if let Some(feature) = document.features.first() {
        return Err(IrError::Feature { feature: feature.clone() });
    }
    Ok(())
}

fn index(what: &str, found: impl TryInto<usize>, len: usize) -> Result<usize, IrError> {
    match found.try_into() {
        Ok(found) if found < len => Ok(found),
        _ => bad(format!("{what} index out of range")),
    }
}

fn place(document: &Document, (file, start, end): (u32, u32, u32)) -> Result<(), IrError> {
    index("file", file, document.files.len())?;
    if start > end { bad("a span ends before it starts") } else { Ok(()) }
}

/// Only structs and enums, which have names, refer to entries that follow: so nothing that follows unnamed types runs in circles.
fn types(document: &Document) -> Result<(), IrError> {
    let len = document.types.len();
    for (own, ty) in document.types.iter().enumerate() {
        let named = matches!(ty, Type::Struct(_) | Type::Enum(_));
        let limit = if named { len } else { own };
        let one = |ty: &u32| index("type", *ty, limit).map(|_| ());
        match ty {
            Type::Array(item)
            | Type::Option(item)
            | Type::Future(item)
            | Type::Task(item)
            | Type::Collection(_, item) => one(item)?,
            Type::Map(a, b) | Type::Result(a, b) | Type::Store(a, b) | Type::Pipeline(a, b) => {
                one(a).and_then(|()| one(b))?;
            }
            Type::Tuple(items) | Type::Union(items) => items.iter().try_for_each(one)?,
            Type::Function(params, result) => {
                params.iter().try_for_each(one)?;
                one(result)?;
            }
            Type::Struct(inner) => {
                message(document, inner.message)?;
                inner.fields.iter().try_for_each(|field| one(&field.ty))?;
                for validator in &inner.validators {
                    let function = index("validator", *validator, document.functions.len())?;
                    if document.functions.get(function).is_none_or(|f| f.params.len() != 1) {
                        return bad("a validator has one parameter");
                    }
                }
                if matches!(inner.origin, Origin::Record | Origin::Error) {
                    builtin_copy(document, inner)?;
                }
            }
            Type::Enum(inner) => {
                message(document, inner.message)?;
                inner.variants.iter().flat_map(|v| &v.fields).try_for_each(|f| one(&f.ty))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn message(document: &Document, function: Option<u32>) -> Result<(), IrError> {
    let Some(function) = function else { return Ok(()) };
    let function = index("message", function, document.functions.len())?;
    match document.functions.get(function) {
        Some(found) if found.params.len() == 1 => Ok(()),
        _ => bad("the message of an error has one parameter"),
    }
}

/// A built-in record in the type table must be the runtime's own, or field numbers would disagree.
fn builtin_copy(document: &Document, copy: &super::program::Struct) -> Result<(), IrError> {
    let same = builtin::RECORDS.iter().find(|record| record.name == copy.name).is_some_and(|own| {
        own.is_error == (copy.origin == Origin::Error)
            && own.fields.len() == copy.fields.len()
            && own.fields.iter().zip(&copy.fields).all(|((name, ty), field)| {
                field.name == *name && super::type_name(&document.types, field.ty) == *ty
            })
    });
    if same { Ok(()) } else { bad(format!("built-in type `{}` of another release", copy.name)) }
}

fn entry(document: &Document) -> Result<(), IrError> {
    let len = document.functions.len();
    for function in document.entry.top.iter().chain(&document.entry.main) {
        index("entry function", *function, len)?;
        if document.functions.get(*function).is_some_and(|f| !f.params.is_empty()) {
            return bad("an entry function has parameters");
        }
    }
    for export in &document.entry.exports {
        index("exported function", export.function, len)?;
    }
    Ok(())
}

/// Tests take nothing, and nothing in the program leads to one (TE-6).
fn tests(document: &Document) -> Result<(), IrError> {
    if document.tests.is_empty() {
        return Ok(());
    }
    let mut is_test = vec![false; document.functions.len()];
    for test in &document.tests {
        let function = index("test function", test.function, document.functions.len())?;
        if document.functions.get(function).is_some_and(|f| !f.params.is_empty()) {
            return bad("a test has parameters");
        }
        if let Some(mark) = is_test.get_mut(function) {
            *mark = true;
        }
    }
    let entry = &document.entry;
    let validators = document.types.iter().filter_map(|ty| match ty {
        Type::Struct(inner) => Some(&inner.validators),
        _ => None,
    });
    let called = document.functions.iter().flat_map(|f| &f.code).filter_map(|raw| {
        let function = match raw.op {
            Op::Call | Op::Closure => raw.operands.get(1),
            _ => None,
        };
        match function {
            Some(Operand::Number(number)) => usize::try_from(*number).ok(),
            _ => None,
        }
    });
    let methods = document.tools.iter().flat_map(|tool| &tool.methods);
    let of_tools = document
        .tools
        .iter()
        .filter_map(|tool| tool.state)
        .chain(methods.clone().flat_map(|method| method.computed.iter().map(|(_, f)| *f)))
        .chain(methods.filter_map(|method| method.function))
        .chain(document.models.iter().filter_map(|model| model.on_tool_error));
    let mut reached = (entry.top.into_iter().chain(entry.main))
        .chain(of_tools.map(|function| function as usize))
        .chain(entry.exports.iter().map(|export| export.function))
        .chain(validators.flatten().map(|function| *function as usize))
        .chain(called);
    let leads = reached.any(|function| is_test.get(function).copied().unwrap_or(false));
    if leads { bad("the program leads to a test") } else { Ok(()) }
}

/// The methods of tools are functions of the instance and their arguments, and no two have one name for a model.
fn tools(document: &Document) -> Result<(), IrError> {
    let mut names = std::collections::HashSet::new();
    for tool in &document.tools {
        place(document, tool.span)?;
        if let Some(state) = tool.state {
            let function = index("state", state, document.functions.len())?;
            if document.functions.get(function).is_some_and(|f| !f.params.is_empty()) {
                return bad("a state has parameters");
            }
        }
        for method in &tool.methods {
            place(document, method.span)?;
            index("result type", method.result, document.types.len())?;
            let wrong = |what: &str| bad(format!("tool `{}.{}`: {what}", tool.name, method.name));
            let Some(count) = parameters(document, method) else {
                return wrong("no arguments");
            };
            if let Some(function) = method.function {
                let wanted = count + usize::from(method.takes_self);
                let callee = document.functions.get(function as usize);
                if callee.is_none_or(|callee| callee.params.len() != wanted) {
                    return wrong("wrong number of arguments");
                }
            }
            let mut last = None;
            for (position, function) in &method.computed {
                let wanted = *position as usize + usize::from(method.takes_self);
                let callee = document.functions.get(*function as usize);
                let is_next = last.is_none_or(|last| last < *position);
                if *position as usize >= count
                    || !is_next
                    || callee.is_none_or(|callee| callee.params.len() != wanted)
                {
                    return wrong("a default that cannot be computed");
                }
                last = Some(*position);
            }
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let length = method.wire.len();
            if !(1..=64).contains(&length)
                || !method.wire.chars().all(is_plain)
                || !names.insert(&method.wire)
            {
                return wrong("bad name for a model");
            }
            if serde_json::from_str::<serde::de::IgnoredAny>(&method.parameters).is_err() {
                return wrong("its parameters are no JSON");
            }
        }
    }
    Ok(())
}

/// How many parameters a method has besides `self`.
fn parameters(document: &Document, method: &ToolMethod) -> Option<usize> {
    match document.types.get(method.arguments as usize) {
        Some(Type::Struct(arguments)) => Some(arguments.fields.len()),
        _ => None,
    }
}

fn field_expr(expr: &FieldExpr, depth: usize) -> Result<(), IrError> {
    if depth > MAX_DEPTH {
        return bad("a field expression is nested too deep");
    }
    match expr {
        FieldExpr::Coalesce { coalesce: parts } | FieldExpr::Concat { concat: parts } => {
            if parts.is_empty() {
                return bad("an empty field expression");
            }
            parts.iter().try_for_each(|part| field_expr(part, depth + 1))
        }
        _ => Ok(()),
    }
}

/// Checks one function and gives its code ready to execute.
pub(super) fn function(document: &Document, function: &Function) -> Result<Vec<Instr>, IrError> {
    let in_function = |error: IrError| match error {
        IrError::Malformed { what } => {
            IrError::Malformed { what: format!("function `{}`: {what}", function.name) }
        }
        other => other,
    };
    signature(document, function).map_err(in_function)?;
    let code: Result<Vec<_>, _> = function
        .code
        .iter()
        .enumerate()
        .map(|(pc, raw)| instruction(document, function, pc, raw).map_err(in_function))
        .collect();
    let code = code?;
    if !code.last().is_some_and(|last| last.op.is_terminator()) {
        return bad("the code runs off its end").map_err(in_function);
    }
    Ok(code)
}

fn signature(document: &Document, function: &Function) -> Result<(), IrError> {
    place(document, (function.file, function.span.0, function.span.1))?;
    if function.registers > MAX_REGISTERS || function.params.len() > function.registers as usize {
        return bad("wrong number of registers");
    }
    index("result type", function.result, document.types.len())?;
    for (position, param) in function.params.iter().enumerate() {
        index("parameter type", param.ty, document.types.len())?;
        if let Some(default) = param.computed {
            let default = index("default", default, document.functions.len())?;
            if document.functions.get(default).is_none_or(|f| f.params.len() != position) {
                return bad("a default is computed from the parameters before it");
            }
        }
    }
    let mut next = 0;
    for (pc, start, end) in &function.spans {
        if *pc < next || *pc as usize >= function.code.len() || start > end {
            return bad("wrong spans");
        }
        next = pc + 1;
    }
    Ok(())
}

fn instruction(
    document: &Document,
    function: &Function,
    pc: usize,
    raw: &Raw,
) -> Result<Instr, IrError> {
    let (name, kinds) = raw.op.signature();
    let wrong = |what: &str| bad::<Instr>(format!("instruction {pc} `{name}`: {what}"));
    if kinds.len() != raw.operands.len() {
        return wrong("wrong number of operands");
    }
    let mut instr = Instr { op: raw.op, a: 0, b: 0, c: 0, x: 0, y: 0 };
    let (mut registers, mut others) = (0, 0);
    let mut window: Option<(u32, u32)> = None; // first register, registers per count
    for (kind, operand) in kinds.iter().zip(&raw.operands) {
        let Some(bits) = operand_bits(document, function, *kind, operand) else {
            return wrong("operand out of range");
        };
        if kind.is_register() {
            let end = bits + u32::from(*kind == Kind::Pair);
            // A window may be empty and then start anywhere up to the end of the frame.
            let may_end =
                matches!(kind, Kind::Window | Kind::WindowPairs) && bits == function.registers;
            if end >= function.registers && !may_end {
                return wrong("register out of range");
            }
            if matches!(kind, Kind::Window | Kind::WindowPairs) {
                window = Some((bits, if *kind == Kind::Window { 1 } else { 2 }));
            }
            let Ok(register) = u16::try_from(bits) else { return wrong("register out of range") };
            match registers {
                0 => instr.a = register,
                1 => instr.b = register,
                _ => instr.c = register,
            }
            registers += 1;
        } else {
            match others {
                0 => instr.x = bits,
                1 => instr.y = bits,
                _ => match u16::try_from(bits) {
                    Ok(bits) => instr.c = bits,
                    Err(_) => return wrong("count out of range"),
                },
            }
            others += 1;
        }
        if *kind == Kind::Count
            && let Some((first, each)) = window
            && u64::from(first) + u64::from(each) * u64::from(bits) > u64::from(function.registers)
        {
            return wrong("window out of range");
        }
    }
    if let Err(what) = arity(document, instr, raw) {
        return wrong(&what);
    }
    Ok(instr)
}

fn operand_bits(
    document: &Document,
    function: &Function,
    kind: Kind,
    operand: &Operand,
) -> Option<u32> {
    let number = match (kind, operand) {
        (Kind::Native, Operand::Name(name)) => return natives::find(name),
        (Kind::Effect, Operand::Name(name)) => return request::find(name),
        (Kind::Native | Kind::Effect, Operand::Number(_)) | (_, Operand::Name(_)) => return None,
        (_, Operand::Number(number)) => *number,
    };
    if kind == Kind::Imm {
        return i32::try_from(number).ok().map(i32::cast_unsigned);
    }
    let number = u32::try_from(number).ok()?;
    let limit = match kind {
        Kind::Const => document.constants.len(),
        Kind::Jump => function.code.len(),
        Kind::Type => document.types.len(),
        Kind::Function => document.functions.len(),
        Kind::Model => document.models.len(),
        Kind::Schema => document.schemas.len(),
        Kind::Tool => document.tools.len(),
        _ => MAX_REGISTERS as usize + 1,
    };
    ((number as usize) < limit).then_some(number)
}

/// Numbers of arguments and fields, and operands that mean something special.
fn arity(document: &Document, instr: Instr, raw: &Raw) -> Result<(), String> {
    let count = instr.y as usize;
    let ty = |index: u32| document.types.get(index as usize);
    match instr.op {
        Op::Call => {
            let callee = document.functions.get(instr.x as usize);
            if callee.is_none_or(|callee| callee.params.len() != count) {
                return Err("wrong number of arguments".to_owned());
            }
        }
        Op::Closure => {
            let callee = document.functions.get(instr.x as usize);
            let room = |callee: &Function| callee.params.len() + count <= callee.registers as usize;
            if !callee.is_some_and(room) {
                return Err("wrong number of captured values".to_owned());
            }
        }
        Op::Pipeline => {
            let callee = document.functions.get(instr.x as usize);
            if callee.is_none_or(|callee| callee.params.len() != 1) || count == 0 {
                return Err("no function of a pipeline".to_owned());
            }
        }
        Op::CallTool => {
            let tool = document.tools.get(instr.x as usize);
            let method = tool.and_then(|tool| tool.methods.get(instr.y as usize));
            if method.and_then(|method| parameters(document, method)) != Some(instr.c as usize) {
                return Err("wrong number of arguments".to_owned());
            }
        }
        Op::Future => {
            let callee = document.functions.get(instr.x as usize);
            if callee.is_none_or(|callee| callee.params.len() != count) {
                return Err("wrong number of arguments".to_owned());
            }
        }
        Op::Join | Op::JoinEach if Form::of(instr.x).is_none() => {
            return Err("no such form".to_owned());
        }
        Op::JoinEach if count != JOIN_EACH => return Err("wrong number of parts".to_owned()),
        Op::Native | Op::NativeMut => {
            let mutates = instr.op == Op::NativeMut;
            if natives::signature(instr.x) != Some((count + usize::from(mutates), mutates)) {
                return Err("wrong number of arguments".to_owned());
            }
        }
        Op::Effect if request::arity(instr.x) != Some(count) => {
            return Err("wrong number of arguments".to_owned());
        }
        Op::Struct => match ty(instr.x) {
            Some(Type::Struct(inner)) if inner.fields.len() == count => {}
            _ => return Err("wrong fields".to_owned()),
        },
        Op::Variant => {
            let fields = match ty(instr.x) {
                Some(Type::Enum(inner)) => {
                    inner.variants.get(instr.y as usize).map(|v| v.fields.len())
                }
                _ => None,
            };
            if fields != Some(instr.c as usize) {
                return Err("wrong fields".to_owned());
            }
        }
        Op::Const
            if matches!(document.constants.get(instr.x as usize), Some(Constant::Array(_))) =>
        {
            return Err("an array is no constant of code".to_owned());
        }
        _ => {}
    }
    let negative = |operand: &Operand| matches!(operand, Operand::Number(n) if *n < 0);
    let may_be_negative = matches!(instr.op, Op::Int | Op::AddIntImm);
    if !may_be_negative && raw.operands.iter().any(negative) {
        return Err("a negative operand".to_owned());
    }
    Ok(())
}
