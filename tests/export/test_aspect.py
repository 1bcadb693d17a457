"""What is encoded anew has pixels of the shape that it had before."""

import pytest

from nvr.codec.encode import X264, X265, Encoder
from nvr.export.burner import Film
from nvr.export.picture import Begin
from nvr.media.encoder import Settings
from nvr.overlay.font import Font
from nvr.serve.recode_talk import Wanted
from nvr.serve.recoder import Recoder
from nvr.sim.pattern import Pattern
from nvr.wire import h264, h265

SIZE, ASPECT = (704, 576), (16, 11)


def record(codec: str) -> bytes:
    settings = Settings(SIZE, 25, 500_000, codec=codec, aspect=ASPECT)
    encoder = Encoder(settings, X264 if codec == "h264" else X265)
    encoder.close()
    return (h264.avcc if codec == "h264" else h265.hvcc)(encoder.parameter_sets)


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_an_export_with_captions_keeps_the_shape_of_a_pixel(codec: str) -> None:
    film = Film(Font(), Begin(codec, record(codec), SIZE, 25, 500_000))
    assert h264.pixel_aspect(h264.avcc([film.sps, film.pps])) == ASPECT


def test_what_is_converted_for_a_browser_keeps_it_too() -> None:
    recoder = Recoder(Wanted("h265", record("h265"), 288, 12, 300_000))
    recoder._encoded(Pattern("test:704x576").read().owner, 0)
    assert recoder._encoder is not None
    assert h264.pixel_aspect(h264.avcc(recoder._encoder.parameter_sets)) == ASPECT
