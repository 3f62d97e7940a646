//! Overrides in force, by connection.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::{ConfigError, ConnectionConfig, Layer, closest};

/// The overrides of one runtime: those of the command line, and over them those of the host.
#[derive(Debug)]
pub struct Overrides {
    declared: Vec<String>,
    state: Mutex<State>,
}

/// Who gives an override: the host's lies over the command line's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Giver {
    CommandLine,
    Host,
}

#[derive(Debug, Default)]
struct State {
    command_line: HashMap<String, Layer>,
    host: HashMap<String, Layer>,
    /// Of each giver apart: what one puts right, the other has not.
    rejected: BTreeMap<(String, Giver), ConfigError>,
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
        self.set(name, checked, Giver::Host)
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
        self.set(name, checked, if command_line { Giver::CommandLine } else { Giver::Host })
    }

    fn set(
        &self,
        name: &str,
        checked: Result<Layer, ConfigError>,
        giver: Giver,
    ) -> Result<(), ConfigError> {
        let key = (name.to_owned(), giver);
        self.locked(|state| match checked {
            Ok(layer) => {
                state.epoch += 1;
                state.rejected.remove(&key);
                let place = match giver {
                    Giver::CommandLine => &mut state.command_line,
                    Giver::Host => &mut state.host,
                };
                place.insert(key.0, layer);
                Ok(())
            }
            Err(error) => {
                state.rejected.insert(key, error.clone());
                Err(error)
            }
        })
    }

    /// Removes the host's override of a connection.
    pub fn clear_host(&self, name: &str) {
        self.locked(|state| {
            state.epoch += 1;
            state.host.remove(name);
            state.rejected.remove(&(name.to_owned(), Giver::Host));
        });
    }

    /// Removes all overrides of the host.
    pub fn clear_all_host(&self) {
        self.locked(|state| {
            state.epoch += 1;
            state.host.clear();
            state.rejected.retain(|(_, giver), _| *giver != Giver::Host);
        });
    }

    /// Fails if a rejected override is still in force.
    ///
    /// # Errors
    /// The error that its call returned.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.locked(|state| state.rejected.values().next().map_or(Ok(()), |e| Err(e.clone())))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(overrides: &Overrides, json: &str, command_line: bool) -> Result<(), ConfigError> {
        overrides.set_json("c", &serde_json::from_str(json).unwrap(), command_line)
    }

    // O-8
    #[test]
    fn a_rejected_override_is_put_right_by_who_gave_it() {
        let (good, bad) = (r#"{"timeout": 5}"#, r#"{"timeout": 0}"#);
        for (command_line, other) in [(true, false), (false, true)] {
            let overrides = Overrides::new(vec!["c".to_owned()]);
            set(&overrides, bad, command_line).unwrap_err();
            set(&overrides, good, other).unwrap();
            assert!(overrides.check().is_err(), "the other layer's is still wrong");
            set(&overrides, good, command_line).unwrap();
            assert_eq!(overrides.check(), Ok(()));
        }
    }

    // O-7, O-8
    #[test]
    fn clearing_forgets_what_the_host_gave_and_nothing_else() {
        let bad = r#"{"timeout": 0}"#;
        for all in [false, true] {
            let overrides = Overrides::new(vec!["c".to_owned()]);
            set(&overrides, bad, false).unwrap_err();
            let clear = || if all { overrides.clear_all_host() } else { overrides.clear_host("c") };
            clear();
            assert_eq!(overrides.check(), Ok(()));
            set(&overrides, bad, true).unwrap_err();
            clear();
            assert!(overrides.check().is_err());
        }
    }
}
