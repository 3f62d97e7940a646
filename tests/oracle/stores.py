"""Collections and stores: sections 4.12 and 5.1 of the library reference."""

from __future__ import annotations

from tests.oracle.machine import panic
from tests.oracle.natives import mutating, plain
from tests.oracle.values import (
    Array,
    Collection,
    Map,
    Nothing,
    Some,
    Store,
    Tuple,
    Value,
    display,
    same_key,
)


def _has(items: tuple[Value, ...], wanted: Value) -> bool:
    return any(same_key(item, wanted) for item in items)


def _set(items: tuple[Value, ...]) -> Collection:
    kept: list[Value] = []
    for item in items:
        if not _has(tuple(kept), item):
            kept.append(item)
    return Collection("Set", tuple(kept))


def _without(left: Collection, right: Collection) -> tuple[Value, ...]:
    return tuple(item for item in left.items if not _has(right.items, item))


def _remove(set_: Collection, wanted: Value) -> tuple[Value, Value]:
    rest = tuple(item for item in set_.items if not same_key(item, wanted))
    return Collection("Set", rest), len(rest) < len(set_.items)


for _kind in ("Set", "Queue", "Stack"):
    plain(
        {
            f"{_kind.lower()}.new": lambda kind=_kind: Collection(kind, ()),
            f"{_kind.lower()}.from": lambda array, kind=_kind: (
                _set(array.items) if kind == "Set" else Collection(kind, array.items)
            ),
            f"{_kind.lower()}.len": lambda collection: len(collection.items),
            f"{_kind.lower()}.is_empty": lambda collection: not collection.items,
            f"{_kind.lower()}.to_array": lambda collection: Array(collection.items),
        }
    )
    mutating({f"{_kind.lower()}.clear": lambda of: (Collection(of.name, ()), None)})

plain(
    {
        "set.contains": lambda set_, wanted: _has(set_.items, wanted),
        "set.union": lambda left, right: _set(left.items + right.items),
        "set.intersection": lambda left, right: Collection(
            "Set", tuple(item for item in left.items if _has(right.items, item))
        ),
        "set.difference": lambda left, right: Collection("Set", _without(left, right)),
        "set.symmetric_difference": lambda left, right: Collection(
            "Set", _without(left, right) + _without(right, left)
        ),
        "set.is_subset": lambda left, right: not _without(left, right),
        "queue.peek": lambda queue: Some(queue.items[0]) if queue.items else Nothing(),
        "stack.peek": lambda stack: Some(stack.items[-1]) if stack.items else Nothing(),
    }
)
mutating(
    {
        "set.insert": lambda set_, item: (_set((*set_.items, item)), not _has(set_.items, item)),
        "set.remove": _remove,
        "queue.enqueue": lambda queue, item: (Collection("Queue", (*queue.items, item)), None),
        "queue.dequeue": lambda queue: (
            Collection("Queue", queue.items[1:]),
            Some(queue.items[0]) if queue.items else Nothing(),
        ),
        "stack.push": lambda stack, item: (Collection("Stack", (*stack.items, item)), None),
        "stack.pop": lambda stack: (
            Collection("Stack", stack.items[:-1]),
            Some(stack.items[-1]) if stack.items else Nothing(),
        ),
    }
)


# Stores


def _get(store: Store, key: Value) -> Value:
    at = store.entries.map.find(store.full(key))
    return Nothing() if at is None else Some(store.entries.map.entries[at][1])


def _at(store: Store, key: Value) -> Value:
    found = _get(store, key)
    if isinstance(found, Some):
        return found.inner
    shown = display(Array((key,)))[1:-1]
    return panic("KeyNotFound", f"the hashmap has no key {shown}")


def _put(store: Store, key: Value, value: Value) -> Value:
    old = _get(store, key)
    store.entries.map = store.entries.map.put(store.full(key), value)
    return old


def _take(store: Store, key: Value) -> Value:
    old = _get(store, key)
    store.entries.map = store.entries.map.remove(store.full(key))
    return old


def _clear(store: Store) -> Map:
    removed = store.shown()
    for key, _ in removed.entries:
        _take(store, key)
    return removed


def _scope(store: Store, name: str) -> Store:
    if ":" in name:
        panic("InvalidArgument", "the prefix of a scope contains `:`")
    return Store(store.name, store.entries, f"{store.prefix}{name}:", store.types)


def _listen(store: Store, key: Value, function: Value) -> None:
    wanted = store.full(key.inner) if isinstance(key, Some) else None
    store.entries.listeners.append((wanted, isinstance(key, Some), store.prefix, function))


def _listeners(store: Store, key: Value) -> Array:
    key = store.full(key)
    heard: list[Value] = []
    for wanted, has_key, prefix, function in store.entries.listeners:
        own = Store(store.name, store.entries, prefix).own(key)
        if own is not None and (not has_key or same_key(wanted, key)):
            heard.append(Tuple((function, own)))
    return Array(tuple(heard))


def _enter(store: Store) -> None:
    store.entries.depth += 1
    if store.entries.depth > 16:
        panic("LimitExceeded", "more than 16 changes inside of one another's callbacks")


def _leave(store: Store) -> None:
    store.entries.depth -= 1


plain(
    {
        "store.get": _get,
        "store.at": _at,
        "store.has": lambda store, key: isinstance(_get(store, key), Some),
        "store.put": _put,
        "store.others": lambda _: 0,
        "store.put_if": lambda store, key, value, _: Some(_put(store, key, value)),
        "store.take": _take,
        "store.put_all": lambda store, map_: Array(
            tuple(_put(store, key, value) for key, value in map_.entries)
        ),
        "store.get_many": lambda store, keys: _found(store, keys.items),
        "store.to_map": lambda store: store.shown(),
        "store.len": lambda store: len(store.shown().entries),
        "store.clear": _clear,
        "store.scope": _scope,
        "store.listen": _listen,
        "store.listeners": _listeners,
        "store.enter": _enter,
        "store.leave": _leave,
    }
)


def _found(store: Store, keys: tuple[Value, ...]) -> Map:
    found = Map(())
    for key in keys:
        found = found.put(key, _get(store, key))
    return found
