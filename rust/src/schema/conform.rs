//! Any values into typed places.

use triomphe::Arc;

use crate::ir::Verified;
use crate::ir::program::Type;
use crate::value::{Collection, MapValue, Store, Value};

/// Checks that a value of the language fits a type, deep for collections and by name for structs and enums; an Int becomes a Float where one is wanted.
///
/// # Errors
/// The type name of what did not fit.
pub fn conform(program: &Verified, ty: u32, value: Value) -> Result<Value, String> {
    conform_at(program, ty, value, 0)
}

fn conform_at(program: &Verified, ty: u32, value: Value, depth: usize) -> Result<Value, String> {
    /// Types of programs are less deep; those of a damaged one may have no end.
    const DEEPEST: usize = 128;
    if depth > DEEPEST {
        return Err(value.type_name().to_owned());
    }
    let conform =
        |program: &Verified, ty: u32, value: Value| conform_at(program, ty, value, depth + 1);
    let Some(wanted) = program.types().get(ty as usize) else { return Err("?".to_owned()) };
    let fits = match (wanted, &value) {
        (Type::Any, _)
        | (Type::Nil, Value::Nil)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(_))
        | (Type::Float, Value::Float(_))
        | (Type::String, Value::Str(_))
        | (Type::Range, Value::Range(_))
        | (Type::Option(_), Value::None) => true,
        #[expect(clippy::cast_precision_loss, reason = "the nearest Float")]
        (Type::Float, Value::Int(number)) => return Ok(Value::Float(*number as f64)),
        (Type::Literal(values), Value::Str(text)) => values.iter().any(|v| **v == **text),
        (Type::Function(params, _), Value::Function(function)) => params.len() == function.arity,
        (Type::Model, Value::Model(model)) => !model.is_builder,
        (Type::Builder, Value::Model(model)) => model.is_builder,
        (Type::Future(_), Value::Task(task)) => task.is_future(),
        (Type::Task(_), Value::Task(task)) => !task.is_future(),
        (Type::Pipeline(..), Value::Pipeline(_)) => true,
        (Type::Option(_), Value::Nil) => return Ok(Value::None),
        (Type::Option(inner), Value::Some(held)) => {
            return conform(program, *inner, (***held).clone()).map(Value::some);
        }
        (Type::Option(inner), _) => return conform(program, *inner, value).map(Value::some),
        (Type::Array(inner), Value::Array(items)) => {
            let items = items.iter().map(|item| conform(program, *inner, item.clone()));
            return items.collect::<Result<_, _>>().map(Value::array);
        }
        (Type::Tuple(types), Value::Tuple(items)) if types.len() == items.len() => {
            let items = types.iter().zip(items.iter());
            let items = items.map(|(ty, item)| conform(program, *ty, item.clone()));
            return items.collect::<Result<_, _>>().map(Value::tuple);
        }
        (Type::Result(ok, _), Value::Ok(held)) => {
            return conform(program, *ok, (***held).clone()).map(Value::ok);
        }
        (Type::Result(_, err), Value::Err(held)) => {
            return conform(program, *err, (***held).clone()).map(Value::err);
        }
        (Type::Struct(inner), Value::Struct(held)) => inner.name == held.ty.name,
        (Type::Enum(inner), Value::Enum(held)) => inner.name == held.ty.name,
        (Type::Map(key, inner), Value::Map(map)) => {
            let mut checked = MapValue::with_capacity(map.len());
            for (own, item) in map.iter() {
                conform(program, *key, own.to_value())?;
                checked.insert(own.clone(), conform(program, *inner, item.clone())?);
            }
            return Ok(Value::map(checked));
        }
        (Type::Collection(kind, inner), Value::Collection(items)) if *kind == items.kind() => {
            let values = items.values().into_iter().map(|item| conform(program, *inner, item));
            let checked = Collection::from_values(*kind, values.collect::<Result<_, _>>()?);
            let checked = checked.ok_or_else(|| value.type_name().to_owned())?;
            return Ok(Value::Collection(Arc::new(checked)));
        }
        (Type::Store(key, item), Value::Foreign(_)) => {
            Store::of(&value).is_some_and(|store| is_store_of(program, store, *key, *item))
        }
        (Type::Union(members), _) => {
            let found = members.iter().find_map(|ty| conform(program, *ty, value.clone()).ok());
            return found.ok_or_else(|| value.type_name().to_owned());
        }
        _ => false,
    };
    if fits { Ok(value) } else { Err(value.type_name().to_owned()) }
}

/// Whether the declaration of a store says these types, as everybody who writes into it relies on. A `HashMapRef` takes every store: no store has keys of
/// type Any.
fn is_store_of(program: &Verified, store: &Store, key: u32, item: u32) -> bool {
    let is_any = |ty: u32| matches!(program.types().get(ty as usize), Some(Type::Any));
    let declared = program.document().stores.get(store.number());
    (is_any(key) && is_any(item))
        || declared.is_some_and(|declared| (declared.key, declared.value) == (key, item))
}
