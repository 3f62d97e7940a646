"""pydantic-ai."""

from collections.abc import AsyncIterator

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import NativeOutput
from pydantic_ai.providers.openai import OpenAIProvider

from rivals.person import Person
from rivals.shared import KEY, MODEL, QUESTION, WHO


class Client:
    def __init__(self, url: str) -> None:
        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key=KEY))
        self.plain = Agent(model)
        self.typed = Agent(model, output_type=NativeOutput(Person))


def connect(url: str) -> Client:
    return Client(url)


def ask(client: Client) -> str:
    return client.plain.run_sync(QUESTION).output


def typed(client: Client) -> Person:
    return client.typed.run_sync(WHO).output


async def connect_async(url: str) -> Client:
    return Client(url)


async def ask_async(client: Client) -> str:
    return (await client.plain.run(QUESTION)).output


async def stream(client: Client, prompt: str) -> AsyncIterator[str]:
    async with client.plain.run_stream(prompt) as answer:
        async for text in answer.stream_text(delta=True, debounce_by=None):
            yield text
