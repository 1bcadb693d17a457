"""The dictionaries agree with each other and with the code; the page stays small."""

import gzip
import re
from pathlib import Path

import pytest

import nvr.web
from nvr.cli import gaps
from nvr.ptz.words import words_of
from nvr.wire.pelco_d import Cmd, Frame, Op

PAGE = Path(nvr.web.__file__).parent / "page"
FIRST_BYTES = 160_000
"""What is fetched before a picture is seen: a third of a second at 4 Mbit/s, once; from then on it
comes out of the browser's cache."""
ALL_BYTES = 300_000
"""With all that is fetched when somebody manages the box, and not just watches."""
IMPORT = re.compile(r'^(?:import|export)[^"\';]*"(\.[^"]+)"', re.MULTILINE)
ENTRY = re.compile(r'^  "(?P<key>[^"]+)": "(?P<text>(?:[^"\\]|\\.)*)",$', re.MULTILINE)


def words(language: str) -> dict[str, str]:
    files = sorted((PAGE / "js/words").glob(f"{language}*.js"))
    found = [entry for file in files for entry in ENTRY.findall(file.read_text())]
    assert len(found) == len({key for key, _ in found}), "a key stands twice"
    return dict(found)


def modules() -> dict[str, str]:
    return {
        str(path.relative_to(PAGE)): path.read_text()
        for path in sorted(PAGE.rglob("*.js"))
        if "words" not in path.parts
    }


def test_both_languages_have_the_same_words() -> None:
    zh, en = words("zh"), words("en")
    assert len(zh) > 200
    assert zh.keys() == en.keys()


def test_both_languages_fill_in_the_same_values() -> None:
    def holes(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    zh, en = words("zh"), words("en")
    assert {k: holes(zh[k]) for k in zh} == {k: holes(en[k]) for k in en}


def test_every_word_the_code_asks_for_exists() -> None:
    zh = words("zh")
    text = "\n".join(modules().values())
    exact = set(re.findall(r'\bt\("([^"]+)"', text))
    families = set(re.findall(r"\bt\(`([^`$]+)\$\{", text))
    assert exact - zh.keys() == set()
    assert {f for f in families if not any(key.startswith(f) for key in zh)} == set()


def test_no_word_is_left_over() -> None:
    text = "\n".join(modules().values())
    families = set(re.findall(r"`([a-z][\w.]*\.)\$\{", text))
    left = {
        key
        for key in words("zh")
        if f'"{key}"' not in text and not any(key.startswith(f) for f in families)
    }
    assert left == set()


def test_whatever_is_said_on_a_serial_line_has_its_words() -> None:
    said = {
        word
        for it in (*Op, *set(Cmd) - {Cmd.EXTENDED}, 0)
        for word, _ in words_of(Frame(1, int(it)))
    }
    journal = {"taken"}  # what a receiver answers
    assert {key.removeprefix("wire.") for key in words("zh") if key.startswith("wire.")} == (
        said | journal
    )


def test_chinese_is_chinese() -> None:
    latin = {"comma", "cause.on"}
    for key, text in words("zh").items():
        assert key in latin or re.search(r"[一-鿿]", text), f"{key}: {text}"
        assert not re.search(r"[!！]", text), key


def loaded_with(path: Path, found: set[Path]) -> set[Path]:
    """The module, and all that it imports before it runs."""
    if path not in found:
        found.add(path)
        for name in IMPORT.findall(path.read_text()):
            loaded_with((path.parent / name).resolve(), found)
    return found


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_one_person_loads_fits_its_budget(language: str) -> None:
    first = loaded_with(PAGE / "js/main.js", set())
    loaded_with(PAGE / f"js/words/{language}.js", first)
    sizes = {
        path: len(gzip.compress(path.read_bytes(), 9))
        for path in PAGE.rglob("*")
        if path.suffix in {".js", ".css", ".html", ".svg"}
        and (path.parent.name != "words" or path in first)  # only the language in use is loaded
    }
    assert len(first) > 50
    before = {path: size for path, size in sizes.items() if path in first or path.suffix != ".js"}
    assert sum(before.values()) < FIRST_BYTES, before
    assert sum(sizes.values()) < ALL_BYTES, sizes


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_stays_short_and_writes_text_only(name: str) -> None:
    text = modules()[name]
    assert len(text.splitlines()) <= 500
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(r"new Function|setAttribute\(\"style\"", text)


def test_the_document_has_no_inline_script_or_style() -> None:
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html))
    assert "{{ui}}/js/main.js" in html


def test_every_cause_of_a_gap_has_its_words_on_the_page_and_on_the_console() -> None:
    for language in ("en", "zh"):
        named = {key.partition(".")[2] for key in words(language) if key.startswith("cause.")}
        assert named - {"other", "by", "on"} == set(gaps.WORDS)
