"""The noise proof, bounded; `python -m tests.ptz.noise` is the whole of it."""

import random

import pytest

from nvr.wire import pelco_d
from tests.ptz import noise


def test_a_frame_damaged_alone_moves_nothing() -> None:
    found = noise.false_alone(12_000, random.Random(7))
    assert found == dict.fromkeys(noise.DAMAGES, 0)


def test_a_lost_byte_turns_no_head_and_without_the_rules_it_would() -> None:
    found = noise.false_streams(6_000, random.Random(7))
    assert found["both"] == 0
    assert found["bare"] > found["plausible"], "what plausibility is for"


def test_an_echo_is_no_answer() -> None:
    assert noise.false_answers(3_000, random.Random(7)) == 0


def test_a_decoder_that_does_not_check_the_sum_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    frame_at = pelco_d.Decoder._at

    def careless(self: pelco_d.Decoder, start: int) -> pelco_d.Frame | None:
        window = self._held[start : start + 7]
        window[6] = sum(window[1:6]) & 0xFF
        self._held[start : start + 7] = window
        return frame_at(self, start)

    monkeypatch.setattr(pelco_d.Decoder, "_at", careless)
    assert sum(noise.false_alone(1_200, random.Random(7)).values()) > 0
