"""Counts numbers and words, deletes some, and adds up what is left."""

SIZE = 200_000
SMALL = 500


def run(n: int) -> int:
    words = ["red", "green", "blue", "cyan", "magenta", "yellow", "black", "white"]
    by_number: dict[int, int] = {}
    by_word: dict[str, int] = {}
    for i in range(n):
        key = i * 31 % 1009
        by_number[key] = by_number.get(key, 0) + 1
        word = words[i % 8]
        if word in by_word:
            by_word[word] += i
        else:
            by_word[word] = i
        if i % 100 == 99:
            del by_number[key]
    total = 0
    for key, count in by_number.items():
        total += key * count
    for word, sum_ in by_word.items():
        total += len(word) * sum_
    return total
