"""Temperatures on a tree as Linux lays it out; no board was tried."""

from pathlib import Path

from nvr.hal.thermal import celsius


def test_the_hottest_zone_of_each_type_is_told_and_one_that_sleeps_is_not(tmp_path: Path) -> None:
    for number, (kind, temp) in enumerate(
        [("cpu-thermal", "48312"), ("cpu-thermal", "51500"), ("gpu", "-2500"), ("modem", "")]
    ):
        zone = tmp_path / f"class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{temp}\n")
    (tmp_path / "class/thermal/thermal_zone9").mkdir()
    assert celsius(sys=tmp_path) == {"cpu-thermal": 51.5, "gpu": -2.5}
    assert celsius(sys=tmp_path / "none") == {}
