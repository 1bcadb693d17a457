"""What is taken for a command of somebody else, and what is not."""

import random

from hypothesis import given
from hypothesis import strategies as st

from nvr.ptz.ear import HOPELESS_BYTES, LOST_BYTES, Ear, Said
from nvr.wire import pelco_d, pelco_p
from nvr.wire.pelco_d import Cmd, Frame

LEFT = Frame(3, Cmd.LEFT, 0x20)
STOP = Frame(3)
KEY = Frame(3, 0x07, 0, 5)


def heard(ear: Ear, *bursts: bytes, at_s: float = 10.0) -> list[Said]:
    """Bursts with silence between them."""
    found = []
    for n, burst in enumerate(bursts):
        found += ear.feed(burst, at_s + 0.1 * n)
        found += ear.idle()
    return found


def settled(protocol: str = "pelco-d") -> Ear:
    ear = Ear()
    stop = STOP.encode() if protocol == "pelco-d" else pelco_p.encode(STOP)
    heard(ear, stop, stop, at_s=0.0)
    assert ear.protocol == protocol
    return ear


def test_nothing_counts_before_two_whole_frames() -> None:
    ear = Ear()
    assert heard(ear, LEFT.encode()) == []
    assert ear.protocol == ""
    (said,) = heard(ear, LEFT.encode())
    assert said.frame == LEFT
    assert said.sure
    assert ear.protocol == "pelco-d"


def test_both_protocols_are_told_apart() -> None:
    ear = settled("pelco-p")
    (said,) = heard(ear, pelco_p.encode(LEFT))
    assert (said.protocol, said.frame) == ("pelco-p", LEFT)
    # The switch on its back was moved: the other one after as many frames as at first.
    assert heard(ear, LEFT.encode()) == []
    (said,) = heard(ear, LEFT.encode())
    assert said.protocol == "pelco-d"


@given(st.lists(st.sampled_from([LEFT, STOP, KEY]), min_size=1, max_size=8), st.data())
def test_splitting_the_line_changes_nothing(frames: list[Frame], data: st.DataObject) -> None:
    line = b"".join(frame.encode() for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=6)))
    whole, ear = settled(), settled()
    pieces = []
    for start, stop in zip([0, *cuts], [*cuts, len(line)], strict=True):
        pieces += [said.frame for said in ear.feed(line[start:stop], 10.0)]
    pieces += [said.frame for said in ear.idle()]
    assert pieces == [said.frame for said in whole.feed(line, 10.0) + whole.idle()] == frames


def test_the_rest_of_a_frame_is_gone_with_the_silence() -> None:
    ear = settled()
    left = LEFT.encode()
    # Together they would be a frame; with a pause between them they are none.
    assert heard(ear, left[:4], left[4:]) == []
    assert ear.noise_bytes == len(left)
    (said,) = heard(ear, left)
    assert said.sure


def test_a_frame_behind_noise_moves_only_with_its_like() -> None:
    ear = settled()
    (first,) = heard(ear, b"\x12\x34" + LEFT.encode())
    assert not first.sure
    (second,) = heard(ear, b"\x12" + LEFT.encode(), at_s=10.2)
    assert second.sure
    (late,) = heard(ear, b"\x12" + LEFT.encode(), at_s=20.0)
    assert not late.sure
    (stop,) = heard(ear, b"\x12" + STOP.encode(), at_s=21.0)
    assert stop.sure, "a STOP is always believed"


def test_a_frame_made_of_an_inserted_byte_is_not_sure_and_a_stop_waits_for_nothing() -> None:
    ear = settled()
    # The byte in front of its checksum was put in, and happens to fit; the rest follows.
    forged = bytes((0xFF, 3, 0, 4, 0x20, 0x07, 0x2E, 0x00, 0x27))
    (said,) = heard(ear, forged)
    assert (said.frame.command, said.sure) == (Cmd.LEFT, False)
    assert ear.feed(LEFT.encode(), 20.0) == []
    left, stop = ear.feed(STOP.encode(), 20.0)
    assert (left.frame, left.sure, stop.frame) == (LEFT, True, STOP)


def test_a_wrong_rate_is_given_up_and_a_burst_of_noise_is_not() -> None:
    ear = Ear()
    heard(ear, bytes(HOPELESS_BYTES - 1))
    assert not ear.lost
    heard(ear, b"\x00")
    assert ear.lost
    ear = settled()
    heard(ear, bytes(HOPELESS_BYTES))
    assert not ear.lost
    heard(ear, bytes(LOST_BYTES - HOPELESS_BYTES))
    assert ear.lost
    ear.anew()
    assert (ear.protocol, ear.lost) == ("", False)


def false_moves(trials: int, seed: int) -> tuple[int, int]:
    """Frames that were never said though they would move something, among so many that lost a byte:
    all of them, and those that are sure."""
    rng = random.Random(seed)
    motions = [
        pelco_d.motion(a, pan=p, tilt=t, zoom=z)
        for a in (1, 2, 3) for p in (-63, -20, 0, 5, 31) for t in (-63, 0, 12) for z in (-1, 0, 1)
    ]  # fmt: skip
    possible = sure = 0
    ear = settled()
    for n in range(trials):
        said = rng.choices(motions, k=3)
        line = bytearray(b"".join(one.encode() for one in said))
        kind = rng.randrange(3)
        at = rng.randrange(len(line))
        if kind == 0:
            del line[at]
        elif kind == 1:
            line[at] ^= 1 << rng.randrange(8)
        else:
            line[at:at] = rng.randbytes(rng.randrange(1, 4))
        for one in ear.feed(bytes(line), 100.0 + n * 2) + ear.idle():
            if one.frame not in said and one.frame.command:
                possible += 1
                sure += one.sure
    return possible, sure


def test_lost_bytes_and_noise_move_nothing() -> None:
    possible, sure = false_moves(5_000, seed=5)
    assert possible > 0, "the line was kind, and this shows nothing"
    assert sure == 0
