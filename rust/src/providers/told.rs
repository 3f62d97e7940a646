//! Schemas for models whose server takes none: the model is told in words (M-42).

use crate::chat::{ChatRequest, Message, OutputSchema, Role};

/// The messages of a request, with the schema after the last of its leading instructions.
pub(super) fn with_schema(chat: &ChatRequest, output: &OutputSchema) -> Vec<Message> {
    let mut messages = chat.messages.clone();
    let at = messages.iter().take_while(|message| message.role == Role::System).count();
    messages.insert(at, Message::system(instruction(output)));
    messages
}

fn instruction(output: &OutputSchema) -> String {
    format!(
        "Answer with one JSON value only, without any other text. It must fit this JSON Schema:\n{}",
        output.json
    )
}

/// A type's name as it may stand in a request: letters, digits, `_` and `-`, not too long.
pub(super) fn wire_name(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(legal).take(48).collect()
}
