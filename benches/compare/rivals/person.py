"""The typed answer, for those who validate with pydantic."""

from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int
    tags: list[str]
