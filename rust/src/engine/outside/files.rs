//! `std::fs`: files under one folder. After `..` and symbolic links are resolved, a path outside of it is denied.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::value::{Value, builtin};
use crate::vm::Request;

/// What a program may do with files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAccess {
    /// Relative paths begin here; `None` is the working directory of the process.
    pub root: Option<PathBuf>,
    /// Reading, writing, or neither.
    pub mode: FileMode,
}

impl Default for FileAccess {
    fn default() -> Self {
        Self { root: None, mode: FileMode::Write }
    }
}

/// How far a program may go with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// Not at all.
    None,
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

impl std::str::FromStr for FileMode {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "none" => Ok(Self::None),
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(()),
        }
    }
}

/// The kind of an `FsError` and what its message says.
struct Trouble {
    kind: &'static str,
    what: String,
}

type Done<T> = Result<T, Trouble>;

fn denied<T>(what: &str) -> Done<T> {
    Err(Trouble { kind: "denied", what: what.to_owned() })
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        let (kind, what) = match error.kind() {
            ErrorKind::NotFound => ("not_found", "there is no such file"),
            ErrorKind::PermissionDenied => ("permission", "the operating system does not allow it"),
            ErrorKind::AlreadyExists => ("exists", "it exists already"),
            ErrorKind::NotADirectory => ("not_a_directory", "it is no directory"),
            ErrorKind::IsADirectory => ("is_a_directory", "it is a directory"),
            _ => return Self { kind: "io", what: error.to_string() },
        };
        Self { kind, what: what.to_owned() }
    }
}

/// Answers a request about files, beside the threads that must not wait; `None` if it is about something else.
pub(super) async fn answer(access: &FileAccess, request: Request, args: &[Value]) -> Option<Value> {
    let work = Work::of(request, args)?;
    let access = access.clone();
    let done = tokio::task::spawn_blocking(move || {
        let outcome = work.run(&access);
        work.value(outcome)
    });
    // A task that panicked has been reported; the program sees an error of the system.
    Some(done.await.unwrap_or_else(|error| {
        Value::err(builtin::fs_error(&format!("the file system failed: {error}"), "io", ""))
    }))
}

/// One operation on files.
enum Work {
    Read(String),
    Write(String, String),
    Append(String, String),
    Exists(String),
    IsFile(String),
    IsDir(String),
    List(String),
    Remove(String),
    CreateDir(String, bool),
    Copy(String, String),
    Rename(String, String),
    Size(String),
}

impl Work {
    fn of(request: Request, args: &[Value]) -> Option<Self> {
        let text = |at: usize| args.get(at).and_then(Value::as_str).map(str::to_owned);
        let path = text(0)?;
        Some(match request {
            Request::FsRead => Self::Read(path),
            Request::FsWrite => Self::Write(path, text(1)?),
            Request::FsAppend => Self::Append(path, text(1)?),
            Request::FsExists => Self::Exists(path),
            Request::FsIsFile => Self::IsFile(path),
            Request::FsIsDir => Self::IsDir(path),
            Request::FsList => Self::List(path),
            Request::FsRemove => Self::Remove(path),
            Request::FsCreateDir => {
                Self::CreateDir(path, matches!(args.get(1), Some(Value::Bool(true))))
            }
            Request::FsCopy => Self::Copy(path, text(1)?),
            Request::FsRename => Self::Rename(path, text(1)?),
            Request::FsSize => Self::Size(path),
            _ => return None,
        })
    }

    fn path(&self) -> &str {
        match self {
            Self::Read(path)
            | Self::Write(path, _)
            | Self::Append(path, _)
            | Self::Exists(path)
            | Self::IsFile(path)
            | Self::IsDir(path)
            | Self::List(path)
            | Self::Remove(path)
            | Self::CreateDir(path, _)
            | Self::Copy(path, _)
            | Self::Rename(path, _)
            | Self::Size(path) => path,
        }
    }

