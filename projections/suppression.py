"""Small groups kept out of sight, so that no single enterprise's business can be read from a figure. Pure.

Three rules, for groups counted under several dimensions:

* a group smaller than the threshold is not shown;
* in every sum that could be asked for (any row, any column, the whole), those not shown are at least two and together
  at least as many as the threshold, as far as there are others to hide: the smallest is hidden as well;
* what is shown is rounded to multiples of the threshold: the difference between two answers, over other months or by
  other dimensions, is a multiple too, and tells nothing of a group smaller than it.

Shares are made of the rounded counts, and not shown where those would be too coarse.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

THRESHOLD = 5
SHARE_TIMES = 4  # the least count for a share, in thresholds

Key = tuple[str, ...]


def hidden(counts: Mapping[Key, int], threshold: int) -> set[Key]:
    """The groups that are not to be shown.

    >>> sorted(hidden({("a",): 40, ("b",): 3, ("c",): 9}, 5))
    [('b',), ('c',)]
    """
    gone = {key for key, count in counts.items() if count < threshold}
    sums = list(_sums(counts))
    grown = bool(gone)
    while grown:
        grown = False
        for members in sums:
            while (more := _another(members, counts, gone, threshold)) is not None:
                gone.add(more)
                grown = True
    return gone


def _sums(counts: Mapping[Key, int]) -> Iterable[list[Key]]:
    """The groups of every sum over one dimension or more, the larger sums last."""
    width = len(next(iter(counts), ()))
    for kept in (each for size in reversed(range(width)) for each in combinations(range(width), size)):
        found: dict[Key, list[Key]] = {}
        for key in counts:
            found.setdefault(tuple(key[place] for place in kept), []).append(key)
        yield from found.values()


def _another(members: list[Key], counts: Mapping[Key, int], gone: set[Key], threshold: int) -> Key | None:
    """The smallest that must be hidden too, if those hidden in this sum could be told from it."""
    own = [key for key in members if key in gone]
    if not own or (len(own) > 1 and sum(counts[key] for key in own) >= threshold):
        return None
    return min((key for key in members if key not in gone), key=lambda key: (counts[key], key), default=None)


def rounded(count: int, threshold: int) -> int:
    """To the nearest multiple of the threshold, halves up.

    >>> rounded(7, 5), rounded(8, 5), rounded(2, 5), rounded(7, 1)
    (5, 10, 0, 7)
    """
    return (2 * count + threshold) // (2 * threshold) * threshold


def share(hits: int, count: int, threshold: int) -> float | None:
    """Of the rounded counts; None where there are too few for that.

    >>> share(13, 40, 5), share(3, 7, 5), share(3, 7, 1)
    (0.375, None, 0.4286)
    """
    if threshold > 1 and count < SHARE_TIMES * threshold:
        return None
    return round(rounded(hits, threshold) / rounded(count, threshold), 4) if count else None
