//! `assert_snapshot`: compares a value with a file, or writes the file (TE-21).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::value::{Value, line_difference, to_json};

/// The text of a value in its file: a text is itself, everything else pretty JSON and a line end.
fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_string(),
        other => serde_json::to_string_pretty(&to_json(other)).unwrap_or_default() + "\n",
    }
}

/// The file of a snapshot: `<place>.snap`, or `<place>-<name>.snap`.
///
/// # Errors
/// The name could leave the folder, or is none that every file system takes.
pub(super) fn path(place: &Path, name: &str) -> Result<PathBuf, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.chars().all(good) {
        return Err(format!(
            "the name of a snapshot has letters, digits, `_`, `-` and `.`, found `{name}`"
        ));
    }
    let mut file = place.as_os_str().to_owned();
    if !name.is_empty() {
        file.push("-");
        file.push(name);
    }
    file.push(".snap");
    Ok(file.into())
}

/// Compares, or with `update` writes what is missing or differs; gives whether it wrote.
///
/// # Errors
/// Why the test fails.
pub(super) fn compare(path: &Path, value: &Value, update: bool) -> Result<bool, String> {
    let (found, shown) = (text(value), path.display());
    let stored = match std::fs::read_to_string(path) {
        Ok(stored) => Some(stored),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(format!("cannot read the snapshot `{shown}`: {error}")),
    };
    match stored {
        Some(stored) if stored == found => Ok(false),
        _ if update => {
            let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            folder
                .and_then(|()| std::fs::write(path, &found))
                .map_err(|error| format!("cannot write the snapshot `{shown}`: {error}"))?;
            Ok(true)
        }
        Some(stored) => Err(format!(
            "assertion failed: the snapshot `{shown}` differs (- stored, + found; `--update` stores what was found)\n{}",
            line_difference(&stored, &found)
        )),
        None => {
            Err(format!("assertion failed: there is no snapshot `{shown}`; `--update` writes it"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let place = Path::new("snapshots/main/a");
        assert_eq!(path(place, ""), Ok("snapshots/main/a.snap".into()));
        assert_eq!(path(place, "b-1.x"), Ok("snapshots/main/a-b-1.x.snap".into()));
        for name in ["../b", "a/b", "a b", "ä", "a\\b"] {
            assert!(path(place, name).is_err(), "{name}");
        }
    }
}
