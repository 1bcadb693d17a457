"""What is to be written into a picture: checked here, drawn by `nvr.overlay.layout`.

Apart from the drawing, so that who only keeps captions loads neither NumPy nor FreeType.
"""

from dataclasses import dataclass

from nvr.base.errors import Rejected
from nvr.media.caption import MODES, Mode, fault_of


@dataclass(frozen=True, slots=True)
class Caption:
    """What to write into the picture, and how.

    Attributes:
        lines: Up to 8 lines of up to 32 characters and 6 fields. See `nvr.media.caption`.
        position_permille: Left and top of the block, 0-1000 of the picture's width and height.
        size_permille: Height of an em, 15-250 thousandths of the picture's height.
        mode: ``plain`` white; ``outline`` white with a dark edge; ``box`` white on a dark,
            ``inverse`` dark on a light ground; ``blink`` outline, on and off by the half
            second; ``scroll`` outline, moving from right to left.
    """

    lines: tuple[str, ...]
    position_permille: tuple[int, int] = (20, 30)
    size_permille: int = 42
    mode: Mode = "outline"

    def __post_init__(self) -> None:
        _check(not fault_of(self.lines), "lines", fault_of(self.lines))
        _check(
            all(0 <= p <= 1000 for p in self.position_permille),
            "position_permille",
            "the position is two numbers from 0 to 1000",
        )
        _check(15 <= self.size_permille <= 250, "size_permille", "the size is from 15 to 250")
        _check(self.mode in MODES, "mode", f"the mode is one of {', '.join(MODES)}")


def _check(good: bool, field: str, rule: str) -> None:
    if not good:
        raise Rejected("caption.invalid", rule, field=field)
