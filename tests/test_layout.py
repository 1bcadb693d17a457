"""Rules of the house as tests."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "nvr").rglob("*.py"))
RAISED = re.compile(
    r'\b(Unavailable|Rejected|Damaged|Misconfigured|NvrError)\(\s*"([a-z_]+\.[a-z_]+)"'
)

DOTTED = re.compile(r"[a-z]+\.[a-z_]+")


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


def event_names(module: ast.Module, codes: set[str]) -> Iterator[str]:
    """Names of the events a module logs.

    Where a name comes out of a variable, every dotted word of the module is one but error codes.
    """
    indirect = False
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "event":
            name = node.args[2]
            indirect |= not isinstance(name, ast.Constant)
        elif isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "_log":
            name = node.args[0]
        else:
            continue
        if isinstance(name, ast.Constant):
            yield str(name.value).split()[0]
    if indirect:
        words = {str(n.value) for n in ast.walk(module) if isinstance(n, ast.Constant)}
        yield from (word for word in words - codes if DOTTED.fullmatch(word))


def events_in_code() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in MODULES]
    codes = {code for text in texts for _, code in RAISED.findall(text)}
    return {name for text in texts for name in event_names(ast.parse(text), codes)}


def test_every_event_is_written_up_and_none_is_left_over() -> None:
    text = (ROOT / "nvr/base/events.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    written = [row[0].strip("`") for row in rows]
    assert written == sorted(set(written)), "events.md is not sorted, or has one twice"
    logged = events_in_code()
    assert logged - set(written) == set(), "logged, but not in events.md"
    assert set(written) - logged == set(), "in events.md, but never logged"
    assert all(len(row) == 3 and all(row) for row in rows), "a row lacks a meaning"


def test_a_recorder_starts_without_what_only_a_broker_needs():
    code = (
        "import sys; import nvr.app.box; "
        "print(sorted(one for one in sys.modules if one.split('.')[0] in {'aiomqtt', 'paho'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_recorder_starts_without_what_only_drawing_and_decoding_need():
    """Together they are a third of its memory."""
    heavy = {"av", "freetype", "numpy", "uharfbuzz"}
    words = "import sys; from nvr.cli.main import parser; parser('run')"
    code = f"{words}; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
