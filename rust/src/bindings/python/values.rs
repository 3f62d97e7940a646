//! Values between the language and Python.

use pyo3::exceptions::{PyRecursionError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMapping, PySet, PyString, PyTuple,
    PyType,
};
use serde_json::{Map, Value as Json};

use crate::value::declared_name;
use crate::{Collection, Emit, Form, Value};

/// Arguments nested deeper are refused.
const MAX_DEPTH: usize = 128;

fn class<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyType>>,
    name: &str,
) -> PyResult<&'py Bound<'py, PyType>> {
    cell.import(py, "concerto.values", name)
}

static RECORD: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static VARIANT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static SET: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static OK: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static ERR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static ENUM: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// A value as Python has it. Built-in errors are their message, as in JSON.
pub(super) fn value_to_py<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    value_at(py, value, 0, false)
}

/// An uncaught error as Python has it: with the fields of built-in errors, also of those inside.
pub(super) fn error_to_py<'py>(py: Python<'py>, error: &Value) -> PyResult<Bound<'py, PyAny>> {
    value_at(py, error, 0, true)
}

fn value_at<'py>(
    py: Python<'py>,
    value: &Value,
    depth: usize,
    whole_errors: bool,
) -> PyResult<Bound<'py, PyAny>> {
    /// What Python itself can show and compare.
    const DEEPEST: usize = 256;
    if depth > DEEPEST {
        return Err(PyRecursionError::new_err("the value is nested deeper than 256 levels"));
    }
    let inside = |value: &Value| value_at(py, value, depth + 1, whole_errors);
    let all = |items: &[Value]| -> PyResult<Vec<Bound<'py, PyAny>>> {
        items.iter().map(inside).collect()
    };
    Ok(match value {
        Value::Nil | Value::None => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::Int(number) => PyInt::new(py, *number).into_any(),
        Value::Float(number) => PyFloat::new(py, *number).into_any(),
        Value::Str(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => PyList::new(py, all(items)?)?.into_any(),
        Value::Tuple(items) => PyTuple::new(py, all(items)?)?.into_any(),
        Value::Map(map) => {
            let dict = PyDict::new(py);
            for (key, item) in map.iter() {
                dict.set_item(inside(&key.to_value())?, inside(item)?)?;
            }
            dict.into_any()
        }
        Value::Struct(held) if held.ty.is_error && !whole_errors => {
            PyString::new(py, &value.to_string()).into_any()
        }
        Value::Struct(held) => {
            let fields = PyDict::new(py);
            for ((name, _), field) in held.ty.fields.iter().zip(&held.fields) {
                fields.set_item(name, inside(field)?)?;
            }
            class(py, &RECORD, "Record")?.call1((declared_name(&held.ty.name), fields))?
        }
        Value::Enum(held) => {
            let Some((name, form, names)) = held.ty.variants.get(held.variant as usize) else {
                return Ok(py.None().into_bound(py));
            };
            let data = match form {
                Form::Unit => return Ok(PyString::new(py, name).into_any()),
                Form::Tuple => PyTuple::new(py, all(&held.fields)?)?.into_any(),
                Form::Struct => {
                    let dict = PyDict::new(py);
                    for (name, field) in names.iter().zip(&held.fields) {
                        dict.set_item(name, inside(field)?)?;
                    }
                    dict.into_any()
                }
            };
            class(py, &VARIANT, "Variant")?.call1((name.as_str(), data))?
        }
        Value::Collection(items) => {
            let list = PyList::new(py, all(&items.values())?)?;
            match &**items {
                // Keys of sets are strings, numbers, truth values and tuples: Python can hash them all.
                Collection::Set(_) => class(py, &SET, "OrderedSet")?.call1((list,))?,
                _ => list.into_any(),
            }
        }
        Value::Some(inner) => inside(inner)?,
        Value::Ok(inner) => class(py, &OK, "Ok")?.call1((inside(inner)?,))?,
        Value::Err(inner) => class(py, &ERR, "Err")?.call1((inside(inner)?,))?,
        Value::Range(range) => {
            let (start, end) = range.exclusive();
            py.import("builtins")?.getattr("range")?.call1((start, end))?
        }
        Value::Function(_)
        | Value::Model(_)
        | Value::Pipeline(_)
        | Value::Task(_)
        | Value::Foreign(_) => PyString::new(py, &value.to_string()).into_any(),
    })
}

