"""What a damaged Pelco line makes a head do: nothing it was not told.

    python -m tests.ptz.noise [--corruptions 1000000] [--losses 1000000] [--seed 1] [--json]

Frame by frame each frame stands alone between silences and is damaged in one way: a bit turned, a
byte replaced, bytes lost, cut short, stuck to an echo of itself, or between bytes of noise. A false
move is any frame that was decoded and not sent. As a stream, frames follow each other and bytes of
them are lost; the rate is false moves a lost byte, with each rule and without.

What an 8-bit sum cannot always see is counted apart: a byte too many that shifts the others, and
two bytes replaced in one frame so that the sum is the same.
"""

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nvr.ptz.echo import EchoFilter
from nvr.wire import pelco_command, pelco_d, pelco_p
from nvr.wire.pelco_d import Frame, Op
from tests.bench.figures import arguments, at_least, at_most, report

DAMAGES = ("bit", "byte", "lost", "cut", "echo", "noise")
STREAM = 12
"""Frames of a stream; two bytes of each stream are lost."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One protocol: how it is written, and read with all rules and with the bare ones."""

    encode: Callable[[Frame], bytes]
    decoder: Callable[[], pelco_d.Decoder | pelco_p.Decoder]
    bare: Callable[[bytes], Iterator[bytes]]


def _bare_d(line: bytes) -> Iterator[bytes]:
    """Length, sync and sum, and nothing else."""
    at = 0
    while at + 7 <= len(line):
        window = line[at : at + 7]
        if window[0] == 0xFF and sum(window[1:6]) & 0xFF == window[6]:
            yield window
            at += 7
        else:
            at += 1


def _bare_p(line: bytes) -> Iterator[bytes]:
    at = 0
    while at + 8 <= len(line):
        window, check = line[at : at + 8], 0
        for byte in window[:7]:
            check ^= byte
        if window[0] == 0xA0 and window[6] == 0xAF and check == window[7]:
            yield window
            at += 8
        else:
            at += 1


WIRES = (
    Wire(Frame.encode, pelco_d.Decoder, _bare_d),
    Wire(pelco_p.encode, pelco_p.Decoder, _bare_p),
)


def sent(rng: random.Random) -> Frame:
    """What a keyboard sends: mostly motion, turbo now and then."""
    address = rng.randint(1, 32)
    if rng.random() < 0.2:
        return pelco_command.command(address, Op.CALL_PRESET, rng.randint(1, 255))
    pan, tilt = rng.randint(-63, 63), rng.randint(-63, 63)
    if rng.random() < 0.05:
        pan = rng.choice((-0xFF, 0xFF, 0x40))
    return pelco_d.motion(
        address, pan=pan, tilt=tilt, zoom=rng.choice((-1, 0, 0, 1)), focus=rng.choice((0, 0, 0, 1))
    )


def damaged(data: bytes, how: str, rng: random.Random) -> bytes:
    """Return `data` with one damage."""
    at = rng.randrange(len(data))
    if how == "bit":
        return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
    if how == "byte":
        return data[:at] + bytes((data[at] ^ rng.randint(1, 255),)) + data[at + 1 :]
    if how == "lost":
        return data[:at] + data[at + rng.randint(1, 3) :]
    if how == "doubled":
        return data[:at] + data[at : at + 1] + data[at:]
    if how == "cut":
        return data[:at]
    if how == "echo":
        return data + data[: rng.randint(1, len(data))]
    return rng.randbytes(rng.randint(1, 6)) + data + rng.randbytes(rng.randint(1, 6))


