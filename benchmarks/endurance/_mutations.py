"""Random damage to bytes and to nested plain values, the same for the same generator."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

INTEGERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64, 10**30)
NUMBERS = (*INTEGERS, -0.5, 1e308, float("inf"), float("nan"), True, None)
TEXTS = (
    "",
    " ",
    "x" * 5000,
    "\x00",
    "ü\n\ud7ff",
    "../../etc/passwd",
    "os.system",
    "hydra.utils.instantiate",
    "${oc.env:HOME}",
    "nan",
    "1" * 6000,
)


def damaged(rng: Random, data: bytes) -> bytes:
    """``data`` with one to four random changes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice((_flip, _flip, _cut, _remove, _insert, _repeat, _overwrite))(rng, data)
    return data


def _place(rng: Random, data: bytes) -> tuple[int, int]:
    """Begin and end of a piece; near the ends, where headers are, as often as anywhere."""
    longest = rng.choice((1, 4, 16, max(1, len(data) // 2)))
    begin = rng.choice((rng.randint(0, len(data)), rng.randint(0, min(200, len(data)))))
    if rng.random() < 0.2:
        begin = max(0, len(data) - rng.randint(0, 200))
    return begin, min(len(data), begin + rng.randint(1, longest))


def _flip(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        begin, end = _place(rng, data)
        if begin < end:
            changed[begin] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: Random, data: bytes) -> bytes:
    return data[: _place(rng, data)[0]]


def _remove(rng: Random, data: bytes) -> bytes:
    begin, end = _place(rng, data)
    return data[:begin] + data[end:]


def _insert(rng: Random, data: bytes) -> bytes:
    begin, _ = _place(rng, data)
    return data[:begin] + rng.randbytes(rng.choice((1, 4, 64))) + data[begin:]


def _repeat(rng: Random, data: bytes) -> bytes:
    begin, end = _place(rng, data)
    return data[:end] + data[begin:end] * rng.choice((1, 3)) + data[end:]


def _overwrite(rng: Random, data: bytes) -> bytes:
    begin, _ = _place(rng, data)
    piece = rng.choice((b"\xff" * 4, b"\x00" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", b"9" * 12))
    return data[:begin] + piece + data[begin + len(piece) :]


def altered(rng: Random, tree: Any) -> Any:
    """A copy of nested dicts and lists in which one to three entries are replaced, lost or doubled."""
    holder = [copy.deepcopy(tree)]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _alter(rng, holder)
    return holder[0]


def _alter(rng: Random, node: Any) -> None:
    """Walk down to a random entry and change it."""
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        below = node[key]
        inner = isinstance(below, dict | list) and len(below) > 0
        if not inner or rng.random() < 0.15:
            break
        node = below
    kind = rng.choice(("replace", "replace", "replace", "lose", "double"))
    if kind == "lose" and len(node) > 1:
        del node[key]
    elif kind == "double" and isinstance(node, list):
        node.insert(key, below)
    elif kind == "double":
        node[f"{key}_"] = below
    else:
        node[key] = odd_value(rng)


def odd_value(rng: Random) -> Any:
    """A number, text or container that nobody expects."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.choice(([], {}, [[]], {"": None}, [1, "a"], {"a": [2**63]}))
    nested: Any = 0
    for _ in range(rng.choice((3, 60, 400))):
        nested = [nested] if rng.random() < 0.5 else {"a": nested}
    return nested
