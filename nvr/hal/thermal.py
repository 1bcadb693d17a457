"""How warm the board is, where its kernel says so.

Source: Linux Documentation/driver-api/thermal/sysfs-api.rst, ``thermal_zone*/temp`` in
thousandths of a degree.
"""

from pathlib import Path

SYS = Path("/sys")


def celsius(*, sys: Path = SYS) -> dict[str, float]:
    """Return the temperature of each thermal zone by its type, the hottest of those of one type."""
    found: dict[str, float] = {}
    for zone in sorted(sys.glob("class/thermal/thermal_zone*")):
        try:
            kind = (zone / "type").read_text().strip()
            degrees = int((zone / "temp").read_text()) / 1000
        except (OSError, ValueError):
            continue  # switched off, or asleep
        found[kind] = max(degrees, found.get(kind, degrees))
    return found
