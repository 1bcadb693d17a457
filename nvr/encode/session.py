"""Opens an encoder by the name that boards, cameras and reports give it."""

from typing import Final

from nvr.base.errors import Misconfigured
from nvr.codec import encode
from nvr.encode.gstreamer import PIPELINES, GstEncoder
from nvr.media.encoder import Encoder, Settings

NAMES: Final = (*encode.LIBRARIES, *PIPELINES)
"""Every encoder that is known, whether or not it works here."""


def open_encoder(name: str, settings: Settings) -> Encoder:
    """Open an encoder.

    Raises:
        Misconfigured: ``encoder.refused``: it does not take these settings, or does not work here;
            ``encoder.unknown``.
    """
    if name in PIPELINES:
        return GstEncoder(name, settings)
    library = encode.LIBRARIES.get(name)
    if library is None:
        raise Misconfigured("encoder.unknown", f"there is no encoder {name}", encoder=name)
    return encode.Encoder(settings, library)
