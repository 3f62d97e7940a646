//! The program that passes from the compiler to the runtime: its format, its verification, its listing.
//!
//! [`load`] turns bytes into a [`Verified`] program or says what is wrong with them; no bytes whatever can do harm. After that, every index in
//! the code is in bounds. Knows nothing of time, threads or the network.

pub mod ops;
mod patterns;
mod print;
pub mod program;
mod tune;
mod types;
mod verify;

use std::collections::HashMap;

use regex::Regex;

use crate::value::{
    Captures, EnumType, FunctionValue, Key, ModelValue, StructType, TaskValue, Text, Value,
};
use ops::{Instr, Op};
use program::{
    Connection, Constant, Document, Entry, Function, Model, Permissions, Schema, Test, Tool, Type,
    VERSION,
};

use triomphe::Arc;
use tune::{Facts, Tuned, calls, owning, tune};

pub use patterns::pattern;
pub use print::print;
pub use tune::{Guard, Outcome};

/// Larger documents are refused.
const MAX_BYTES: usize = 256 << 20;

/// What is wrong with compiled bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IrError {
    /// Not a compiled program at all.
    #[error("this is no compiled Concerto program (`.conc-ir`)")]
    Foreign,
    /// Of another format version.
    #[error("IR format {expected} expected, {found} found; rebuild with `concerto build`")]
    Version {
        /// What this runtime reads.
        expected: u64,
        /// What the document says.
        found: u64,
    },
    /// Needs something that this runtime lacks.
    #[error(
        "the program needs the feature `{feature}`, which this runtime does not have; update it"
    )]
    Feature {
        /// The first unknown flag.
        feature: String,
    },
    /// Damaged or tampered with.
    #[error("the compiled program is damaged: {what}; rebuild it with `concerto build`")]
    Malformed {
        /// Where and how.
        what: String,
    },
}

/// A verified program. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Content>);

/// What executes: the code of a function and the size of its frame.
#[derive(Debug)]
pub struct Body {
    /// Its instructions.
    pub code: Vec<Instr>,
    /// How many registers it uses.
    pub registers: usize,
    /// Registers that may hold more than a plain value.
    pub owning: Box<[u16]>,
    /// How it begins, if it may end at once.
    pub guard: Option<Guard>,
    /// Of each instruction: where it stands in the document.
    origins: Vec<u32>,
    /// None of a closure, which is made often: a name would be one more thing to count.
    name: Option<Arc<str>>,
    arity: usize,
}

#[derive(Debug)]
struct Content {
    document: Document,
    bodies: Vec<Body>,
    constants: Vec<Value>,
    structs: Vec<Option<Arc<StructType>>>,
    enums: Vec<Option<Arc<EnumType>>>,
    models: Vec<Arc<ModelValue>>,
    patterns: HashMap<String, Regex>,
}

/// A position for people: path, and line and column from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file's path as given to the compiler.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// Reads and verifies a program.
///
/// # Errors
/// [`IrError`].
pub fn load(bytes: &[u8]) -> Result<Verified, IrError> {
    if bytes.len() > MAX_BYTES {
        return Err(IrError::Malformed { what: "it is larger than 256 MiB".to_owned() });
    }
    version_first(bytes)?;
    // serde_json bounds the nesting (128), so hostile depth ends in an error as well.
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| IrError::Malformed { what: error.to_string() })?;
    verify::document(&document)?;
    let bodies = bodies(&document)?;
    let constants = document.constants.iter().map(constant_value).collect();
    let structs = document.types.iter().map(struct_type).collect();
    let enums = document.types.iter().map(enum_type).collect();
    let models = (0..).zip(&document.models).map(|(i, m)| Arc::new(ModelValue::new(i, &m.name)));
    let models = models.collect();
    let patterns = patterns::patterns(&document)?;
    let content = Content { document, bodies, constants, structs, enums, models, patterns };
    Ok(Verified(Arc::new(content)))
}