    /// What the operation is called in messages.
    fn verb(&self) -> &'static str {
        match self {
            Self::Read(_) | Self::Size(_) | Self::List(_) => "read",
            Self::Write(..) | Self::Append(..) => "write",
            Self::Exists(_) | Self::IsFile(_) | Self::IsDir(_) => "look at",
            Self::Remove(_) => "remove",
            Self::CreateDir(..) => "create",
            Self::Copy(..) => "copy",
            Self::Rename(..) => "rename",
        }
    }

    fn changes(&self) -> bool {
        !matches!(
            self,
            Self::Read(_)
                | Self::Size(_)
                | Self::List(_)
                | Self::Exists(_)
                | Self::IsFile(_)
                | Self::IsDir(_)
        )
    }

    fn run(&self, access: &FileAccess) -> Done<Value> {
        if access.mode == FileMode::None {
            return denied("the program may not use files");
        }
        if access.mode == FileMode::Read && self.changes() {
            return denied("the program may only read files");
        }
        let place = |path: &str| resolve(access, path);
        match self {
            Self::Read(path) => {
                let bytes = std::fs::read(place(path)?)?;
                match String::from_utf8(bytes) {
                    Ok(text) => Ok(text.into()),
                    Err(_) => {
                        let what = "it is not valid UTF-8".to_owned();
                        Err(Trouble { kind: "invalid_utf8", what })
                    }
                }
            }
            Self::Write(path, content) => write_whole(&place(path)?, content.as_bytes()),
            Self::Append(path, content) => {
                let mut options = std::fs::OpenOptions::new();
                let mut file = options.append(true).create(true).open(place(path)?)?;
                file.write_all(content.as_bytes())?;
                Ok(Value::Nil)
            }
            Self::Exists(path) => Ok(place(path)?.try_exists()?.into()),
            Self::IsFile(path) => Ok(place(path)?.is_file().into()),
            Self::IsDir(path) => Ok(place(path)?.is_dir().into()),
            Self::List(path) => list(&place(path)?),
            Self::Remove(path) => {
                let place = place(path)?;
                if place.is_dir() {
                    return Err(std::io::Error::from(ErrorKind::IsADirectory).into());
                }
                std::fs::remove_file(place)?;
                Ok(Value::Nil)
            }
            Self::CreateDir(path, parents) => {
                let place = place(path)?;
                let made = if *parents {
                    std::fs::create_dir_all(place)
                } else {
                    std::fs::create_dir(place)
                };
                made.map(|()| Value::Nil).map_err(Trouble::from)
            }
            Self::Copy(from, to) => {
                let (from, to) = (place(from)?, place(to)?);
                if from.is_dir() || to.is_dir() {
                    return Err(std::io::Error::from(ErrorKind::IsADirectory).into());
                }
                std::fs::copy(from, to)?;
                Ok(Value::Nil)
            }
            Self::Rename(from, to) => {
                std::fs::rename(place(from)?, place(to)?)?;
                Ok(Value::Nil)
            }
            Self::Size(path) => Ok(super::whole(std::fs::metadata(place(path)?)?.len()).into()),
        }
    }

    /// What the program gets: a Result, or of a question a Bool, which is false where the answer is denied.
    fn value(&self, outcome: Done<Value>) -> Value {
        let is_question = matches!(self, Self::Exists(_) | Self::IsFile(_) | Self::IsDir(_));
        match outcome {
            Ok(value) if is_question => value,
            Err(_) if is_question => false.into(),
            Ok(value) => Value::ok(value),
            Err(Trouble { kind, what }) => {
                let path = self.path();
                let message = format!("cannot {} `{path}`: {what}", self.verb());
                Value::err(builtin::fs_error(&message, kind, path))
            }
        }
    }
}

/// The real place of a path: links and `..` are followed as far as it exists; what does not exist yet may hold neither.
pub(crate) fn real_place(root: Option<&Path>, path: &str) -> std::io::Result<Option<PathBuf>> {
    let root = root.unwrap_or(Path::new(".")).canonicalize()?;
    let mut here = root.join(path);
    let mut missing = Vec::new();
    let real = loop {
        match here.canonicalize() {
            Ok(real) => break real,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A link that leads nowhere could be created elsewhere.
                if here.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
                    return Ok(None);
                }
                let Some(name) = here.file_name() else { return Err(error) };
                missing.push(name.to_owned());
                if !here.pop() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    };
    let whole: PathBuf =
        std::iter::once(real.into_os_string()).chain(missing.into_iter().rev()).collect();
    Ok(whole.starts_with(&root).then_some(whole))
}

fn resolve(access: &FileAccess, path: &str) -> Done<PathBuf> {
    if path.contains('\0') {
        return Err(std::io::Error::from(ErrorKind::NotFound).into());
    }
    match real_place(access.root.as_deref(), path)? {
        Some(place) => Ok(place),
        None => denied("it is outside of the folder that the program may use"),
    }
}

/// Replaces a file at once: readers see the old or the new content, also after a crash.
pub(crate) fn replace(place: &Path, content: &[u8]) -> std::io::Result<()> {
    if place.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let name = place.file_name().ok_or(ErrorKind::IsADirectory)?.to_string_lossy();
    let aside = place.with_file_name(format!(".{name}.{:016x}.tmp", fastrand::u64(..)));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&aside)?;
        file.write_all(content)?;
        if let Ok(old) = place.metadata() {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&aside, place)
    };
    let written = write();
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed is no second error.
        let _ = std::fs::remove_file(&aside);
    }
    written
}

fn write_whole(place: &Path, content: &[u8]) -> Done<Value> {
    replace(place, content)?;
    Ok(Value::Nil)
}

/// Names in order; those that are no UTF-8 show with replacements.
fn list(place: &Path) -> Done<Value> {
    let entries = std::fs::read_dir(place)?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(Value::array(names.into_iter().map(Value::from).collect()))
}
