"""What README says of the command line is what the command line takes."""

import re
from pathlib import Path

import pytest

from nvr.cli.main import COMMANDS, main, parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "nvr/config/SETTINGS.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `nvr ([^`]+)` \|", README, re.MULTILINE)
TYPED = re.findall(r"`\.venv/bin/nvr ([^`]+)`", README + SETTINGS)


@pytest.mark.parametrize("page", ["README.md", "nvr/config/SETTINGS.md"])
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert "//" in target or (ROOT / page).parent.joinpath(target).exists(), target
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()) for line in SETTINGS.splitlines()}
    for anchor in re.findall(r"\]\([^)#]*#([^)]*)\)", text):
        assert f" {anchor.replace('-', ' ')}" in headings, anchor


def test_every_command_stands_in_the_table() -> None:
    assert {row.split()[0] for row in ROWS} == set(COMMANDS)


@pytest.mark.parametrize("line", [*(row for row in ROWS if "..." not in row), *TYPED])
def test_a_line_of_the_readme_is_understood(line: str) -> None:
    assert parser().parse_args(line.split()).command == line.split(maxsplit=1)[0]


def test_a_board_whose_start_is_wrong_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "board.toml"
    board = (Path(__file__).parent.parent / "board" / "virtual.toml").read_text(encoding="utf-8")
    file.write_text(board.replace("size_mib = 2048", "size_mib = 1"), encoding="utf-8")
    assert main(["check", str(file)]) == 1
    assert "$.start.volume.size_mib: " in capsys.readouterr().out
    file.write_text(board.replace("[volume]", "[volume"), encoding="utf-8")
    assert main(["check", str(file)]) == 1
    assert "$.start: not TOML" in capsys.readouterr().out


def test_ports_are_where_the_readme_says(tmp_path: Path) -> None:
    """Taken ports are what a second box on a machine meets first."""
    assert "`[page]` with\n`port = 9443`, or `[rtsp]` with `port` and `tls_port`" in README
    file = tmp_path / "nvr.toml"
    text = "schema = 1\n[page]\nport = 9443\n[rtsp]\nport = 9554\ntls_port = 9322\n"
    file.write_text(text, encoding="utf-8")
    assert main(["check", str(file)]) == 0
    file.write_text(text.replace("tls_port", "tlsport"), encoding="utf-8")
    assert main(["check", str(file)]) == 1, "keys are looked at"
