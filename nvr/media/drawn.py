"""What a camera itself draws into its picture for us: a caption, masks, and what became of them."""

from dataclasses import dataclass
from typing import Literal

DrawnState = Literal["waiting", "drawn", "partly", "impossible", "failed"]
Burn = Literal["auto", "none"]
"""Whether a camera that encodes its own picture is to draw it: where it can, or never."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that did not come out as it was wanted.

    Attributes:
        code: ``osd.cut`` and the like. See `nvr/web/API.md`.
        line: Which line of the caption, or which mask, from 1; 0 for all.
        said: To be filled into the words for it: a number, a text, fields.
    """

    code: str
    line: int = 0
    said: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a camera draws, as it was read back from it last.

    Attributes:
        state: ``waiting`` to be told, or confirmed; ``drawn``; ``partly``: some of it is not as it
            was wanted; ``impossible``: the camera cannot; ``failed``: it could not be told.
        code: Why it is impossible or failed, else empty.
        detail: A sentence for a person to go with `code`.
        remarks: What is otherwise than wanted.
    """

    state: DrawnState
    code: str = ""
    detail: str = ""
    remarks: tuple[Remark, ...] = ()

    @property
    def there(self) -> bool:
        """Whether it is in the picture, if not all of it."""
        return self.state in {"drawn", "partly"}
