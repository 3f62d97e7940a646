//! Schemas for models whose server takes none: the model is told in words (M-42).

use std::borrow::Cow;

use crate::chat::{ChatRequest, Message, OutputSchema, Role};

/// The messages of a request; if the model `is_told`, with the schema after the last of its leading instructions.
pub(super) fn messages(chat: &ChatRequest, is_told: bool) -> Cow<'_, [Message]> {
    let Some(output) = chat.output.as_ref().filter(|_| is_told) else {
        return Cow::Borrowed(&chat.messages);
    };
    let mut messages = chat.messages.clone();
    let at = messages.iter().take_while(|message| message.role == Role::System).count();
    messages.insert(at, Message::system(instruction(output)));
    Cow::Owned(messages)
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