def false_alone(corruptions: int, rng: random.Random) -> dict[str, int]:
    """Count false moves of each damage, `corruptions` frames in all."""
    found = dict.fromkeys(DAMAGES, 0)
    for n in range(corruptions):
        how, wire, frame = DAMAGES[n % len(DAMAGES)], WIRES[n // len(DAMAGES) % 2], sent(rng)
        decoder = wire.decoder()
        pieces = decoder.feed(damaged(wire.encode(frame), how, rng))
        decoder.idle()
        found[how] += sum(isinstance(one, Frame) and one != frame for one in pieces)
    return found


def false_twice(corruptions: int, rng: random.Random) -> int:
    """Count false moves of frames in which two bytes are replaced: what the sum may miss."""
    return _false(corruptions, lambda data: damaged(damaged(data, "byte", rng), "byte", rng), rng)


def false_longer(corruptions: int, rng: random.Random) -> int:
    """Count false moves of frames in which a byte came twice."""
    return _false(corruptions, lambda data: damaged(data, "doubled", rng), rng)


def _false(corruptions: int, damage: Callable[[bytes], bytes], rng: random.Random) -> int:
    found = 0
    for n in range(corruptions):
        wire, frame = WIRES[n % 2], sent(rng)
        pieces = wire.decoder().feed(damage(wire.encode(frame)))
        found += sum(isinstance(one, Frame) and one != frame for one in pieces)
    return found


def false_streams(losses: int, rng: random.Random) -> dict[str, int]:
    """Count false moves in streams with `losses` bytes lost, with each rule and without."""
    found = dict.fromkeys(("bare", "gap", "plausible", "both"), 0)
    for n in range(losses // 2):
        wire = WIRES[n % 2]
        frames = [wire.encode(sent(rng)) for _ in range(STREAM)]
        good = set(frames)
        for _ in range(2):
            at = rng.randrange(STREAM)
            cut = rng.randrange(len(frames[at])) if frames[at] else 0
            frames[at] = frames[at][:cut] + frames[at][cut + 1 :]
        line = b"".join(frames)
        found["bare"] += sum(one not in good for one in wire.bare(line))
        found["gap"] += sum(one not in good for each in frames for one in wire.bare(each))
        decoder = wire.decoder()
        found["plausible"] += _strange(wire, decoder.feed(line), good)
        decoder = wire.decoder()
        for each in frames:
            found["both"] += _strange(wire, decoder.feed(each), good)
            decoder.idle()
    return found


def _strange(wire: Wire, pieces: list[Frame | pelco_d.Noise], good: set[bytes]) -> int:
    frames = (one for one in pieces if isinstance(one, Frame))
    return sum(wire.encode(one) not in good for one in frames)


def false_answers(echoes: int, rng: random.Random) -> int:
    """Count positions made up of echoes of our own queries and motions, whole, split or damaged."""
    found = 0
    for _ in range(echoes):
        query = Frame(rng.randint(1, 32), rng.choice(sorted(pelco_d.QUERIES)))
        told = query if rng.random() < 0.5 else sent(rng)
        data, echo, replies = told.encode(), EchoFilter(), pelco_d.ReplyDecoder()
        echo.sent(data)
        replies.sent(query)
        back = (
            damaged(data, rng.choice(("bit", "byte", "lost")), rng) if rng.random() < 0.5 else data
        )
        at = rng.randrange(len(back))
        heard = [*replies.feed(echo.feed(back[:at])), *replies.feed(echo.feed(back[at:]))]
        found += len(heard) + len(replies.feed(echo.quiet()))
    return found


def main(words: list[str]) -> int:
    """Damage lines and say what came of it."""
    parser = arguments("What a damaged Pelco line makes a head do.")
    parser.add_argument("--corruptions", type=int, default=1_000_000, help="frames damaged alone")
    parser.add_argument("--losses", type=int, default=1_000_000, help="bytes lost out of streams")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(words)
    rng, few = random.Random(chosen.seed), max(chosen.corruptions // 10, 1)
    alone = false_alone(chosen.corruptions, rng)
    streams = false_streams(chosen.losses, rng)
    figures = {
        "corruptions": chosen.corruptions,
        "false_moves": sum(alone.values()),
        **{f"false_{how}": count for how, count in alone.items()},
        "losses": chosen.losses,
        **{f"rate_{how}": count / chosen.losses for how, count in streams.items()},
        "false_answers": false_answers(few, rng),
        "two_bytes_rate": false_twice(few, rng) / few,
        "doubled_rate": false_longer(few, rng) / few,
    }
    limits = {
        "corruptions": at_least(1_000_000, "fewer prove nothing"),
        "losses": at_least(1_000_000, "a rate of 1e-5 wants so many"),
        "false_moves": at_most(0, "a head must not do what nobody told it"),
        "rate_both": at_most(1e-5, "a lost byte must not turn a head"),
        "false_answers": at_most(0, "an echo is no answer"),
    }
    notes = ["rate_* are false moves a lost byte; bare is length, sync and sum alone"]
    return report("noise", figures, limits, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
