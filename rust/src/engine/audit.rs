//! What a program does outside of itself, told on channels `audit:*` before it is done, where a host asks for it.
//!
//! Nothing that may be secret is told: no contents, no values of variables, no headers and bodies, of a URL neither the user nor values of its query.

use crate::ir::program::Field;
use crate::value::{Key, MapValue, Text, Value};
use crate::vm::{Effect, Request};

const MASK: &str = "***";

/// The channel and what is told on it; `None` for what reaches nothing outside.
pub(super) fn record(effect: &Effect) -> Option<(&'static str, Value)> {
    match effect {
        Effect::Env { name } => Some(variable(name)),
        Effect::Request { request, args } => outside(*request, args),
        _ => None,
    }
}

/// The same for a method of a tool: which it is, and the names of its arguments.
pub(super) fn tool_call(tool: &str, method: &str, arguments: &[Field]) -> (&'static str, Value) {
    let masked: MapValue = arguments.iter().map(|each| entry(&each.name, MASK)).collect();
    let names = [entry("tool", tool), entry("method", method)];
    let arguments = (Key::Str(Text::new("arguments")), Value::map(masked));
    let map: MapValue = names.into_iter().chain([arguments]).collect();
    ("audit:tool_call", Value::map(map))
}

fn outside(request: Request, args: &[Value]) -> Option<(&'static str, Value)> {
    match (request, args) {
        (Request::EnvRead | Request::EnvHas, [Value::Str(name)]) => Some(variable(name)),
        (Request::EnvAll, []) => Some(variable("*")),
        (Request::HttpSend, [Value::Str(method), Value::Str(url), ..]) => {
            Some(("audit:http", told([("method", method), ("url", &masked_url(url))])))
        }
        (
            Request::FsRead
            | Request::FsWrite
            | Request::FsAppend
            | Request::FsExists
            | Request::FsIsFile
            | Request::FsIsDir
            | Request::FsList
            | Request::FsRemove
            | Request::FsCreateDir
            | Request::FsSize,
            [Value::Str(path), ..],
        ) => Some(("audit:file_access", told([("operation", operation(request)), ("path", path)]))),
        (Request::FsCopy | Request::FsRename, [Value::Str(path), Value::Str(to)]) => {
            let fields = [("operation", operation(request)), ("path", path), ("to", to)];
            Some(("audit:file_access", told(fields)))
        }
        _ => None,
    }
}

fn variable(name: &str) -> (&'static str, Value) {
    ("audit:env_access", told([("name", name)]))
}

/// `read_file` of `fs.read_file`.
fn operation(request: Request) -> &'static str {
    request.name().trim_start_matches("fs.")
}

fn told<const N: usize>(fields: [(&str, &str); N]) -> Value {
    let map: MapValue = fields.into_iter().map(|(name, value)| entry(name, value)).collect();
    Value::map(map)
}

fn entry(name: &str, value: &str) -> (Key, Value) {
    (Key::Str(Text::new(name)), Value::from(value))
}

fn masked_url(url: &str) -> String {
    let whole = url.split('#').next().unwrap_or_default();
    let (place, query) =
        whole.split_once('?').map_or((whole, None), |(place, query)| (place, Some(query)));
    let place = match place.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://{MASK}@{host}{path}"),
                None => place.to_owned(),
            }
        }
        None => place.to_owned(),
    };
    let Some(query) = query else { return place };
    let parts: Vec<String> = query
        .split('&')
        .map(|part| match part.split_once('=') {
            Some((name, _)) => format!("{name}={MASK}"),
            // A part without a name may be a token.
            None => MASK.to_owned(),
        })
        .collect();
    format!("{place}?{}", parts.join("&"))
}

#[cfg(test)]
mod tests {
    use super::masked_url;

    #[test]
    fn urls_keep_nothing_secret() {
        for (url, expected) in [
            ("http://a.example/p/q", "http://a.example/p/q"),
            ("https://me:pw@a.example:8080/p", "https://***@a.example:8080/p"),
            ("https://me:p@w@a.example", "https://***@a.example"),
            ("http://a.example/p@q?key=k&n=1#part", "http://a.example/p@q?key=***&n=***"),
            ("http://a.example?token", "http://a.example?***"),
            ("no url", "no url"),
        ] {
            assert_eq!(masked_url(url), expected);
        }
    }
}
