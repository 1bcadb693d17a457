"""Damage of the kinds that parsers trip over, the same for the same seed."""

import random
from collections.abc import Iterator, Sequence

_EDGES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff")
_WORDS = (
    b"\r\n", b"\n", b"\r\n\r\n", b":", b"=", b";", b",", b'"', b"/", b" ", b"-", b"%", b"$",
    b"-1", b"0", b"99999999999999999999", b"1e309", b"nan", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80",
)  # fmt: skip
MOST_BYTES = 8192


def mutations(seeds: Sequence[bytes], seed: int, rounds: int) -> Iterator[bytes]:
    """Yield `rounds` inputs of at most `MOST_BYTES`: seeds as they are, then damaged ones."""
    rng = random.Random(seed)
    for number in range(rounds):
        if number < len(seeds):
            yield seeds[number]
            continue
        data = bytearray(rng.choice(seeds))
        for _ in range(1 << rng.randrange(5)):
            _damage(data, seeds, rng)
        yield bytes(data[:MOST_BYTES])


def _damage(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    to = min(len(data), at + 1 + rng.randrange(1 << rng.randrange(9)))
    match rng.randrange(8):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at:at] = rng.choice(_EDGES)
        case 2:
            data[at : at + 1] = rng.choice(_EDGES)
        case 3:
            del data[at:to]
        case 4:
            data[at:at] = data[at:to] * (1 + rng.randrange(4))
        case 5:
            data[at:to] = rng.choice(_WORDS)
        case 6:
            other = rng.choice(seeds)
            cut = rng.randrange(len(other) + 1)
            data[at:] = other[cut:]
        case _:
            data[at:to] = rng.randbytes(to - at)
