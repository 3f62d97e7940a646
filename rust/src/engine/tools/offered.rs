//! What a call offers its model: names, descriptions and schemas of methods (TL-12 to TL-17, CA-12 to CA-15).

use super::{Place, ToolOptions, declared, refusal};
use crate::chat::{ToolSpec, Tools};
use crate::engine::Engine;
use crate::ir::Verified;
use crate::ir::program::{Model, ToolMethod};
use crate::llm::Call;
use crate::value::{ModelValue, Setting, Value};

/// The numbers of the tools that a call offers, in the order in which they are sent; `None` if the program gave something that is no tool.
fn tools_of(program: &Verified, model: &Model, asking: &ModelValue) -> Option<Vec<usize>> {
    let leaves_out = asking.setting(Setting::WithoutTools).is_some();
    let declared = model.fields.tools.as_deref().filter(|_| !leaves_out).unwrap_or_default();
    let mut names: Vec<&str> = declared.iter().map(String::as_str).collect();
    match asking.setting(Setting::Tools) {
        None => {}
        Some(Value::Array(added)) => {
            for name in added.iter() {
                names.push(name.as_str()?);
            }
        }
        Some(_) => return None,
    }
    let mut found = Vec::new();
    for name in names {
        let tool = program.tools().iter().position(|tool| tool.name == name)?;
        if !found.contains(&tool) {
            found.push(tool);
        }
    }
    Some(found)
}

/// The methods of tools that a host allows, each with its place.
fn methods<'p>(
    program: &'p Verified,
    options: &'p ToolOptions,
    tools: Vec<usize>,
) -> impl Iterator<Item = &'p ToolMethod> {
    tools.into_iter().filter_map(|tool| Some((tool, program.tools().get(tool)?))).flat_map(
        move |(number, tool)| {
            let allowed = move |method: usize| {
                let place = u32::try_from(number).ok().zip(u32::try_from(method).ok());
                place.is_some_and(|place| !options.is_disabled(place))
            };
            let methods = tool.methods.iter().enumerate();
            methods.filter(move |(method, _)| allowed(*method)).map(|(_, method)| method)
        },
    )
}

fn spec(method: &ToolMethod) -> ToolSpec {
    ToolSpec {
        name: method.wire.clone(),
        description: method.description.clone(),
        parameters: serde_json::from_str(&method.parameters).ok(),
        is_strict: false,
    }
}

impl Engine<'_> {
    /// Whether a call through this value may run tools.
    pub(in crate::engine) fn offers_tools(&self, asking: &ModelValue) -> bool {
        let model = self.shared.program.models().get(asking.index as usize);
        let declared = model.is_some_and(|model| model.fields.tools.is_some());
        declared || asking.setting(Setting::Tools).is_some()
    }

    /// What a call offers; `None` if the program gave something that is no tool.
    pub(in crate::engine) fn offered(&self, model: &Model, asking: &ModelValue) -> Option<Tools> {
        if !self.offers_tools(asking) {
            return Some(Tools::default());
        }
        let (program, options) = (&self.shared.program, &self.shared.tools);
        let tools = tools_of(program, model, asking)?;
        let specs = methods(program, options, tools).map(spec).collect();
        Some(Tools { specs, ..Tools::default() })
    }

    /// The method that a model means, if its call offers it.
    pub(super) fn meant(&self, call: &Call, wire: &str) -> Option<Place> {
        call.tools.specs.iter().find(|spec| spec.name == wire)?;
        let tools = (0..).zip(self.shared.program.tools());
        let mut all = tools.flat_map(|(tool, declared)| {
            (0..).zip(&declared.methods).map(move |(number, method)| ((tool, number), method))
        });
        all.find(|(_, method)| method.wire == wire).map(|(place, _)| place)
    }

    /// Why nobody may call a method now, if that is so (TL-18, TL-19).
    pub(super) fn refuses(&self, place: Place) -> Option<Value> {
        let program = &self.shared.program;
        let (tool, method) = declared(program, place)?;
        let name = &method.name;
        if self.shared.tools.is_disabled(place) {
            let message = format!("`{tool}.{name}` is disabled by the host");
            return Some(refusal(program, place, "permission_denied", &message));
        }
        if method.function.is_none() && !self.is_hosted(place) {
            let message = format!("`{tool}.{name}` has no body, and no host has registered one");
            return Some(refusal(program, place, "not_found", &message));
        }
        None
    }
}
