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

@test("review :: a bad answer is asked for again")
fn repairs() {
    let good = "{\\"summary\\": \\"Fine.\\", \\"mood\\": \\"good\\", \\"stars\\": 4}";
    mock Reviewer { responses: ["Hm.", good] }
    let found = review("All was well.")?;
    assert_eq(found.stars, 4);
    assert_eq(mock_calls(Reviewer).len(), 2);
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

@test("reply :: the answer joins the conversation")
fn remembers() {
    mock Assistant { response: "Hello!" }
    let messages = reply([Message::system("Be brief.")], "Hi")?;
    assert_eq(messages.map(|message| message.role), ["system", "user", "assistant"]);
    assert_eq(messages[2].content, "Hello!");
}
"""

PIPELINE = """/// What a mail is about.
schema Ticket {
    area: "billing" | "login" | "other",
    /// One sentence.
    summary: String,
}

model Clerk {
    provider: CONNECTION,
    system_prompt: "You work at the help desk of a web shop.",
}

pipeline Desk(mail: String) -> String {
    stage read(mail: String) -> Ticket {
        Clerk.execute_with_schema<Ticket>("Sort this mail: ${mail}")?
    }

    @retry(max: 3, delay_ms: 200)
    @timeout(seconds: 20)
    stage answer(ticket: Ticket) -> String {
        Clerk.execute("Reply to a customer about ${ticket.area}: ${ticket.summary}")?.text
    }
}

pub fn handle(mail: String) -> Result<String, PipelineError> {
    Desk.run(mail)
}

fn main() {
    emit("reply", handle("I cannot log in since Monday.")?);
}

@test("Desk :: the answer is about the ticket")
fn answers() {
    let ticket = "{\\"area\\": \\"login\\", \\"summary\\": \\"Locked out.\\"}";
    mock Clerk { responses: [ticket, "Try a new password."] }
    assert_eq(handle("Help!")?, "Try a new password.");
    assert(mock_calls(Clerk)[1].prompt.contains("Locked out."));
}
"""

SERVICE = '''"""A small HTTP service around `src/main.conc`.

python service.py                   # with the key in the environment
python service.py --mock            # without a provider
curl -d '{"text": "The soup was cold."}' http://127.0.0.1:8000/review
"""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import concerto

PROGRAM = Path(__file__).parent / "src" / "main.conc"
LONGEST_BODY = 100_000


class Service(ThreadingHTTPServer):
    """Answers each request on a thread of its own; all share one runtime, with its connections, limits and metrics."""

    def __init__(self, port: int, runtime: concerto.Runtime) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.runtime = runtime


class Handler(BaseHTTPRequestHandler):
    """`POST /review` and `GET /metrics`."""

    server: Service

    def do_POST(self) -> None:
        """Calls the program with the text of the body."""
        if self.path != "/review":
            return self.answer(404, {"error": "there is POST /review"})
        try:
            length = min(int(self.headers.get("Content-Length", 0)), LONGEST_BODY)
            text = json.loads(self.rfile.read(length))["text"]
            review = self.server.runtime.call("review", text)
        except (ValueError, KeyError, TypeError) as error:
            return self.answer(400, {"error": f'expected {{"text": ..}}: {error}'})
        except concerto.LlmError as error:
            return self.answer(502, {"error": str(error), "kind": error.kind})
        return self.answer(200, review._asdict())

    def do_GET(self) -> None:
        """What the models have used, for Prometheus."""
        if self.path != "/metrics":
            return self.answer(404, {"error": "there is GET /metrics"})
        return self.send(200, "text/plain", self.server.runtime.get_metrics().to_prometheus())

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Sends JSON."""
        self.send(status, "application/json", json.dumps(body))

    def send(self, status: int, kind: str, text: str) -> None:
        """Sends a text."""
        data = text.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one")
    parser.add_argument("--mock", action="store_true", help="answer every model call locally")
    options = parser.parse_args()
    with (
        concerto.Runtime(PROGRAM, mock=options.mock) as runtime,
        Service(options.port, runtime) as service,
    ):
        print(f"http://127.0.0.1:{service.server_port}", flush=True)
        with suppress(KeyboardInterrupt):
            service.serve_forever()


if __name__ == "__main__":
    main()
'''

TOOLS = """/// What a meal comes to. The model adds dishes and asks for the total, instead of calculating.
tool Bill {
    description: "The bill of one table",
    cents: 0,

    @describe("Add a dish, and return the new total in cents")
    @param("dish", "Name of the dish as on the menu")
    @param("count", "How many of it, at least 1")
    pub fn add(mut self, dish: String, count: Int = 1) -> Result<Int, ToolError> {
        let price = self.price(dish);
        if price == 0 {
            return Err(ToolError::new("`${dish}` is not on the menu: soup, pasta, cake"));
        }
        self.cents += price * count;
        emit("added", "${count} ${dish}");
        Ok(self.cents)
    }

    @describe("The total in cents")
    pub fn total(self) -> Int {
        self.cents
    }

    fn price(self, dish: String) -> Int {
        match dish.to_lower() {
            "soup" => 550,
            "pasta" => 980,
            "cake" => 420,
            _ => 0,
        }
    }
}

model Waiter {
    provider: CONNECTION,
    system_prompt: "You take orders. Use the tools for all that has to do with money.",
    tools: [Bill],
}

pub fn serve(text: String) -> Result<String, LlmError> {
    Ok(Waiter.execute(text)?.text)
}

fn main() {
    emit("answer", serve("Two soups and a piece of cake, please. What will that be?")?);
    emit("cents", Bill.total());
}

@test("Bill :: the waiter adds what was ordered")
fn adds() {
    mock Waiter {
        responses: [
            {
                tool_calls: [
                    { tool: "Bill.add", args: { dish: "soup", count: 2 } },
                    { tool: "Bill.add", args: { dish: "cake" } },
                ],
            },
            "That will be 15.20.",
        ],
    }
    assert_eq(serve("Two soups and a piece of cake!")?, "That will be 15.20.");
    assert_eq(Bill.total(), 1520);
    assert(Bill.add("pizza").is_err());
}
"""

TEMPLATES = {
    "minimal": MINIMAL,
    "chat": CHAT,
    "tools": TOOLS,
    "pipeline": PIPELINE,
    "service": MINIMAL,
}
#: Files of a template besides those of all projects.
MORE_FILES = {"service": {"service.py": SERVICE}}

GITIGNORE = "*.conc-ir\n.env\n.concerto/\n"

README = """# NAME

- Run it: `concerto run --env .env`. `.env.example` says which variables it needs.
- Without a provider: `concerto run --mock` answers every model call locally.
- Test it: `concerto test`, with mocked models. Look for mistakes: `concerto check`. Format: `concerto fmt`.
"""
#: Lines of the README for a template.
MORE_README = {
    "service": "- Serve it: `python service.py`, and without a provider `python service.py --mock`.\n"
}
