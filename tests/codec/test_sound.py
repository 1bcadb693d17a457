"""A microphone's sound comes out as AAC, in time, whatever its card's clock does."""

import av
import numpy as np
import pytest

from nvr.codec.sound import FRAME, RATE_HZ, SoundEncoder
from nvr.wire import aac

START_S = 1000.0


def tone(rate_hz, count, start, channels=1, hz=440):
    at = (np.arange(count) + start) / rate_hz
    one = (np.sin(2 * np.pi * hz * at) * 12_000).astype(np.int16)
    return np.repeat(one[:, None], channels, axis=1).tobytes()


def heard(units, config):
    """What a player hears."""
    decoder = av.CodecContext.create("aac", "r")
    decoder.extradata = config
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def encoded(rate_hz=48_000, channels=1, seconds=4.0, card=1.0, gap=None):
    """`card`: how fast the card's clock goes; `gap`: seconds lost after two."""
    made = SoundEncoder(rate_hz, channels, "s16")
    chunk = rate_hz // 25
    units, taken = [], 0
    lost_s = 0.0
    while taken / rate_hz < seconds:
        if gap and not lost_s and taken / rate_hz >= 2:
            lost_s = gap
        at_s = START_S + taken / (rate_hz * card) + lost_s
        units += made.encode(tone(rate_hz, chunk, taken, channels), at_s)
        taken += chunk
    return made, units


@pytest.mark.parametrize(
    ("rate_hz", "channels"), [(48_000, 1), (44_100, 2), (16_000, 1), (8000, 1)]
)
def test_any_rate_becomes_one_of_ours(rate_hz, channels):
    made, units = encoded(rate_hz, channels)
    config = aac.parse(made.config)
    assert (config.rate_hz, config.channels) == (RATE_HZ, 1)
    samples = heard(units, made.config)[RATE_HZ:]
    spectrum = np.abs(np.fft.rfft(samples[:RATE_HZ]))
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)


def test_times_go_on_from_frame_to_frame():
    _, units = encoded()
    assert set(np.diff([unit.at for unit in units])) == {FRAME}
    assert abs(units[0].at - START_S * RATE_HZ) <= 2 * FRAME


@pytest.mark.parametrize("card", [0.999, 1.001])
def test_a_card_that_goes_wrong_is_followed(card):
    lags_s = []
    for seconds in (4.0, 84.0):
        _, units = encoded(seconds=seconds, card=card)
        assert set(np.diff([unit.at for unit in units])) == {FRAME}, "without a click"
        lags_s.append(START_S + seconds / card - units[-1].at / RATE_HZ)
    assert lags_s[1] == pytest.approx(lags_s[0], abs=0.025), "not 0.08 s off, as it would be"


def test_what_was_lost_is_silence_of_its_length():
    made, units = encoded(seconds=4.0, gap=0.5)
    assert set(np.diff([unit.at for unit in units])) == {FRAME}
    assert units[-1].at / RATE_HZ - START_S == pytest.approx(4.5, abs=0.1)
    samples = heard(units, made.config)
    quiet = np.abs(samples).reshape(-1, 256).max(axis=1) < 0.01
    assert quiet.sum() * 256 / RATE_HZ == pytest.approx(0.5, abs=0.12)


def test_nothing_heard_is_nothing_made():
    made = SoundEncoder(48_000, 1, "s16")
    assert made.encode(b"", 5.0) == []
