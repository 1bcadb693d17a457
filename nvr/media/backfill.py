"""Fetching what was missed from a camera's own storage, as people set it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackfillSettings:
    """What is fetched, and how fast. See ``[camera.backfill]`` of the configuration.

    Attributes:
        on: What was missed is fetched.
        mbit_s: Megabits a second at most.
        back_h: What is longer ago is left; hours.
        least_s: What is shorter is left; seconds.
        recording: Token of the camera's recording, empty: the only one, or that of its profile.
    """

    on: bool = False
    mbit_s: float = 8.0
    back_h: int = 24
    least_s: float = 5.0
    recording: str = ""
