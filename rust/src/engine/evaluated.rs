//! Settings that earlier runs of a runtime evaluated.
//!
//! Evaluation depends on nothing but the program, the overrides and the variables that it reads. Where these are the same, a run takes what an earlier one
//! made: evaluating and merging costs more than all else before a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::settings::Values;
use super::world::{Environment, Missing};
use crate::config::ConnectionSettings;
use crate::secret::Secret;

/// Variables that an evaluation read, and what it found.
pub(super) type Reads = Vec<(String, Result<Secret, Missing>)>;

/// The settings of a connection, and what they were made of.
pub(super) struct Evaluated {
    /// With the number of changes of the overrides before them.
    pub(super) settings: Arc<ConnectionSettings>,
    pub(super) reads: Reads,
    /// The evaluated fields, which stay for a run even if an override changes meanwhile (C-26).
    pub(super) values: Values,
}

impl Evaluated {
    /// Whether an evaluation now would read the same.
    fn holds(&self, epoch: u64, environment: &Environment) -> bool {
        let is_same = |(name, found): &(String, Result<Secret, Missing>)| match (
            environment.look_up(name),
            found,
        ) {
            (Ok(now), Ok(then)) => now == then.expose(),
            (Err(now), Err(then)) => now == *then,
            _ => false,
        };
        self.settings.epoch == epoch && self.reads.iter().all(is_same)
    }
}

/// The newest settings of each connection, by its number.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<usize, Arc<Evaluated>>>);

impl Cache {
    /// The settings of a connection, if neither overrides nor variables have changed since.
    pub(super) fn get(
        &self,
        connection: usize,
        epoch: u64,
        environment: &Environment,
    ) -> Option<Arc<Evaluated>> {
        let found = self.locked(|all| all.get(&connection).map(Arc::clone))?;
        found.holds(epoch, environment).then_some(found)
    }

    pub(super) fn put(&self, connection: usize, evaluated: Arc<Evaluated>) {
        self.locked(|all| all.insert(connection, evaluated));
    }

    fn locked<T>(&self, work: impl FnOnce(&mut HashMap<usize, Arc<Evaluated>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, ProviderKind, merge};

    /// C-26, O-12
    #[test]
    fn settings_hold_until_a_variable_or_an_override_changes() {
        let settings = merge("c", ProviderKind::Ollama, &[("program", &Layer::default())]).unwrap();
        let reads = vec![
            ("URL".to_owned(), Ok(Secret::new("http://h"))),
            ("KEY".to_owned(), Err(Missing::Unset)),
        ];
        let evaluated =
            Evaluated { settings: Arc::new(settings), reads, values: HashMap::default() };
        let cache = Cache::default();
        cache.put(0, Arc::new(evaluated));
        let same: &[(&str, &str)] = &[("URL", "http://h"), ("OTHER", "x")];
        for (connection, epoch, variables, expected) in [
            (0, 0, same, true),
            (1, 0, same, false),
            (0, 1, same, false),
            (0, 0, &[("URL", "http://other")], false),
            (0, 0, &[], false),
            (0, 0, &[("URL", "http://h"), ("KEY", "k")], false),
        ] {
            let own: HashMap<_, _> =
                variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let allowed = Some(["URL", "KEY"].map(str::to_owned).into());
            let found = cache.get(
                connection,
                epoch,
                &Environment { own: own.into(), allowed, ..Environment::default() },
            );
            assert_eq!(found.is_some(), expected, "{connection} {epoch} {variables:?}");
        }
    }
}
