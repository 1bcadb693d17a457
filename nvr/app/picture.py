"""Which of a camera's pictures is ours, by what it says of its profiles."""

from collections.abc import Iterable

from nvr.base.errors import Misconfigured
from nvr.media.onvif import Profile


def sources_of(profiles: Iterable[Profile], wanted: str) -> tuple[tuple[str, ...], int]:
    """Return the video source configurations of a camera's picture, and its height in pixels.

    Args:
        profiles: Its profiles.
        wanted: Token of one of them, empty if there is but one picture.

    Raises:
        Misconfigured: ``onvif.which_picture``: there are several, and none was named.
    """
    known = list(profiles)
    named = [one for one in known if one.token == wanted]
    pictures = {one.source for one in named or known}
    if len(pictures) != 1:
        raise Misconfigured(
            "onvif.which_picture",
            "the camera has several pictures: name a profile of this one in [camera.onvif]",
        )
    fitting = [one for one in known if one.source in pictures and one.video]
    if not fitting:
        raise Misconfigured("onvif.unsupported", "the camera does not say what its picture is")
    return tuple(sorted({one.video for one in fitting})), max(one.height_px for one in fitting)
