//! The world outside of a run: environment variables and the time of day.
//!
//! The only reader of the process environment. A host may lay its own variables over it and may restrict the names (C-28); `env(..)` in
//! code and in connections see the same environment.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What `env(..)` sees.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Laid over the process environment.
    pub own: HashMap<String, String>,
    /// Other names count as not set; `None` allows all.
    pub allowed: Option<HashSet<String>>,
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
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Missing::InvalidName);
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(name)) {
            return Err(Missing::Unset);
        }
        if let Some(value) = self.own.get(name) {
            return Ok(Cow::Borrowed(value));
        }
        match std::env::var(name) {
            Ok(value) => Ok(Cow::Owned(value)),
            Err(std::env::VarError::NotPresent) => Err(Missing::Unset),
            Err(std::env::VarError::NotUnicode(_)) => Err(Missing::InvalidUtf8),
        }
    }
}

impl Environment {
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
        let own = self.own.iter().map(|(name, value)| (name.clone(), value.clone()));
        let is_allowed = |name: &String| self.allowed.as_ref().is_none_or(|all| all.contains(name));
        process.chain(own).filter(|(name, _)| is_allowed(name)).collect()
    }
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
        let all = Environment { own: own.clone(), allowed: None };
        assert_eq!(all.read("A_KEY"), Ok(String::new()), "an empty variable is set");
        assert_eq!(all.read("NO_SUCH_VARIABLE_HERE"), Err(Missing::Unset));
        let some = Environment { own, allowed: Some(HashSet::from(["B_KEY".to_owned()])) };
        assert_eq!(some.read("A_KEY"), Err(Missing::Unset));
        assert_eq!(some.read("B_KEY"), Ok("b".to_owned()));
    }

    #[test]
    fn impossible_names_are_refused() {
        let environment = Environment::default();
        for name in ["", "A=B", "A\0B"] {
            assert_eq!(environment.read(name), Err(Missing::InvalidName));
        }
    }
}
