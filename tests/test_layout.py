"""Rules of the house as tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "nvr").rglob("*.py"))
RAISED = re.compile(
    r'\b(Unavailable|Rejected|Damaged|Misconfigured|NvrError)\(\s*"([a-z_]+\.[a-z_]+)"'
)


def test_no_module_is_over_500_lines() -> None:
    kinds = [*MODULES, *(ROOT / "native").glob("*.[ch]"), *(ROOT / "nvr").rglob("*.js")]
    long = {str(p.relative_to(ROOT)): n for p in kinds if (n := p.read_text().count("\n")) > 500}
    assert long == {}


def test_every_error_code_is_written_up_and_none_is_left_over() -> None:
    raised = {
        code: kind
        for path in MODULES
        for kind, code in RAISED.findall(path.read_text(encoding="utf-8"))
    }
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (ROOT / "nvr/base/errors.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    written = {row[0].strip("`"): row[1] for row in rows}
    assert raised.keys() - written.keys() == set(), "raised, but not in errors.md"
    assert sorted(written) == [row[0].strip("`") for row in rows], "errors.md is not sorted"
