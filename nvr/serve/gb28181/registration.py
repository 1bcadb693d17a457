"""What everything that serves one platform shares, for as long as one registration lasts."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nvr.serve.gb28181.link import Link
from nvr.serve.gb28181.parts import Parts
from nvr.serve.gb28181.roster import Roster
from nvr.wire.manscdp import Edition


@dataclass(frozen=True, slots=True)
class Registration:
    """One.

    Attributes:
        parts: What we are built from.
        roster: What the platform may know.
        link: Way to it.
        edition: What both speak.
        spawn: Runs what takes a while, and ends it with the registration.
        number: Gives each body a number.
    """

    parts: Parts
    roster: Roster
    link: Link
    edition: Edition
    spawn: Callable[..., asyncio.Task[None]]
    number: Callable[[], int]
