"""What `concerto init` writes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as new projects use it: the name of the connection, and its fields as the manifest spells them."""

    connection: str
    key: str | None
    model: str
    base_url: str | None = None


PROVIDERS = {
    "openai": Provider("openai", "OPENAI_API_KEY", "gpt-4o-mini"),
    "anthropic": Provider("anthropic", "ANTHROPIC_API_KEY", "claude-sonnet-4-6"),
    "google": Provider("google", "GOOGLE_API_KEY", "gemini-2.5-flash"),
    "ollama": Provider("local", None, "llama3.1", "http://localhost:11434/v1"),
    "custom": Provider("gateway", "GATEWAY_API_KEY", "my-model", "https://my-api.example.com/v1"),
}

MINIMAL = """/// What the model is asked for.
schema Review {
    /// One sentence.
    summary: String,
    mood: "good" | "bad" | "mixed",
    @range(1..=5)
    stars: Int,
}

model Reviewer {
    provider: CONNECTION,
    system_prompt: "You read reviews of restaurants.",
}

pub fn review(text: String) -> Result<Review, LlmError> {
    Reviewer.execute_with_schema<Review>("Read this review: ${text}")
}

fn main() {
    let found = review("The soup was cold, but the waiter was charming.")?;
    emit("review", found);
    emit("stars", found.stars);
}
"""

CHAT = """model Assistant {
    provider: CONNECTION,
    temperature: 0.7,
}

/// Answers the last message of a conversation, and gives the conversation with the answer.
pub fn reply(history: Array<Message>, text: String) -> Result<Array<Message>, LlmError> {
    let mut messages = history;
    messages.push(Message::user(text));
    let answer = Assistant.chat(messages)?;
    emit("answer", answer.text);
    messages.push(Message::assistant(answer.text));
    Ok(messages)
}

fn main() {
    let mut messages = [Message::system("You are a friendly assistant. Be brief.")];
    for text in ["Hello! What can you do?", "Name one example."] {
        messages = reply(messages, text)?;
    }
    emit("messages", messages.len());
}
"""

TEMPLATES = {"minimal": MINIMAL, "chat": CHAT}
#: Templates of later releases, with what they need.
LATER = {"tools": "tools", "pipeline": "pipelines", "service": "agents and stores"}

GITIGNORE = "*.conc-ir\n.env\n.concerto/\n"

README = """# NAME

- Run it: `concerto run --env .env`. `.env.example` says which variables it needs.
- Without a provider: `concerto run --mock` answers every model call locally.
- Look for mistakes: `concerto check`. Format: `concerto fmt`.
"""
