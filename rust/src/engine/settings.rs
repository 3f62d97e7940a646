//! Connection and model fields, evaluated at first use in a run (C-26): each once, the values stay for that run, overridden ones are not evaluated.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::Shared;
use super::evaluated::{Evaluated, Reads};
use super::world::Environment;
use crate::config::{self, ConnectionSettings, Layer, ProviderKind};
use crate::ir::program::{Connection, ConnectionFields, FieldExpr};
use crate::secret::Secret;

/// Evaluated fields by owner and name. Any field may hold a key, so all are kept like keys.
pub(super) type Values = HashMap<(usize, String), Secret>;

/// What one run has evaluated so far.
#[derive(Default)]
pub(super) struct RunSettings {
    values: Values,
    /// The settings of the connections that it has asked for.
    used: HashMap<usize, Arc<Evaluated>>,
}

/// A setting that cannot be evaluated or is out of range.
pub(super) struct SettingsError {
    /// Which field.
    pub(super) field: String,
    /// Names the connection, the field and the cause.
    pub(super) message: String,
}

/// A field and what is wrong with it.
type Problem = (String, String);

/// Puts the rate limits of the present settings in force, also for attempts that wait (O-11).
pub(super) fn apply_limits(shared: &Shared) {
    let epoch = shared.overrides.epoch();
    for connection in shared.program.connections() {
        let [command_line, host] = shared.overrides.layers(&connection.name);
        let fields = [Some(&connection.fields), connection.profile.as_ref()].into_iter().flatten();
        let declared = fields.fold(Layer::default(), |low, fields| {
            low.under(&Layer { rate_limit: fields.rate_limit.clone(), ..Layer::default() })
        });
        let whole = declared.under(&command_line).under(&host);
        shared.client.limit(&connection.name, whole.rate_limit.as_ref(), epoch);
    }
}

impl RunSettings {
    /// The settings of a connection for a call that starts now.
    pub(super) fn resolve(
        &mut self,
        shared: &Shared,
        index: usize,
    ) -> Result<Arc<ConnectionSettings>, SettingsError> {
        let epoch = shared.overrides.epoch();
        let known = match self.used.get(&index) {
            Some(used) if used.settings.epoch == epoch => return Ok(Arc::clone(&used.settings)),
            // An override has changed meanwhile; what this run has evaluated stays.
            Some(used) => {
                self.values.extend(used.values.clone());
                None
            }
            None => shared.settings.get(index, epoch, &shared.environment),
        };
        let evaluated = match known {
            Some(known) => known,
            None => self.evaluated_now(shared, index, epoch)?,
        };
        let settings = Arc::clone(&evaluated.settings);
        self.used.insert(index, evaluated);
        Ok(settings)
    }

    /// Evaluates, for other runs too if nothing comes from earlier in this one.
    fn evaluated_now(
        &mut self,
        shared: &Shared,
        index: usize,
        epoch: u64,
    ) -> Result<Arc<Evaluated>, SettingsError> {
        let is_fresh = !self.values.keys().any(|(owner, _)| *owner == index);
        let evaluated = Arc::new(self.evaluated(shared, index, epoch)?);
        if is_fresh {
            shared.settings.put(index, Arc::clone(&evaluated));
        }
        Ok(evaluated)
    }

