"""Whether the parts of a block are what was acknowledged: header, stored bytes, and the links.

Works on sealed parts without their keys: checksums and links cover what is stored.
"""

from dataclasses import dataclass

from nvr.base.errors import Damaged
from nvr.record import block
from nvr.record.block import BlockHeader, Entry, Read


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a part.

    Attributes:
        kind: ``part``: it cannot be shown; ``chain``: it can, but does not follow the one before.
        detail: One sentence.
        refused: The disk refused to read it; else it gave wrong bytes.
    """

    kind: str
    detail: str
    refused: bool = False


def follow(
    read: Read, head: BlockHeader, entry: Entry, previous: bytes | None
) -> tuple[bytes | None, Fault | None]:
    """Verify one part of a block.

    Args:
        read: Reads the block.
        head: Its head.
        entry: The part.
        previous: Link of the part before; None if that one is not intact, and proves nothing.

    Returns:
        The part's own link, None if it is not intact, and what is wrong.
    """
    try:
        found, _ = block.read_part(read, head, entry.offset)
    except (Damaged, OSError) as err:
        detail = f"half a second cannot be shown: {err}"
        return None, Fault("part", detail, refused=isinstance(err, OSError))
    if previous is not None and found.previous != previous:
        return found.link, Fault("chain", "the part does not follow the one before it")
    return found.link, None