/// Channel, payload, time, run, task, and sequence number.
pub(super) type EmitParts<'a, 'py> =
    (&'a str, Bound<'py, PyAny>, f64, Bound<'py, PyString>, u64, u64);

/// An emit as the parts of Python's `Emit`; `run` is the id of its run.
pub(super) fn emit_to_py<'a, 'py>(
    py: Python<'py>,
    emit: &'a Emit,
    run: &Bound<'py, PyString>,
) -> PyResult<EmitParts<'a, 'py>> {
    let payload = value_to_py(py, &emit.payload)?;
    Ok((emit.channel.as_str(), payload, emit.time, run.clone(), emit.task_id, emit.sequence))
}

/// The id of a run as Python shows it.
pub(super) fn run_name(id: u64) -> String {
    format!("run-{id}")
}

/// An argument as JSON: plain values, lists, tuples, sets, mappings, records, variants, results, members of enumerations, dataclasses, and models of
/// pydantic.
pub(super) fn py_to_json(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Json> {
    if depth > MAX_DEPTH {
        return Err(PyTypeError::new_err("the argument is nested deeper than 128 levels"));
    }
    if value.is_none() {
        return Ok(Json::Null);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Json::from(text.to_str()?));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Json::Bool(truth.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        let number: i64 = value
            .extract()
            .map_err(|_| PyTypeError::new_err(format!("{value} does not fit into 64 bits")))?;
        return Ok(Json::from(number));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Json::from(number.extract::<f64>()?));
    }
    if value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>() && !value.hasattr("_asdict")?
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
    {
        let items: PyResult<Vec<Json>> =
            value.try_iter()?.map(|item| py_to_json(&item?, depth + 1)).collect();
        return Ok(Json::Array(items?));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return dict_to_json(dict, depth).map(Json::Object);
    }
    object_to_json(value, depth)
}

/// An argument that has its own form in JSON.
fn object_to_json(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Json> {
    let py = value.py();
    let part = |name: &str| py_to_json(&value.getattr(name)?, depth + 1);
    if value.is_instance(class(py, &OK, "Ok")?)? {
        return Ok(object([("ok", part("value")?)]));
    }
    if value.is_instance(class(py, &ERR, "Err")?)? {
        return Ok(object([("err", part("error")?)]));
    }
    if value.is_instance(class(py, &VARIANT, "Variant")?)? {
        return Ok(object([("variant", part("name")?), ("data", part("data")?)]));
    }
    if value.hasattr("__dataclass_fields__")? && !value.is_instance_of::<PyType>() {
        let fields = py.import("dataclasses")?.call_method1("fields", (value,))?;
        let entries = fields.try_iter()?.map(|field| {
            let name: String = field?.getattr("name")?.extract()?;
            let held = py_to_json(&value.getattr(name.as_str())?, depth + 1)?;
            Ok((name, held))
        });
        return entries.collect::<PyResult<Map<_, _>>>().map(Json::Object);
    }
    for method in ["_asdict", "model_dump"] {
        if value.hasattr(method)? && !value.is_instance_of::<PyType>() {
            return py_to_json(&value.call_method0(method)?, depth + 1);
        }
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let dict = PyDict::new(py);
        dict.update(mapping)?;
        return dict_to_json(&dict, depth).map(Json::Object);
    }
    if value.is_instance(ENUM.import(py, "enum", "Enum")?)? {
        return part("value");
    }
    let kind = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("a `{kind}` cannot be passed to a program")))
}

fn object<const N: usize>(entries: [(&str, Json); N]) -> Json {
    Json::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

pub(super) fn dict_to_json(dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Map<String, Json>> {
    dict.iter().map(|(key, item)| Ok((key_to_json(&key)?, py_to_json(&item, depth + 1)?))).collect()
}

/// A key as JSON writes it: numbers and truth values become their text.
fn key_to_json(key: &Bound<'_, PyAny>) -> PyResult<String> {
    match py_to_json(key, 0)? {
        Json::String(text) => Ok(text),
        number @ (Json::Number(_) | Json::Bool(_)) => Ok(number.to_string()),
        _ => Err(PyTypeError::new_err(format!("the key {key} is no text"))),
    }
}