/// The code of all functions, ready to execute.
fn bodies(document: &Document) -> Result<Vec<Body>, IrError> {
    let verified = document.functions.iter().map(|function| verify::function(document, function));
    let codes: Vec<Vec<Instr>> = verified.collect::<Result<_, _>>()?;
    let captured = captured(&codes);
    let is_plain_type = |ty: u32| {
        let ty = document.types.get(ty as usize);
        matches!(ty, Some(Type::Int | Type::Float | Type::Bool | Type::Nil))
    };
    let is_plain_constant = |index: u32| {
        let constant = document.constants.get(index as usize);
        use Constant::{Bool, Float, Int, Nil};
        matches!(constant, Some(Nil | Bool(_) | Int(_) | Float(_)))
    };
    let is_plain_result = |function: u32| {
        document.functions.get(function as usize).is_some_and(|found| is_plain_type(found.result))
    };
    let bodies =
        document.functions.iter().zip(codes).zip(captured).map(|((function, code), captured)| {
            let Tuned { code, origins } = tune(code);
            let arity = function.params.len();
            let params = function.params.iter().map(|param| param.ty).enumerate();
            let first = params.filter(|(_, ty)| !is_plain_type(*ty)).map(|(register, _)| register);
            let first = first.chain(arity..arity + captured).collect();
            let owning = owning(
                &code,
                &Facts {
                    registers: function.registers as usize,
                    first,
                    is_plain_constant: &is_plain_constant,
                    is_plain_result: &is_plain_result,
                },
            );
            let registers = function.registers as usize;
            let name =
                (function.name != FunctionValue::CLOSURE).then(|| function.name.as_str().into());
            // A call that ends at once lets go of nothing, so no argument may own something.
            let is_plain = owning.iter().all(|register| usize::from(*register) >= arity);
            let guard = if is_plain { Guard::of(&code, arity) } else { None };
            Body { code, registers, owning, guard, origins, name, arity }
        });
    let mut bodies: Vec<Body> = bodies.collect();
    let guarded: Vec<Option<u16>> =
        bodies.iter().map(|body| Some(body.guard.as_ref()?.register)).collect();
    for body in &mut bodies {
        calls(&mut body.code, &|function| *guarded.get(function as usize)?);
    }
    Ok(bodies)
}

/// Of each function: how many values the closures capture that are made of it.
fn captured(codes: &[Vec<Instr>]) -> Vec<usize> {
    let mut most = vec![0; codes.len()];
    for i in codes.iter().flatten().filter(|i| i.op == Op::Closure) {
        if let Some(most) = most.get_mut(i.x as usize) {
            *most = (i.y as usize).max(*most);
        }
    }
    most
}

/// Another version may have another shape, so the version is read before the rest is expected to fit.
fn version_first(bytes: &[u8]) -> Result<(), IrError> {
    #[derive(serde::Deserialize)]
    struct Header {
        format: String,
        version: u64,
    }
    let header: Header = serde_json::from_slice(bytes).map_err(|_| IrError::Foreign)?;
    if header.format != program::FORMAT {
        return Err(IrError::Foreign);
    }
    if header.version != VERSION {
        return Err(IrError::Version { expected: VERSION, found: header.version });
    }
    Ok(())
}

/// The value of a constant.
#[must_use]
pub fn constant_value(constant: &Constant) -> Value {
    match constant {
        Constant::Nil => Value::Nil,
        Constant::Bool(truth) => Value::Bool(*truth),
        Constant::Int(number) => Value::Int(*number),
        Constant::Float(number) => Value::Float(*number),
        Constant::Str(text) => Value::text(text.as_str()),
        Constant::Array(items) => Value::array(items.iter().map(constant_value).collect()),
        Constant::Map(entries) => {
            let entries = entries.iter();
            let entries = entries
                .map(|(key, item)| (Key::Str(Text::new(key.as_str())), constant_value(item)));
            Value::map(entries.collect())
        }
    }
}

fn struct_type(ty: &Type) -> Option<Arc<StructType>> {
    let Type::Struct(inner) = ty else { return None };
    let fields = inner.fields.iter().map(|f| (f.name.clone(), f.json.clone())).collect();
    let is_error = inner.origin == crate::value::Origin::Error;
    Some(Arc::new(StructType { name: inner.name.clone(), is_error, fields }))
}

fn enum_type(ty: &Type) -> Option<Arc<EnumType>> {
    let Type::Enum(inner) = ty else { return None };
    let variants = inner
        .variants
        .iter()
        .map(|v| (v.name.clone(), v.form, v.fields.iter().map(|f| f.name.clone()).collect()))
        .collect();
    Some(Arc::new(EnumType { name: inner.name.clone(), variants }))
}

