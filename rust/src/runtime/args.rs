//! Arguments and results across the border: JSON in, checked against the declared types; values out.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::config::closest;
use crate::engine::Argument;
use crate::error::Error;
use crate::ir::Verified;
use crate::ir::program::Type;
use crate::schema;
use crate::value::{Value, to_json};

/// Arguments of a call: positional ones first, then named ones.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// By position.
    pub positional: Vec<Json>,
    /// By name.
    pub named: Map<String, Json>,
}

/// What can be passed as arguments: `()`, tuples (by position), and [`Args`].
pub trait IntoArgs {
    /// The arguments as JSON.
    ///
    /// # Errors
    /// [`Error::Arguments`] for a value without a JSON form.
    fn into_args(self) -> Result<Args, Error>;
}

impl IntoArgs for () {
    fn into_args(self) -> Result<Args, Error> {
        Ok(Args::default())
    }
}

impl IntoArgs for Args {
    fn into_args(self) -> Result<Args, Error> {
        Ok(self)
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: Serialize),+> IntoArgs for ($($name,)+) {
            #[allow(non_snake_case, reason = "the names of the type parameters serve for the values")]
            fn into_args(self) -> Result<Args, Error> {
                let ($($name,)+) = self;
                let positional = vec![$(json_of(&$name)?),+];
                Ok(Args { positional, named: Map::new() })
            }
        }
    };
}
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);

fn json_of(value: &impl Serialize) -> Result<Json, Error> {
    serde_json::to_value(value).map_err(|error| Error::Arguments { message: error.to_string() })
}

/// The index of a function that hosts may call.
pub(super) fn find(program: &Verified, name: &str) -> Result<usize, Error> {
    let exports = &program.entry().exports;
    if let Some(export) = exports.iter().find(|export| export.name == name) {
        return Ok(export.function);
    }
    let private = program.functions().iter().any(|function| function.name == name);
    let names: Vec<&str> = exports.iter().map(|export| export.name.as_str()).collect();
    let hint = if private {
        format!("; `{name}` is private: write `pub fn {name}`")
    } else if let Some(close) = closest(name, names.iter().copied()) {
        format!("; did you mean `{close}`?")
    } else if names.is_empty() {
        "; it has no `pub fn`".to_owned()
    } else {
        format!("; it has: {}", names.join(", "))
    };
    Err(Error::Arguments {
        message: format!("the program has no function `{name}` for hosts{hint}"),
    })
}

impl Args {
    /// The arguments in the order of the parameters, defaults filled in; an Option that is left out is None.
    pub(super) fn bind(
        &self,
        program: &Verified,
        name: &str,
        function: usize,
    ) -> Result<Vec<Argument>, Error> {
        let refuse =
            |message: String| Err(Error::Arguments { message: format!("`{name}`: {message}") });
        let params = program.function(function).map_or(&[][..], |f| f.params.as_slice());
        if self.positional.len() > params.len() {
            return refuse(format!(
                "takes {} arguments, found {}",
                params.len(),
                self.positional.len()
            ));
        }
        for key in self.named.keys() {
            match params.iter().position(|param| param.name == *key) {
                None => {
                    let close = closest(key, params.iter().map(|param| param.name.as_str()));
                    let hint =
                        close.map_or(String::new(), |close| format!("; did you mean `{close}`?"));
                    return refuse(format!("has no parameter `{key}`{hint}"));
                }
                Some(position) if position < self.positional.len() => {
                    return refuse(format!("`{key}` is given twice"));
                }
                Some(_) => {}
            }
        }
        let mut values = Vec::with_capacity(params.len());
        for (position, param) in params.iter().enumerate() {
            let given = self.positional.get(position).or_else(|| self.named.get(&param.name));
            let is_option = matches!(program.types().get(param.ty as usize), Some(Type::Option(_)));
            match (given, &param.default, param.computed) {
                (Some(json), ..) => match schema::decode(program, param.ty, json) {
                    Ok(value) => values.push(Argument::Value(value)),
                    Err(violations) => {
                        let first = violations.first().map_or(String::new(), |v| {
                            format!("expected {}, got {}{}", v.expected, v.actual, place(&v.path))
                        });
                        return refuse(format!("argument `{}`: {first}", param.name));
                    }
                },
                (None, Some(default), _) => {
                    values.push(Argument::Value(schema::default(program, param.ty, default)));
                }
                (None, None, Some(function)) => values.push(Argument::Computed(function)),
                (None, None, None) if is_option => values.push(Argument::Value(Value::None)),
                (None, None, None) => {
                    return refuse(format!(
                        "needs `{}: {}`",
                        param.name,
                        program.type_name(param.ty)
                    ));
                }
            }
        }
        Ok(values)
    }
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at {path}") }
}

/// A result as a type of the host.
pub(super) fn decode_result<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    serde_json::from_value(to_json(value))
        .map_err(|error| Error::Decode { message: error.to_string() })
}
