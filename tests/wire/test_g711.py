"""From one law of G.711 to the other, against libav, which decodes both."""

import av
import numpy as np

from nvr.wire.g711 import PCMA_TO_PCMU, PCMU_TO_PCMA

EVERY = bytes(range(256))


def heard(codec: str, samples: bytes) -> np.ndarray:
    context = av.CodecContext.create(codec, "r")
    context.sample_rate, context.layout = 8_000, "mono"
    frames = context.decode(av.Packet(samples))
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(int)


def test_what_is_said_in_one_law_is_heard_in_the_other() -> None:
    for codec, table, other in (
        ("pcm_alaw", PCMA_TO_PCMU, "pcm_mulaw"),
        ("pcm_mulaw", PCMU_TO_PCMA, "pcm_alaw"),
    ):
        said, got = heard(codec, EVERY), heard(other, EVERY.translate(table))
        every = heard(other, EVERY)
        off = np.abs(said - got)
        best = np.abs(said[:, None] - every[None, :]).min(axis=1)
        assert (off <= best + np.abs(said) // 32 + 8).all(), "as near as the other law has it"
        assert (np.sign(said) * np.sign(got) >= 0).all()


def test_there_and_back_is_nearly_the_same() -> None:
    said = heard("pcm_alaw", EVERY)
    back = heard("pcm_alaw", EVERY.translate(PCMA_TO_PCMU).translate(PCMU_TO_PCMA))
    assert (np.abs(said - back) <= np.abs(said) // 16 + 16).all()