/// Whether no name ends here.
fn ends_outside_name(text: &str) -> bool {
    !text.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>')
}

/// A type with its full names, cut off where it gets absurdly long.
fn type_name(types: &[Type], index: u32) -> String {
    let mut out = String::new();
    write_type(types, index, &mut out);
    out
}

/// A real table refers back only, except through names; a damaged one may not, and may double its length at each step. Both end here.
fn write_type(types: &[Type], index: u32, out: &mut String) {
    const LONGEST: usize = 2000;
    let list = |out: &mut String, items: &[u32], separator: &str| {
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                out.push_str(separator);
            }
            if *item < index && out.len() < LONGEST {
                write_type(types, *item, out);
            } else {
                out.push('?');
            }
        }
    };
    let mut wrapped = |name: &str, items: &[u32]| {
        out.push_str(name);
        out.push('<');
        list(out, items, ", ");
        out.push('>');
    };
    match types.get(index as usize) {
        None => out.push('?'),
        Some(Type::Any) => out.push_str("Any"),
        Some(Type::Never) => out.push_str("Never"),
        Some(Type::Nil) => out.push_str("Nil"),
        Some(Type::Bool) => out.push_str("Bool"),
        Some(Type::Int) => out.push_str("Int"),
        Some(Type::Float) => out.push_str("Float"),
        Some(Type::String) => out.push_str("String"),
        Some(Type::Range) => out.push_str("Range"),
        Some(Type::Stream) => out.push_str("Stream"),
        Some(Type::Model) => out.push_str("ModelRef"),
        Some(Type::Builder) => out.push_str("ModelBuilder"),
        Some(Type::Array(item)) => wrapped("Array", &[*item]),
        Some(Type::Option(item)) => wrapped("Option", &[*item]),
        Some(Type::Future(item)) => wrapped("Future", &[*item]),
        Some(Type::Pipeline(input, output)) => wrapped("PipelineRef", &[*input, *output]),
        Some(Type::Task(item)) => wrapped("Task", &[*item]),
        Some(Type::Map(key, value)) => wrapped("Map", &[*key, *value]),
        Some(Type::Collection(kind, item)) => wrapped(kind.name(), &[*item]),
        Some(Type::Store(key, value)) => wrapped("HashMap", &[*key, *value]),
        Some(Type::Result(ok, err)) => wrapped("Result", &[*ok, *err]),
        Some(Type::Tuple(items)) => {
            out.push('(');
            list(out, items, ", ");
            out.push(')');
        }
        Some(Type::Function(params, result)) => {
            out.push_str("fn(");
            list(out, params, ", ");
            out.push_str(") -> ");
            list(out, &[*result], "");
        }
        Some(Type::Literal(values)) => {
            let quoted: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
            out.push_str(&quoted.join(" | "));
        }
        Some(Type::Union(items)) => list(out, items, " | "),
        Some(Type::Struct(inner)) => out.push_str(&inner.name),
        Some(Type::Enum(inner)) => out.push_str(&inner.name),
    }
}

