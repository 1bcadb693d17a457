"""Spans that are too big for one file: cut at key frames, nothing lost and nothing there twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nvr.export.evidence import size_bytes
from nvr.export.form import Copying, copied
from nvr.export.split import stretches
from nvr.playback.query import Archive
from nvr.playback.verbatim import chosen
from tests.export.made import GATE, recorded

ALWAYS = (0, 2**62)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    store = recorded(tmp_path / "ring")
    yield Archive(store)
    store.disk.close()


def parts(archive: Archive, from_us: int, to_us: int) -> list[tuple[int, int]]:
    found = chosen(archive.store, GATE, from_us, to_us)
    return [(row.head.block, entry.offset) for row, entry in found]


@pytest.mark.parametrize("share", [2, 3, 7, 40])
def test_the_files_together_are_the_span_and_each_fits(archive: Archive, share: int) -> None:
    whole = size_bytes(archive, [GATE], *ALWAYS) // 2
    most = whole // share
    found = stretches(archive, GATE, *ALWAYS, most)
    assert len(found) >= share
    assert [begin for begin, _ in found[1:]] == [end for _, end in found[:-1]]
    assert [part for one in found for part in parts(archive, *one)] == parts(archive, *ALWAYS)
    for one in found:
        assert sum(len(piece) for piece, _ in copied(archive, GATE, *one, Copying())) <= most


def test_without_a_limit_there_is_one_file_a_set_of_codecs(archive: Archive) -> None:
    assert stretches(archive, GATE, *ALWAYS) == archive.configs(GATE, *ALWAYS)
    assert len(stretches(archive, GATE, *ALWAYS, 1 << 32)) == 1


def test_a_limit_below_one_group_of_pictures_ends_all_the_same(archive: Archive) -> None:
    found = stretches(archive, GATE, *ALWAYS, 1)
    assert [part for one in found for part in parts(archive, *one)] == parts(archive, *ALWAYS)