    fn evaluated(
        &mut self,
        shared: &Shared,
        index: usize,
        epoch: u64,
    ) -> Result<Evaluated, SettingsError> {
        let connection = declared(shared, index)?;
        let failed = |(field, problem): Problem| SettingsError {
            message: format!("connection `{}`: field `{field}`: {problem}", connection.name),
            field,
        };
        let mut reads = Reads::new();
        let (layers, problems) = self.layers(shared, index, connection, &mut reads);
        if let Some(problem) = problems.into_iter().next() {
            return Err(failed(problem));
        }
        let merged = config::merge(&connection.name, kind(connection), &borrowed(&layers));
        let mut settings = merged.map_err(failed)?;
        settings.epoch = epoch;
        let own = self.values.iter().filter(|((owner, _), _)| *owner == index);
        let values = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Evaluated { settings: Arc::new(settings), reads, values })
    }

    /// The same for a call that never leaves the process: what is missing or wrong is left out.
    pub(super) fn lenient(
        &mut self,
        shared: &Shared,
        index: usize,
    ) -> Result<ConnectionSettings, SettingsError> {
        let connection = declared(shared, index)?;
        let (layers, _) = self.layers(shared, index, connection, &mut Reads::new());
        Ok(config::merge_for_view(&connection.name, kind(connection), &borrowed(&layers)).0)
    }

    /// What a call would use now, and what is wrong with it, by field: a field that cannot be evaluated has its default.
    pub(super) fn seen(
        &mut self,
        shared: &Shared,
        index: usize,
    ) -> Result<(ConnectionSettings, Vec<Problem>), SettingsError> {
        let connection = declared(shared, index)?;
        let (layers, mut problems) = self.layers(shared, index, connection, &mut Reads::new());
        let (settings, problem) =
            config::merge_for_view(&connection.name, kind(connection), &borrowed(&layers));
        problems.extend(problem);
        Ok((settings, problems))
    }

    /// Every field with its value and origin, secrets masked; a field that cannot be evaluated has an `error` instead of a value.
    pub(super) fn view(&mut self, shared: &Shared, index: usize) -> Result<Json, SettingsError> {
        let connection = declared(shared, index)?;
        let (settings, problems) = self.seen(shared, index)?;
        let mut shown = settings.to_json();
        for (field, problem) in problems {
            let top = field.split('.').next().unwrap_or_default();
            if let Some(entry) = shown.get_mut(top).and_then(Json::as_object_mut)
                && !entry.contains_key("error")
            {
                // What failed here would have come from the declaration, had it not failed.
                if entry.get("origin").is_some_and(|origin| origin == "default") {
                    entry.insert("origin".to_owned(), written_in(connection, top).into());
                }
                if top == field {
                    entry.insert("value".to_owned(), Json::Null);
                }
                let text = if top == field { problem } else { format!("`{field}`: {problem}") };
                entry.insert("error".to_owned(), text.into());
            }
        }
        Ok(shown)
    }

    /// The layers of a connection, weakest first, and what is wrong with the evaluated ones.
    fn layers(
        &mut self,
        shared: &Shared,
        index: usize,
        connection: &Connection,
        reads: &mut Reads,
    ) -> (Vec<(&'static str, Layer)>, Vec<Problem>) {
        let [command_line, host] = shared.overrides.layers(&connection.name);
        let mut over = command_line.clone().under(&host);
        let mut problems = Vec::new();
        let origin = if connection.origin == "manifest" { "manifest" } else { "program" };
        let mut evaluated = Vec::new();
        let parts = [("profile", connection.profile.as_ref()), (origin, Some(&connection.fields))];
        // From the strongest to the weakest: what a stronger one replaces is not evaluated.
        for (origin, fields) in parts {
            let Some(fields) = fields else { continue };
            let mut reader = Reader {
                values: &mut self.values,
                reads,
                environment: &shared.environment,
                owner: (index, origin),
                over: &over,
                problems: &mut problems,
            };
            let mut layer = reader.layer(fields);
            if origin != "profile" {
                layer.provider = Some(kind(connection));
            }
            over = layer.clone().under(&over);
            evaluated.insert(0, (origin, layer));
        }
        evaluated.push(("override", command_line));
        evaluated.push(("override", host));
        (evaluated, problems)
    }

    /// A text field, from what this run has already or evaluated now.
    pub(super) fn text(
        &mut self,
        environment: &Environment,
        (owner, field): (usize, &str),
        expr: &FieldExpr,
    ) -> Result<String, Problem> {
        if let FieldExpr::Text(text) = expr {
            return Ok(text.clone());
        }
        let key = (owner, field.to_owned());
        let value = remembered(&mut self.values, &mut Reads::new(), environment, key, expr);
        value.map(|text| text.expose().to_owned()).map_err(|problem| (field.to_owned(), problem))
    }
}

/// A value that this run has already, or that is evaluated now; one that fails is evaluated again the next time.
fn remembered(
    values: &mut Values,
    reads: &mut Reads,
    environment: &Environment,
    key: (usize, String),
    expr: &FieldExpr,
) -> Result<Secret, String> {
    if let Some(value) = values.get(&key) {
        return Ok(value.clone());
    }
    let value = Secret::new(evaluate(environment, reads, expr)?);
    values.insert(key, value.clone());
    Ok(value)
}

fn declared(shared: &Shared, index: usize) -> Result<&Connection, SettingsError> {
    shared.program.connections().get(index).ok_or_else(|| SettingsError {
        field: String::new(),
        message: "no such connection".to_owned(),
    })
}

fn kind(connection: &Connection) -> ProviderKind {
    connection.kind.parse().unwrap_or(ProviderKind::Custom)
}

fn borrowed<'a>(layers: &'a [(&'static str, Layer)]) -> Vec<(&'static str, &'a Layer)> {
    layers.iter().map(|(origin, layer)| (*origin, layer)).collect()
}

/// Where a field of a connection is written: in the profile, else in the declaration, else nowhere.
fn written_in(connection: &Connection, field: &str) -> &'static str {
    let has = |fields: &ConnectionFields| {
        serde_json::to_value(fields).is_ok_and(|fields| fields.get(field).is_some())
    };
    match connection.profile.as_ref() {
        Some(profile) if has(profile) => "profile",
        _ if !has(&connection.fields) => "default",
        _ if connection.origin == "manifest" => "manifest",
        _ => "program",
    }
}

