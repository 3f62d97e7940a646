"""instructor: typed answers only, over the OpenAI SDK."""

import instructor
from openai import OpenAI

from rivals.person import Person
from rivals.shared import KEY, MODEL, WHO


def connect(url: str) -> instructor.Instructor:
    return instructor.from_openai(
        OpenAI(api_key=KEY, base_url=url), mode=instructor.Mode.JSON_SCHEMA
    )


def typed(client: instructor.Instructor) -> Person:
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": WHO}], response_model=Person
    )
