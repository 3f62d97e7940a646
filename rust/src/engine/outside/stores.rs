//! The stores of a run: empty when it begins, or read from their files, which are written again after changes and at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;

use super::files::{FileAccess, FileMode, real_place, replace};
use crate::ir::Verified;
use crate::ir::program;
use crate::schema;
use crate::value::{Key, MapValue, Room, Store, Text, Value, to_json};
use crate::vm::{PanicKind, Request};

/// Changes are gathered for so long before they are saved.
const GATHER: Duration = Duration::from_millis(250);

/// All stores of a run, in the order of their declarations; or of all runs of a runtime that share them.
#[derive(Default)]
pub(super) struct Stores {
    open: Vec<Open>,
    /// Held while files are written, so that of two runs the later one writes the newer entries.
    saving: tokio::sync::Mutex<()>,
}

/// Stores that all runs of a runtime share, opened by the first.
#[derive(Default)]
pub struct SharedStores(Mutex<Option<Arc<Stores>>>);

impl SharedStores {
    /// The stores, opened if they are not open yet.
    ///
    /// # Errors
    /// As for [`Stores::open`].
    pub(super) fn open(
        &self,
        open: impl FnOnce() -> Result<Stores, String>,
    ) -> Result<Arc<Stores>, String> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stores) = &*kept {
            return Ok(Arc::clone(stores));
        }
        let stores = Arc::new(open()?);
        *kept = Some(Arc::clone(&stores));
        Ok(stores)
    }
}

/// A key or value for a store of which the program does not know the types at this place.
pub(super) fn fitted(
    program: &Verified,
    request: Request,
    store: &Value,
    value: Value,
) -> Result<Value, (PanicKind, String)> {
    let number = Store::of(store).map(Store::number);
    let declared = number.and_then(|number| program.document().stores.get(number));
    let Some(declared) = declared else {
        return Err((PanicKind::TypeMismatch, "there is no such store".to_owned()));
    };
    let (part, ty) = match request {
        Request::StoreKey => ("the keys", declared.key),
        _ => ("the values", declared.value),
    };
    schema::conform(program, ty, value).map_err(|found| {
        let (name, wanted) = (&declared.name, program.type_name(ty));
        let message = format!("{part} of the hashmap `{name}` are `{wanted}`, found `{found}`");
        (PanicKind::TypeMismatch, message)
    })
}

struct Open {
    store: Store,
    path: Option<String>,
    /// The version that is in the file.
    saved: Mutex<u64>,
}

impl Stores {
    /// Opens the stores of a program.
    ///
    /// # Errors
    /// What is wrong with a file, or that the program may not use it.
    pub(super) fn open(
        program: &Verified,
        access: &FileAccess,
        max_bytes: usize,
    ) -> Result<Self, String> {
        let room = Room::new(max_bytes);
        let declared = &program.document().stores;
        let open = declared.iter().enumerate().map(|(number, declared)| {
            let map = match &declared.path {
                None => MapValue::default(),
                Some(path) => load(program, access, declared, path).map_err(|what| {
                    format!("the hashmap `{}` cannot use `{path}`: {what}", declared.name)
                })?,
            };
            let store = Store::new(&declared.name, number, map, &room).map_err(|full| {
                format!(
                    "the hashmap `{}` holds more than `max_store_bytes` allows: {} bytes",
                    declared.name, full.most
                )
            })?;
            Ok(Open { saved: Mutex::new(store.version()), path: declared.path.clone(), store })
        });
        let open = open.collect::<Result<_, String>>()?;
        Ok(Self { open, saving: tokio::sync::Mutex::default() })
    }

    /// The stores as values of one run.
    pub(super) fn values(&self) -> Vec<Value> {
        self.open.iter().map(|open| open.store.for_run().to_value()).collect()
    }

    /// Saves changes from time to time, and never ends.
    pub(super) async fn keep_saved(&self, access: &FileAccess) -> String {
        if self.open.iter().all(|open| open.path.is_none()) {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(GATHER).await;
            if let Err(what) = self.save(access).await {
                return what;
            }
        }
    }

    /// Saves what has changed.
    ///
    /// # Errors
    /// What went wrong with a file.
    pub(super) async fn save(&self, access: &FileAccess) -> Result<(), String> {
        let _saving = self.saving.lock().await;
        for open in &self.open {
            let Some(path) = open.path.clone() else { continue };
            let version = open.store.version();
            if *open.saved.lock().unwrap_or_else(PoisonError::into_inner) == version {
                continue;
            }
            let text = to_text(&open.store.snapshot());
            let (root, shown) = (access.root.clone(), path.clone());
            let work = move || match real_place(root.as_deref(), &path) {
                Ok(Some(place)) => replace(&place, text.as_bytes()).map_err(|e| e.to_string()),
                Ok(None) => Err(OUTSIDE.to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let written = tokio::task::spawn_blocking(work).await;
            written
                .map_err(|error| error.to_string())
                .and_then(|done| done)
                .map_err(|what| format!("a hashmap cannot be saved to `{shown}`: {what}"))?;
            *open.saved.lock().unwrap_or_else(PoisonError::into_inner) = version;
        }
        Ok(())
    }
}

const OUTSIDE: &str = "it is outside of the folder that the program may use";

fn load(
    program: &Verified,
    access: &FileAccess,
    declared: &program::Store,
    path: &str,
) -> Result<MapValue, String> {
    if access.mode != FileMode::Write {
        return Err("the program may not write files".to_owned());
    }
    let place = real_place(access.root.as_deref(), path).map_err(|error| error.to_string())?;
    let place = place.ok_or(OUTSIDE)?;
    let text = match std::fs::read_to_string(place) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(MapValue::default());
        }
        Err(error) => return Err(error.to_string()),
    };
    let json: Json = serde_json::from_str(&text).map_err(|error| format!("no JSON: {error}"))?;
    let entries: Vec<(Json, Json)> = match json {
        Json::Object(map) => map.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        Json::Array(pairs) => pairs.into_iter().map(pair).collect::<Result<_, _>>()?,
        _ => return Err("neither an object nor an array of pairs".to_owned()),
    };
    let typed = |ty: u32, json: &Json, key: &Json| {
        schema::decode(program, ty, json).map_err(|violations| {
            let first = violations.first().map(schema::Violation::message).unwrap_or_default();
            format!("the entry {key} does not fit: {first}")
        })
    };
    let entry = |(key, value): (Json, Json)| {
        let own = typed(declared.key, &key, &key)?.to_key();
        let own: Key = own.unwrap_or_else(|| Key::Str(Text::new(key.to_string())));
        Ok((own, typed(declared.value, &value, &key)?))
    };
    entries.into_iter().map(entry).collect()
}

fn pair(json: Json) -> Result<(Json, Json), String> {
    match json {
        Json::Array(mut pair) if pair.len() == 2 => {
            let value = pair.pop().unwrap_or_default();
            Ok((pair.pop().unwrap_or_default(), value))
        }
        other => Err(format!("{other} is no pair of a key and a value")),
    }
}

/// An object where all keys are texts, else an array of pairs.
fn to_text(map: &MapValue) -> String {
    let json: Json = if map.keys().all(|key| matches!(key, Key::Str(_))) {
        to_json(&Value::Map(map.clone().into()))
    } else {
        map.iter()
            .map(|(key, value)| Json::from(vec![to_json(&key.to_value()), to_json(value)]))
            .collect()
    };
    format!("{json:#}\n")
}