impl Verified {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // A document that was read can be written: all its keys are text.
        serde_json::to_vec(&self.0.document).unwrap_or_default()
    }

    /// What executes of each function.
    #[must_use]
    pub fn bodies(&self) -> &[Body] {
        &self.0.bodies
    }

    /// Where an instruction of the executed code stands in the document.
    #[must_use]
    pub fn origin(&self, function: usize, pc: usize) -> Option<usize> {
        Some(*self.0.bodies.get(function)?.origins.get(pc)? as usize)
    }

    /// A function as a value.
    #[must_use]
    pub fn function_value(&self, index: usize, captures: Captures) -> Option<Value> {
        let body = self.0.bodies.get(index)?;
        let (name, arity) = (body.name.clone(), body.arity);
        Some(Value::Function(Arc::new(FunctionValue { index, name, arity, captures })))
    }

    /// A future of a function with all its arguments.
    #[must_use]
    pub fn future(&self, index: usize, args: Captures) -> Option<Value> {
        let name = self.0.bodies.get(index)?.name.clone();
        let function = FunctionValue { index, name, arity: 0, captures: args };
        Some(Value::Task(Arc::new(TaskValue::future(Arc::new(function)))))
    }

    /// All functions.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.0.document.functions
    }

    /// A function.
    #[must_use]
    pub fn function(&self, index: usize) -> Option<&Function> {
        self.0.document.functions.get(index)
    }

    /// The constant pool as values.
    #[must_use]
    pub fn constants(&self) -> &[Value] {
        &self.0.constants
    }

    /// The type table.
    #[must_use]
    pub fn types(&self) -> &[Type] {
        &self.0.document.types
    }

    /// The function that says what an error of the program is, if its type implements `Error`.
    #[must_use]
    pub fn message_of(&self, error: &Value) -> Option<u32> {
        let same = |at: Option<usize>| self.0.document.types.get(at?);
        let ty = match error {
            Value::Struct(held) => same(
                self.0
                    .structs
                    .iter()
                    .position(|ty| matches!(ty, Some(ty) if Arc::ptr_eq(ty, &held.ty))),
            ),
            Value::Enum(held) => same(
                self.0
                    .enums
                    .iter()
                    .position(|ty| matches!(ty, Some(ty) if Arc::ptr_eq(ty, &held.ty))),
            ),
            _ => None,
        };
        match ty? {
            Type::Struct(inner) => inner.message,
            Type::Enum(inner) => inner.message,
            _ => None,
        }
    }

    /// The run-time type of a struct type.
    #[must_use]
    pub fn struct_type(&self, index: u32) -> Option<&Arc<StructType>> {
        self.0.structs.get(index as usize)?.as_ref()
    }

    /// The run-time type of an enum type.
    #[must_use]
    pub fn enum_type(&self, index: u32) -> Option<&Arc<EnumType>> {
        self.0.enums.get(index as usize)?.as_ref()
    }

    /// The compiled form of a pattern of the program.
    #[must_use]
    pub fn pattern(&self, text: &str) -> Option<&Regex> {
        self.0.patterns.get(text)
    }

    /// A declared model as a value.
    #[must_use]
    pub fn model_value(&self, index: u32) -> Option<&Arc<ModelValue>> {
        self.0.models.get(index as usize)
    }

    /// A type as the language writes it.
    #[must_use]
    pub fn type_name(&self, index: u32) -> String {
        let full = type_name(&self.0.document.types, index);
        let mut written = String::with_capacity(full.len());
        for part in full.split_inclusive("::") {
            // A type of the entry file that hides one of the library, as its program writes it.
            let is_root = part == "::" || part.strip_suffix("::").is_some_and(ends_outside_name);
            written.push_str(if is_root { part.trim_end_matches("::") } else { part });
        }
        written
    }

    /// Where a run starts.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.0.document.entry
    }

    /// Functions that only a test run calls.
    #[must_use]
    pub fn tests(&self) -> &[Test] {
        &self.0.document.tests
    }

    /// Declared connections.
    #[must_use]
    pub fn connections(&self) -> &[Connection] {
        &self.0.document.connections
    }

    /// Declared models.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.0.document.models
    }

    /// Declared tools.
    #[must_use]
    pub fn tools(&self) -> &[Tool] {
        &self.0.document.tools
    }

    /// Declared schemas.
    #[must_use]
    pub fn schemas(&self) -> &[Schema] {
        &self.0.document.schemas
    }

    /// What the program may ask for.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.0.document.permissions
    }

    /// The whole document.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.0.document
    }

    /// The position of an instruction; that of the function if the instruction has none. Line and column are 0 in a program without places.
    #[must_use]
    pub fn position(&self, function: usize, pc: usize) -> Option<Position> {
        let function = self.function(function)?;
        let pc = u32::try_from(pc).ok()?;
        let start = match function.spans.binary_search_by_key(&pc, |span| span.0) {
            Ok(found) => function.spans.get(found)?.1,
            Err(_) => function.span.0,
        };
        let file = self.0.document.files.get(function.file as usize)?;
        if file.lines.is_empty() {
            return Some(Position { path: file.path.clone(), line: 0, column: 0 });
        }
        let line = file.lines.partition_point(|first| *first <= start);
        let first = file.lines.get(line.checked_sub(1)?)?;
        Some(Position {
            path: file.path.clone(),
            line: u32::try_from(line).ok()?,
            column: start - first + 1,
        })
    }
}

#[cfg(test)]
mod tests;
