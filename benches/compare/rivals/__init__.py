"""One module per way to ask a model. Each has what it can of:

- `connect(url)`: a client for the server at `url` (an OpenAI-compatible base URL); `ask(client) -> str` and `typed(client) -> Person` block.
- `connect_async(url)`; `ask_async(client) -> str` and `stream(client, prompt) -> AsyncIterator[str]` run on an event loop.
"""
