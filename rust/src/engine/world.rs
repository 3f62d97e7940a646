//! The world outside of a run: environment variables and the time of day.
//!
//! The only reader of the process environment. A host may lay its own variables over it and may restrict the names (C-28); `env(..)` in
//! code and in connections see the same environment.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Variables that a host lays over the process environment. What they do not have is asked of the process.
///
/// ```
/// use concerto::Variables;
///
/// let known = std::collections::HashMap::from([("CLOUD_URL".to_owned(), "https://llm.example".to_owned())]);
/// let fixed = Variables::from(known);
/// let looked_up = Variables::lookup(|name| (name == "CLOUD_KEY").then(|| "sk-test".to_owned()));
/// ```
#[derive(Clone)]
pub enum Variables {
    /// These.
    Map(HashMap<String, String>),
    /// Whatever the function knows. It is called on the thread that drives a run, each time that a value is needed, so it must be quick;
    /// `std::env::all` asks it for names that the process has.
    Lookup(Arc<Lookup>),
}

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Variables {
    /// Variables that a function looks up by name.
    #[must_use]
    pub fn lookup(function: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::Lookup(Arc::new(function))
    }

    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Map(map) => map.get(name).map(|value| Cow::Borrowed(value.as_str())),
            Self::Lookup(function) => function(name).map(Cow::Owned),
        }
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self::Map(HashMap::new())
    }
}

impl From<HashMap<String, String>> for Variables {
    fn from(map: HashMap<String, String>) -> Self {
        Self::Map(map)
    }
}

/// Names only: values may be keys.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(map) => f.debug_set().entries(map.keys()).finish(),
            Self::Lookup(_) => f.write_str("a function"),
        }
    }
}

/// What `env(..)` sees.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Laid over the process environment.
    pub own: Variables,
    /// Other names count as not set; `None` allows all.
    pub allowed: Option<HashSet<String>>,
    /// What a test says: it wins over all, and `None` unsets.
    pub laid_over: Arc<Mutex<HashMap<String, Option<String>>>>,
}

/// Why a variable has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Not set, or not allowed.
    Unset,
    /// Empty, or with `=` or NUL.
    InvalidName,
    /// Set, but not UTF-8.
    InvalidUtf8,
}

impl Missing {
    /// The `kind` of the `EnvError`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Unset => "missing",
            Self::InvalidName => "invalid_name",
            Self::InvalidUtf8 => "invalid_utf8",
        }
    }

    /// The message of the `EnvError` for `name`.
    #[must_use]
    pub fn message(self, name: &str) -> String {
        match self {
            Self::Unset => format!("environment variable `{name}` is not set"),
            Self::InvalidName => {
                format!("`{}` is no name of an environment variable", name.escape_default())
            }
            Self::InvalidUtf8 => format!("environment variable `{name}` is not valid UTF-8"),
        }
    }
}

impl Environment {
    /// Sets a variable, or with `None` unsets it, for all that read this environment.
    ///
    /// # Errors
    /// [`Missing::InvalidName`].
    pub fn lay_over(&self, name: &str, value: Option<String>) -> Result<(), Missing> {
        checked(name)?;
        let mut laid_over = self.laid_over.lock().unwrap_or_else(PoisonError::into_inner);
        laid_over.insert(name.to_owned(), value);
        Ok(())
    }

    /// Reads one variable.
    ///
    /// # Errors
    /// [`Missing`] says why there is no value.
    pub fn read(&self, name: &str) -> Result<String, Missing> {
        self.look_up(name).map(Cow::into_owned)
    }

    /// The same without a copy where the host laid a value over the environment.
    ///
    /// # Errors
    /// As [`Environment::read`].
    #[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
    pub fn look_up(&self, name: &str) -> Result<Cow<'_, str>, Missing> {
        checked(name)?;
        let laid_over = self.laid_over.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = laid_over.get(name) {
            return value.clone().map(Cow::Owned).ok_or(Missing::Unset);
        }
        drop(laid_over);
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(name)) {
            return Err(Missing::Unset);
        }
        if let Some(value) = self.own.get(name) {
            return Ok(value);
        }
        match std::env::var(name) {
            Ok(value) => Ok(Cow::Owned(value)),
            Err(std::env::VarError::NotPresent) => Err(Missing::Unset),
            Err(std::env::VarError::NotUnicode(_)) => Err(Missing::InvalidUtf8),
        }
    }

    /// Whether a variable is set, whatever it holds.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        matches!(self.read(name), Ok(_) | Err(Missing::InvalidUtf8))
    }

    /// All variables that may be read and are UTF-8, by name.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
    pub fn all(&self) -> BTreeMap<String, String> {
        let process = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut found: BTreeMap<_, _> = process.collect();
        match &self.own {
            Variables::Map(map) => found.extend(map.clone()),
            Variables::Lookup(function) => {
                for (name, value) in &mut found {
                    *value = function(name).unwrap_or_else(|| std::mem::take(value));
                }
            }
        }
        if let Some(allowed) = &self.allowed {
            found.retain(|name, _| allowed.contains(name));
        }
        let laid_over = self.laid_over.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in laid_over.iter() {
            match value {
                Some(value) => found.insert(name.clone(), value.clone()),
                None => found.remove(name),
            };
        }
        found
    }
}

fn checked(name: &str) -> Result<(), Missing> {
    let is_bad = name.is_empty() || name.contains(['=', '\0']);
    if is_bad { Err(Missing::InvalidName) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variables_come_first_and_the_allow_list_hides_the_others() {
        let own = HashMap::from([
            ("A_KEY".to_owned(), String::new()),
            ("B_KEY".to_owned(), "b".to_owned()),
        ]);
        let all = Environment { own: own.clone().into(), ..Environment::default() };
        assert_eq!(all.read("A_KEY"), Ok(String::new()), "an empty variable is set");
        assert_eq!(all.read("NO_SUCH_VARIABLE_HERE"), Err(Missing::Unset));
        let allowed = Some(HashSet::from(["B_KEY".to_owned()]));
        let some = Environment { own: own.into(), allowed, ..Environment::default() };
        assert_eq!(some.read("A_KEY"), Err(Missing::Unset));
        assert_eq!(some.read("B_KEY"), Ok("b".to_owned()));
        some.lay_over("B_KEY", None).unwrap();
        some.lay_over("A_KEY", Some("a".to_owned())).unwrap();
        assert_eq!(some.read("B_KEY"), Err(Missing::Unset), "a test comes first");
        assert_eq!(some.read("A_KEY"), Ok("a".to_owned()));
    }

    // C-28
    #[test]
    fn a_function_of_the_host_is_asked_before_the_process() {
        let known = |name: &str| (name == "A_KEY" || name == "PATH").then(|| format!("its {name}"));
        let allowed = Some(HashSet::from(["A_KEY".to_owned(), "PATH".to_owned()]));
        let own = Variables::lookup(known);
        let some = Environment { own, allowed, ..Environment::default() };
        assert_eq!(some.read("A_KEY"), Ok("its A_KEY".to_owned()));
        assert_eq!(some.read("NO_SUCH_VARIABLE_HERE"), Err(Missing::Unset));
        assert_eq!(some.all(), BTreeMap::from([("PATH".to_owned(), "its PATH".to_owned())]));
    }

    #[test]
    fn impossible_names_are_refused() {
        let environment = Environment::default();
        for name in ["", "A=B", "A\0B"] {
            assert_eq!(environment.read(name), Err(Missing::InvalidName));
            assert_eq!(environment.lay_over(name, None), Err(Missing::InvalidName));
        }
    }
}
