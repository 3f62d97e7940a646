//! Connection and model fields, evaluated at first use in a run (C-26): each once, the values stay for that run, overridden ones are not evaluated.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::world::Environment;
use crate::config::{self, ConnectionSettings, Layer, ProviderKind};
use crate::ir::program::{Connection, FieldExpr};
use crate::secret::Secret;

/// What one run has evaluated so far.
#[derive(Default)]
pub(super) struct RunSettings {
    values: HashMap<(usize, String), String>,
}

/// A setting that cannot be evaluated or is out of range.
pub(super) struct SettingsError {
    /// Which field.
    pub(super) field: String,
    /// Names the connection, the field and the cause.
    pub(super) message: String,
}

/// Puts the rate limits of the present settings in force, also for attempts that wait (O-11).
pub(super) fn apply_limits(shared: &Shared) {
    let epoch = shared.overrides.epoch();
    for connection in shared.program.connections() {
        let [command_line, host] = shared.overrides.layers(&connection.name);
        let rate_limit = connection.fields.rate_limit.clone();
        let declared = Layer { rate_limit, ..Layer::default() };
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
        let Some(connection) = shared.program.connections().get(index) else {
            return Err(SettingsError {
                field: String::new(),
                message: "no such connection".to_owned(),
            });
        };
        let failed = |(field, problem): (String, String)| SettingsError {
            message: format!("connection `{}`: field `{field}`: {problem}", connection.name),
            field,
        };
        let epoch = shared.overrides.epoch();
        let [command_line, host] = shared.overrides.layers(&connection.name);
        let over = command_line.clone().under(&host);
        let kind = connection.kind.parse().unwrap_or(ProviderKind::Custom);
        let declared = self.declared(shared, index, connection, &over).map_err(failed)?;
        let layers = [("program", &declared), ("override", &command_line), ("override", &host)];
        let mut settings = config::merge(&connection.name, kind, &layers).map_err(failed)?;
        settings.epoch = epoch;
        Ok(Arc::new(settings))
    }

    fn declared(
        &mut self,
        shared: &Shared,
        index: usize,
        connection: &Connection,
        over: &Layer,
    ) -> Result<Layer, (String, String)> {
        let fields = &connection.fields;
        let mut text =
            |field: &str, expr: &Option<FieldExpr>| -> Result<Option<String>, (String, String)> {
                match expr {
                    Some(expr) if !over.covers(field) => {
                        self.text(&shared.environment, (index, field), expr).map(Some)
                    }
                    _ => Ok(None),
                }
            };
        let mut layer = Layer {
            retry: fields.retry.clone(),
            rate_limit: fields.rate_limit.clone(),
            ..Layer::default()
        };
        if let Some(key) = text("api_key", &fields.api_key)? {
            layer.api_key = Some(Secret::new(config::check_key(&key)?));
        }
        if let Some(url) = text("base_url", &fields.base_url)? {
            layer.base_url = Some(config::check_url(&url)?);
        }
        if let Some(id) = text("default_model", &fields.default_model)? {
            layer.default_model = Some(config::check_model_id("default_model", &id)?);
        }
        if let Some(value) = text("organization", &fields.organization)? {
            layer.organization = Some(config::check_header_value("organization", &value)?);
        }
        if let Some(value) = text("project", &fields.project)? {
            layer.project = Some(config::check_header_value("project", &value)?);
        }
        if let Some(FieldExpr::Int(seconds)) = fields.timeout {
            layer.timeout = Some(config::check_timeout(seconds)?);
        }
        if !over.remove.iter().any(|f| f == "headers") {
            for (name, expr) in fields.headers.iter().flatten() {
                let place = format!("headers.{name}");
                if over.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                    continue;
                }
                let value = text(&place, &Some(expr.clone()))?.unwrap_or_default();
                let (name, value) = config::check_header(name, &value)?;
                layer.headers.push((name, Secret::new(value)));
            }
        }
        if !over.remove.iter().any(|f| f == "models") {
            for (alias, expr) in fields.models.iter().flatten() {
                let place = format!("models.{alias}");
                let id = text(&place, &Some(expr.clone()))?.unwrap_or_default();
                layer.models.push((alias.clone(), config::check_model_id(&place, &id)?));
            }
        }
        Ok(layer)
    }

    /// A text field, from what this run has already or evaluated now.
    pub(super) fn text(
        &mut self,
        environment: &Environment,
        (owner, field): (usize, &str),
        expr: &FieldExpr,
    ) -> Result<String, (String, String)> {
        let key = (owner, field.to_owned());
        if let Some(value) = self.values.get(&key) {
            return Ok(value.clone());
        }
        let value = evaluate(environment, expr).map_err(|problem| (field.to_owned(), problem))?;
        self.values.insert(key, value.clone());
        Ok(value)
    }
}

fn evaluate(environment: &Environment, expr: &FieldExpr) -> Result<String, String> {
    match expr {
        FieldExpr::Text(text) => Ok(text.clone()),
        FieldExpr::Int(number) => Ok(number.to_string()),
        FieldExpr::Float(number) => Ok(number.to_string()),
        FieldExpr::Bool(truth) => Ok(truth.to_string()),
        FieldExpr::Env { env } => environment.read(env).map_err(|missing| missing.message(env)),
        FieldExpr::Concat { concat } => {
            concat.iter().map(|part| evaluate(environment, part)).collect()
        }
        FieldExpr::Coalesce { coalesce } => {
            let (last, first) = coalesce.split_last().ok_or("nothing to evaluate")?;
            for operand in first {
                match operand {
                    // Only a variable that is not set is nothing; one that is not UTF-8 is an error.
                    FieldExpr::Env { env } => match environment.read(env) {
                        Ok(value) => return Ok(value),
                        Err(super::world::Missing::Unset) => {}
                        Err(missing) => return Err(missing.message(env)),
                    },
                    other => return evaluate(environment, other),
                }
            }
            evaluate(environment, last)
        }
    }
}
