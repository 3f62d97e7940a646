//! Overrides in force, by connection.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{ConfigError, ConnectionConfig, Layer, closest};

/// The overrides of one runtime: those of the command line, and over them those of the host.
#[derive(Debug)]
pub struct Overrides {
    declared: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    command_line: HashMap<String, Layer>,
    host: HashMap<String, Layer>,
    rejected: HashMap<String, ConfigError>,
    epoch: u64,
}

impl Overrides {
    /// None in force, for a program that declares these connections.
    #[must_use]
    pub fn new(declared: Vec<String>) -> Self {
        Self { declared, state: Mutex::default() }
    }

    fn locked<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fails for a name that the program does not declare.
    ///
    /// # Errors
    /// [`ConfigError::UnknownConnection`].
    pub fn check_name(&self, name: &str) -> Result<(), ConfigError> {
        if self.declared.iter().any(|declared| declared == name) {
            return Ok(());
        }
        Err(ConfigError::UnknownConnection {
            name: name.to_owned(),
            close: closest(name, self.declared.iter().map(String::as_str)),
            declared: self.declared.clone(),
        })
    }

    /// Replaces the host's override of a connection; a rejected one is remembered and fails the next run.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn set_host(&self, name: &str, config: &ConnectionConfig<'_>) -> Result<(), ConfigError> {
        let checked = self.check_name(name).and_then(|()| Layer::from_config(name, config));
        self.set(name, checked, false)
    }

    /// The same from a JSON object; `command_line` lays it under the host's.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn set_json(
        &self,
        name: &str,
        fields: &serde_json::Map<String, serde_json::Value>,
        command_line: bool,
    ) -> Result<(), ConfigError> {
        let checked = self.check_name(name).and_then(|()| Layer::from_json(name, fields));
        self.set(name, checked, command_line)
    }

    fn set(
        &self,
        name: &str,
        checked: Result<Layer, ConfigError>,
        command_line: bool,
    ) -> Result<(), ConfigError> {
        self.locked(|state| match checked {
            Ok(layer) => {
                state.epoch += 1;
                state.rejected.remove(name);
                let place = if command_line { &mut state.command_line } else { &mut state.host };
                place.insert(name.to_owned(), layer);
                Ok(())
            }
            Err(error) => {
                state.rejected.insert(name.to_owned(), error.clone());
                Err(error)
            }
        })
    }

    /// Removes the host's override of a connection.
    pub fn clear_host(&self, name: &str) {
        self.locked(|state| {
            state.epoch += 1;
            state.host.remove(name);
            state.rejected.remove(name);
        });
    }

    /// Removes all overrides of the host.
    pub fn clear_all_host(&self) {
        self.locked(|state| {
            state.epoch += 1;
            state.host.clear();
            state.rejected.clear();
        });
    }

    /// Fails if a rejected override is still in force.
    ///
    /// # Errors
    /// The error that its call returned.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.locked(|state| {
            let mut names: Vec<_> = state.rejected.keys().collect();
            names.sort();
            names
                .first()
                .and_then(|name| state.rejected.get(*name))
                .map_or(Ok(()), |e| Err(e.clone()))
        })
    }

    /// Counts the changes so far.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.locked(|state| state.epoch)
    }

    /// The layers over a connection's declaration, weakest first.
    #[must_use]
    pub fn layers(&self, name: &str) -> [Layer; 2] {
        self.locked(|state| {
            let get = |map: &HashMap<String, Layer>| map.get(name).cloned().unwrap_or_default();
            [get(&state.command_line), get(&state.host)]
        })
    }
}
