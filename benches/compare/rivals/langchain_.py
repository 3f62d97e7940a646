"""LangChain."""

from collections.abc import AsyncIterator

from langchain_openai import ChatOpenAI

from rivals.person import Person
from rivals.shared import KEY, MODEL, QUESTION, WHO


def connect(url: str) -> ChatOpenAI:
    return ChatOpenAI(model=MODEL, api_key=KEY, base_url=url)


def ask(client: ChatOpenAI) -> str:
    return str(client.invoke(QUESTION).content)


def typed(client: ChatOpenAI) -> Person:
    answer = client.with_structured_output(Person).invoke(WHO)
    assert isinstance(answer, Person)
    return answer


async def connect_async(url: str) -> ChatOpenAI:
    return connect(url)


async def ask_async(client: ChatOpenAI) -> str:
    return str((await client.ainvoke(QUESTION)).content)


async def stream(client: ChatOpenAI, prompt: str) -> AsyncIterator[str]:
    async for chunk in client.astream(prompt):
        if chunk.content:
            yield str(chunk.content)
