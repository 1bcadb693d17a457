"""What a trial is asked and says, apart from the trial: who only reads it loads no libav."""

import msgspec

from nvr.media.track import VideoCodec


class Order(msgspec.Struct, frozen=True):
    """Which encoder is to be tried, with which codec."""

    encoder: str
    codec: VideoCodec = "h264"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial.

    Attributes:
        encoder: Its name.
        codec: What it was to make.
        works: It gave back what went in.
        code: Error code if it does not.
        detail: A sentence to go with it.
        psnr_db: How near luma came to what went in, 0 if it does not work.
        costs: Processor seconds of a million pixels by preset, the slowest preset first; empty if
            its work is not the processor's.
        took_s: How long the trial took.
    """

    encoder: str
    codec: VideoCodec = "h264"
    works: bool
    code: str = ""
    detail: str = ""
    psnr_db: float = 0.0
    costs: dict[str, float] = {}
    took_s: float = 0.0
