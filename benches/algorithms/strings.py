"""Builds a text piece by piece, cuts it into words, looks at each, and joins them again."""

SIZE = 100_000
SMALL = 300


def run(n: int) -> int:
    text = ""
    for i in range(n):
        text += f"item {i % 100}"
        text += ", "
    marked = []
    even = 0
    for word in text.split(", "):
        if word.endswith("0") or word == "item 42":
            even += 1
        marked.append("<" + word.upper() + ">")
    return even + len(" ".join(marked))
