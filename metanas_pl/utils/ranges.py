"""A number, or a range that a number is drawn from: ``5`` or ``[5, 20]``, both ends included."""

from __future__ import annotations

from collections.abc import Sequence

from metanas_pl.errors import UserError

Range = int | Sequence[int]


def bounds(size: Range) -> tuple[int, int]:
    """Returns the least and largest of a number or a range.

    Raises:
        UserError: it is neither.

    >>> bounds(5), bounds([5, 20])
    ((5, 5), (5, 20))
    """
    ends = size if isinstance(size, Sequence) and not isinstance(size, str) else [size, size]
    if len(ends) == 2 and all(_is_whole(end) for end in ends) and ends[0] <= ends[1]:
        return ends[0], ends[1]
    raise UserError(f"{size} is neither a whole number nor a range [least, largest] of two")


def in_words(size: Range) -> str:
    """Returns it as people write it.

    >>> in_words(5), in_words([5, 20])
    ('5', '5-20')
    """
    least, largest = bounds(size)
    return str(least) if least == largest else f"{least}-{largest}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
