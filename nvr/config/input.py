"""What follows an alarm input, checked against the inputs that the board has."""

from collections.abc import Set as AbstractSet

from nvr.base.shape import Fault
from nvr.config.model import Config


def unfit_inputs(config: Config, board: AbstractSet[str] | None) -> list[Fault]:
    """Names in ``[input.NAME]`` that the board has not.

    Cameras named there may come and go on the page: one that is not there is said by the box while
    it runs, and no reason to refuse the file.

    Args:
        config: Right in shape.
        board: Inputs of the board; None skips the check.
    """
    if board is None:
        return []
    has = ", ".join(sorted(board)) or "none"
    return [
        Fault(f"$.input.{name}", f"the board has no input {name} (it has {has})")
        for name in config.input
        if name not in board
    ]
