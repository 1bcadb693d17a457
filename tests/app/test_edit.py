"""Changes of a camera in the installer's own file: valid after each, and his words stay."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.app import edit
from nvr.config import load
from nvr.media.analyse import AnalyseSettings, ObjectSettings, ZoneSettings
from nvr.media.camera import PlanSettings, SubSettings

FILE = """# mine
schema = 1

[[camera]]
name = "gate"   # by the road
url = "rtsp://192.0.2.10/1"
{sub}
[[camera]]
name = "yard"
url = "rtsp://192.0.2.11/1"
"""
TABLE = """[camera.sub]
url = "rtsp://192.0.2.10/2"   # small
"""
INLINE = """sub = { url = "rtsp://192.0.2.10/2", retain_h = 200 }
"""
SUB = SubSettings("rtsp://192.0.2.10/3", retain_h=200, limit_gb=1.5)
PLAN = PlanSettings("event", 3.0, 20.0, (("08:00-18:00 continuous",),) * 7)
LOOKED = AnalyseSettings(
    on=True, purpose="p", motion=True, sensitivity=3,
    zones=(ZoneSettings("z", ((0, 0), (9, 0), (9, 9))),), health=("dark",), record_on=("object",),
    objects=ObjectSettings(False, "q", "w", "2030-01-31", ("truck",), 600),
)  # fmt: skip
CHANGES = {
    "sub": edit.subbed("gate", SUB),
    "watched": edit.subbed("gate", SubSettings("rtsp://192.0.2.10/4", record=False)),
    "none": edit.subbed("gate", None),
    "plan": edit.planned("gate", "main", PLAN),
    "sub plan": edit.planned("gate", "sub", PLAN),
    "keep": edit.changed("gate", {"retain_h": 100, "title": "Gate"}),
    "looked": edit.analysed("gate", LOOKED),
    "other": edit.added("hall", "Hall", "rtsp://192.0.2.12/1", "", SUB),
}


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("before", ["", TABLE, INLINE])
@given(names=st.lists(st.sampled_from(sorted(CHANGES)), max_size=6))
def test_every_order_of_changes_leaves_a_valid_file(
    before: str, names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("edit") / "nvr.toml"
    path.write_text(FILE.replace("{sub}", before))
    config = load.read(path)
    others = 0
    for name in names:
        gate = config.camera[0]
        if (name == "sub plan" and gate.sub is None) or (name == "other" and others):
            continue
        others += name == "other"
        was = gate.sub.plan if gate.sub else None
        config = load.edit(path, CHANGES[name])
        gate = config.camera[0]
        if name in {"sub", "watched"}:
            assert gate.sub is not None
            assert gate.sub.record == (name == "sub")
            assert gate.sub.retain_h == (200 if name == "sub" else None)
            assert gate.sub.plan == was, "the plan of one that was there stays"
        elif name == "none":
            assert gate.sub is None
        elif name.endswith("plan"):
            plan = gate.plan if name == "plan" else gate.sub.plan if gate.sub else None
            assert plan is not None
            assert (plan.mode, plan.every) == ("event", ["08:00-18:00 continuous"])
        elif name == "looked":
            assert gate.analyse is not None
            assert gate.analyse.objects is not None
            assert gate.analyse.objects.classes == ["truck"]
        elif name == "keep":
            assert (gate.retain_h, gate.title) == (100, "Gate")
        else:
            assert config.camera[-1].sub is not None
    assert "# mine" in path.read_text()
    assert "# by the road" in path.read_text()
