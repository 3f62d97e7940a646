"""What hand-written clients share: the request's body, and how to read the answer."""

import json
from typing import Any

from rivals.person import Person
from rivals.shared import KEY, MODEL, QUESTION, WHO

HEADERS = {"Authorization": f"Bearer {KEY}"}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "Person", "schema": Person.model_json_schema()},
}


def body(prompt: str = QUESTION, **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **more}


TYPED = body(WHO, response_format=SCHEMA)


def text(answer: Any) -> str:
    content: str = answer["choices"][0]["message"]["content"]
    return content


def piece(line: str) -> str:
    """The text of one line of an event stream."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return ""
    choices = json.loads(line[6:])["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""
