"""Which block is overwritten next.

A stream is promised hours. When room is needed, the block goes that is oldest in relation to its
stream's promise: nothing goes before its time while something else is past its own, and a volume
that is too small shortens all promises by the same share.
"""

from collections.abc import Callable, Iterable

from nvr.record.catalog import Oldest

Promised = Callable[[str], float]
"""Seconds that a stream, ``camera/main``, is promised; above 0."""

DEFAULT_S = 168 * 3600.0
"""For a stream whose camera is no longer configured: what was recorded stays as long as ever."""


def default_promise(_stream: str) -> float:
    """Promise every stream the same."""
    return DEFAULT_S


def next_to_go(oldest: Iterable[Oldest], promised_s: Promised, now_us: int) -> Oldest | None:
    """Return which of the streams' oldest blocks is to be overwritten, None if there is none.

    A clock that was set back makes everything of no age, and the ring goes round in its order.
    """
    return max(
        oldest,
        key=lambda it: (
            max(0, now_us - it.ended_us) / promised_s(it.row.head.stream),
            -it.row.head.serial,
        ),
        default=None,
    )
