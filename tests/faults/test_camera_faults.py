"""The short version of `tests.faults.camera_faults`; all of it is a proof of the night."""

import pytest

from tests.faults import camera_faults
from tests.faults.camera_faults import LIMITS, Result, figures_of

pytestmark = [pytest.mark.needs("gst-rtsp-server"), pytest.mark.timeout(300)]


def holds(result: Result, *names: str) -> None:
    figures = figures_of(result)
    wrong = {name: figures[name] for name in names if not LIMITS[name].holds(figures[name])}
    assert not wrong, result.failures


def test_a_camera_is_recorded_again_and_its_neighbours_lose_nothing() -> None:
    result = Result()
    camera_faults.faults(result, ["restarted", "garbage", "size_spliced"])
    holds(result, "others_lost", "others_reconnects", "others_gaps", "bugs", "wrong_states")
    assert result.recovery_s.keys() == {"restarted", "garbage", "size_spliced"}
    assert result.recovery_s["size_spliced"] < 3.0


def test_connections_that_break_leave_nothing_behind() -> None:
    result = Result()
    camera_faults.reconnects(result, 16, cameras=4)
    holds(result, "files_grown", "threads_grown", "tasks_grown", "others_lost", "bugs")
