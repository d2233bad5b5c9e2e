"""What somebody may have meant by a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_MAX_CHARACTERS = 64
_MAX_WORDS = 1024


def nearest(word: str, words: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that is most like one; None if none is, or where to compare would cost too much.

    cutoff: 1 is the same, 0 anything, as difflib counts.
    """
    if len(word) > _MAX_CHARACTERS:
        return None
    compared = list(islice((each for each in words if len(each) <= _MAX_CHARACTERS), _MAX_WORDS))
    folded = {each.casefold(): each for each in compared}
    if word.casefold() in folded:
        return folded[word.casefold()]
    near = get_close_matches(word, compared, 1, cutoff)
    return near[0] if near else None
