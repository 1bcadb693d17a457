"""What the recorder tells the simulated dome beside its serial line: captions and masks."""

from pathlib import Path

from nvr.base.errors import NvrError, Unavailable
from nvr.media.camera import CaptionText
from nvr.media.mask import Masks
from nvr.sim import launch


def dome_masks(sim: Path, masks: Masks) -> None:
    """Have the simulated dome in `sim` hide areas of its pictures; blocks.

    Raises:
        Unavailable: ``dome.silent``.
    """
    asked = [{"points_permille": one.points_permille, "kind": one.kind} for one in masks]
    answer = launch.ask(sim, {"masks": asked})
    if answer.get("ok") is not True:
        raise Unavailable("dome.silent", str(answer.get("detail", "it refused the masks")))


def dome_caption(sim: Path, caption: CaptionText) -> tuple[str, ...]:
    """Have the simulated dome in `sim` burn a caption; returns what its font lacks; blocks.

    Raises:
        Unavailable: ``dome.silent``.
        NvrError: ``caption.invalid``.
    """
    answer = launch.ask(
        sim,
        {
            "caption": {
                "lines": list(caption.lines),
                "position_permille": list(caption.position_permille),
                "size_permille": caption.size_permille,
                "mode": caption.mode,
            }
        },
    )
    if answer.get("ok") is not True:
        raise NvrError(str(answer.get("code")), str(answer.get("detail")))
    return tuple(answer.get("missing", ()))