/// Evaluates the fields of one declaration that no stronger layer replaces.
struct Reader<'a> {
    values: &'a mut Values,
    reads: &'a mut Reads,
    environment: &'a Environment,
    /// The connection's number, and which of its layers this is.
    owner: (usize, &'static str),
    over: &'a Layer,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn layer(&mut self, fields: &ConnectionFields) -> Layer {
        let mut layer = Layer {
            provider: fields.provider.as_deref().and_then(|kind| kind.parse().ok()),
            retry: fields.retry.clone(),
            rate_limit: fields.rate_limit.clone(),
            ..Layer::default()
        };
        let key = self.single("api_key", fields.api_key.as_ref(), config::check_key);
        layer.api_key = key.map(Secret::new);
        layer.base_url = self.single("base_url", fields.base_url.as_ref(), config::check_url);
        let model_id = |id: &str| config::check_model_id("default_model", id);
        layer.default_model = self.single("default_model", fields.default_model.as_ref(), model_id);
        let organization = |text: &str| config::check_header_value("organization", text);
        layer.organization =
            self.single("organization", fields.organization.as_ref(), organization);
        let project = |text: &str| config::check_header_value("project", text);
        layer.project = self.single("project", fields.project.as_ref(), project);
        if let Some(FieldExpr::Int(seconds)) = fields.timeout {
            layer.timeout = self.checked(config::check_timeout(seconds));
        }
        for (name, expr) in fields.headers.iter().flatten() {
            let replaced = |(own, _): &(String, Secret)| own.eq_ignore_ascii_case(name);
            if !self.over.covers("headers") && !self.over.headers.iter().any(replaced) {
                let value = self.value(&format!("headers.{name}"), expr);
                let header =
                    value.and_then(|v| self.checked(config::check_header(name, v.expose())));
                layer.headers.extend(header.map(|(name, value)| (name, Secret::new(value))));
            }
        }
        for (alias, expr) in fields.models.iter().flatten() {
            let replaced = |(own, _): &(String, String)| own == alias;
            if !self.over.covers("models") && !self.over.models.iter().any(replaced) {
                let place = format!("models.{alias}");
                let id = self.value(&place, expr);
                let id =
                    id.and_then(|id| self.checked(config::check_model_id(&place, id.expose())));
                layer.models.extend(id.map(|id| (alias.clone(), id)));
            }
        }
        layer
    }

    fn single(
        &mut self,
        field: &str,
        expr: Option<&FieldExpr>,
        check: impl Fn(&str) -> Result<String, Problem>,
    ) -> Option<String> {
        let expr = expr.filter(|_| !self.over.covers(field))?;
        let value = self.value(field, expr)?;
        self.checked(check(value.expose()))
    }

    fn value(&mut self, field: &str, expr: &FieldExpr) -> Option<Secret> {
        let (index, origin) = self.owner;
        let key = (index, format!("{origin}.{field}"));
        let value = remembered(self.values, self.reads, self.environment, key, expr);
        self.checked(value.map_err(|problem| (field.to_owned(), problem)))
    }

    fn checked<T>(&mut self, outcome: Result<T, Problem>) -> Option<T> {
        outcome.map_err(|problem| self.problems.push(problem)).ok()
    }
}

fn evaluate(
    environment: &Environment,
    reads: &mut Reads,
    expr: &FieldExpr,
) -> Result<String, String> {
    let mut read = |name: &String| {
        let found = environment.read(name);
        reads.push((name.clone(), found.clone().map(Secret::new)));
        found
    };
    match expr {
        FieldExpr::Text(text) => Ok(text.clone()),
        FieldExpr::Int(number) => Ok(number.to_string()),
        FieldExpr::Float(number) => Ok(number.to_string()),
        FieldExpr::Bool(truth) => Ok(truth.to_string()),
        FieldExpr::Env { env } => read(env).map_err(|missing| missing.message(env)),
        FieldExpr::Concat { concat } => {
            concat.iter().map(|part| evaluate(environment, reads, part)).collect()
        }
        FieldExpr::Coalesce { coalesce } => {
            let (last, first) = coalesce.split_last().ok_or("nothing to evaluate")?;
            for operand in first {
                match operand {
                    // Only a variable that is not set is nothing; one that is not UTF-8 is an error.
                    FieldExpr::Env { env } => match read(env) {
                        Ok(value) => return Ok(value),
                        Err(super::world::Missing::Unset) => {}
                        Err(missing) => return Err(missing.message(env)),
                    },
                    other => return evaluate(environment, reads, other),
                }
            }
            evaluate(environment, reads, last)
        }
    }
}
