"""Which block is overwritten next.

A stream is promised hours. When room is needed, the block goes that is oldest in relation to its
stream's promise: nothing goes before its time while something else is past its own, and a volume
that is too small shortens all promises by the same share. What is guaranteed is not shortened
while anything else is left that could go.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nvr.record.catalog import Oldest


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a stream is kept, and what it may take at most.

    Attributes:
        promised_s: Seconds it is to be kept, above 0; shortened when the volume is too small.
        guaranteed_s: Seconds of these that go only when nothing else is left; 0 for none.
        limit_s: Seconds after which it must be gone; 0 for no such limit.
        limit_bytes: Most room of all streams of its camera, locked blocks apart; 0 for no limit.
        own_bytes: Most room of the stream alone, the same.
    """

    promised_s: float
    guaranteed_s: float = 0.0
    limit_s: float = 0.0
    limit_bytes: int = 0
    own_bytes: int = 0


TermsOf = Callable[[str], Terms]
"""The terms of a stream, ``camera/main``."""

DEFAULT = Terms(168 * 3600.0)
"""For a stream whose camera is no longer configured: what was recorded stays as long as ever."""


def default_terms(_stream: str) -> Terms:
    """Treat every stream the same."""
    return DEFAULT


def next_to_go(oldest: Iterable[Oldest], terms: TermsOf, now_us: int) -> Oldest | None:
    """Return which of the streams' oldest blocks is to be overwritten, None if there is none.

    A clock that was set back makes everything of no age, and the ring goes round in its order.
    """

    def turn(it: Oldest) -> tuple[bool, float, int]:
        age_s, of = max(0, now_us - it.ended_us) / 1e6, terms(it.row.head.stream)
        over = age_s >= of.guaranteed_s
        return over, age_s / (of.promised_s if over else of.guaranteed_s), -it.row.head.serial

    return max(oldest, key=turn, default=None)


def guaranteed(block: Oldest, terms: TermsOf, now_us: int) -> bool:
    """Whether a block is younger than what its stream is guaranteed."""
    age_s = max(0, now_us - block.ended_us) / 1e6
    return age_s < terms(block.row.head.stream).guaranteed_s
