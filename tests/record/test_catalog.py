"""The catalogue, packed or not, answers as a plain list of blocks would."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr.record import catalog as catalogs
from nvr.record import series
from nvr.record.block import BlockHeader, Entry, decode_index, encode_index
from nvr.record.catalog import Catalog
from nvr.record.header import Cause
from nvr.record.row import Row, Span, spans_of, spans_of_index
from tests.record.synthetic import NOISE_CONFIG

BLOCK_BYTES = 4 << 20
LATER = 1 << 40
OTHER_CONFIG = (replace(NOISE_CONFIG[0], width_px=640),)


def head_of(block: int, serial: int, stream: str, sequence: int, config=NOISE_CONFIG):
    return BlockHeader(
        b"r" * 16, 3, block, serial, 5, BLOCK_BYTES, 16384, 16384, sequence, b"p" * 32, stream,
        config,
    )  # fmt: skip


@st.composite
def volumes(draw: st.DrawFn) -> list[Row]:
    """Blocks of two streams with holes, clock steps, overwritten neighbours and empty blocks."""
    rows, tick, wall, run = [], 0, 1000, 1
    sequences = {"gate/main": 0, "gate/sub": 0}
    for serial in range(1, draw(st.integers(1, 24))):
        stream = draw(st.sampled_from(sorted(sequences)))
        spans = []
        for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2, 3]))):
            if draw(st.booleans()):
                run += draw(st.integers(0, 1))
                tick += draw(st.integers(0, 100_000))
                wall = max(0, wall + draw(st.integers(-4_000_000, 4_000_000)))
            long = draw(st.integers(1, 90_000))
            end, to_us = tick + long, wall + long * 100 // 9
            spans.append(Span(run, tick, end, wall, to_us, draw(st.sampled_from(Cause))))
            tick, wall = end, to_us
        first = sequences[stream] + draw(st.sampled_from([0, 0, 0, 7]))
        sequences[stream] = first + 10
        config = draw(st.sampled_from([NOISE_CONFIG, OTHER_CONFIG]))
        full = draw(st.sampled_from([True, True, True, False]))
        rows.append(
            Row(
                head_of(100 - serial, serial, stream, first, config), tuple(spans), 50_000, 10,
                first + 10, bytes([serial]) * 32, closed=full, entries=None if full else (),
            )
        )  # fmt: skip
    return rows


def plain_stretches(rows: list[Row]) -> list[tuple[bool, Span]]:
    """Join span after span, as nobody who has 300,000 blocks would."""
    found: list[tuple[bool, Span]] = []
    sequence = 0
    for row in rows:
        lost, sequence = row.head.sequence > sequence, row.sequence
        for span in row.spans:
            last = found[-1][1] if found else None
            if last and last.continued_by(span.run, span.start_90k, span.from_us):
                last = replace(last, end_90k=span.end_90k, to_us=span.to_us)
                found[-1] = found[-1][0], last
            else:
                found.append((lost, span))
            lost = False
    return found


def compare(catalog: Catalog, rows: list[Row], times: list[int]) -> None:
    assert catalog.all_rows() == rows
    assert len(catalog) == len(rows)
    spans = [span for row in rows for span in row.spans]
    assert catalog.first_us() == min((span.from_us for span in spans), default=0)
    assert catalog.last_run() == max((span.run for span in spans), default=-1)
    for since in range(1, 4):
        ticks = [span.end_90k for span in spans if since <= span.run < since + 2]
        assert catalog.last_tick(since, since + 2) == max(ticks, default=-1)
    for stream in ("gate/main", "gate/sub"):
        mine = [row for row in rows if row.head.stream == stream]
        found = catalog.rows(stream)
        assert list(found) == mine
        assert list(reversed(found)) == mine[::-1]
        assert [found[n] for n in range(-len(mine), len(mine))] == mine * 2
        assert found.blocks() == [row.head.block for row in mine]
        each = [(n, span) for n, row in enumerate(mine) for span in row.spans]
        for t_us in times:
            held = [(n, span) for n, span in each if span.from_us <= t_us < span.to_us]
            assert list(found.holding(t_us)) == held[::-1]
            later = [(span.from_us, n, at) for at, (n, span) in enumerate(each)
                     if span.from_us > t_us]  # fmt: skip
            assert found.following(t_us) == (each[min(later)[2]] if later else None)
        for from_us, to_us in pairwise(times):
            both = [
                row for row in mine
                if any(span.to_us > from_us and span.from_us < to_us for span in row.spans)
            ]  # fmt: skip
            assert found.touching(from_us, to_us) == both
            assert found.blocks_touching(from_us, to_us) == {row.head.block for row in both}
            assert [found[n] for n in found.places_touching(from_us, to_us)] == both
        for n in range(len(mine)):
            assert found.first_end_us(n) == min(row.last_us for row in mine[n:])
        for run in range(1, 5):
            with_run = (row for row in mine if any(span.run == run for span in row.spans))
            assert found.with_run(run) == next(with_run, None)
        for least_90k in (0, 1, 50_000, 400_000, 1 << 60):
            assert found.lately(least_90k) == plain_lately(mine, least_90k)
        stretches = list(found.stretches())
        joined = plain_stretches(mine)
        assert again(stretches) == joined


def again(stretches: list[tuple[bool, Span]]) -> list[tuple[bool, Span]]:
    """Join what the borders of pieces left apart."""
    rows = []
    for n, (lost, span) in enumerate(stretches):
        head = head_of(n, n + 1, "gate/main", 10 * n + lost)
        rows.append(Row(head, (span,), 0, 0, 10 * n + 10, b"", closed=True, entries=None))
    return plain_stretches(rows)


def plain_lately(rows: list[Row], least_90k: int) -> tuple[int, list[Row], int]:
    full, others, ticks = 0, [], 0
    for row in reversed(rows):
        if ticks >= least_90k:
            break
        ticks += sum(span.end_90k - span.start_90k for span in row.spans)
        if row.entries is None:
            full += 1
        else:
            others.append(row)
    return full, others, ticks


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "PIECE_ROWS", 3)
    monkeypatch.setattr(series, "PIECE_ROWS", 3)


PLENTY = settings(max_examples=150, deadline=None)


@PLENTY
@given(volumes(), st.data())
def test_whatever_order_blocks_come_and_go_in(rows: list[Row], data: st.DataObject) -> None:
    times = sorted(
        {0, LATER, *(t for row in rows for s in row.spans for t in (s.from_us, s.to_us))}
    )
    order = data.draw(st.permutations(rows)) if data.draw(st.booleans()) else rows
    catalog = Catalog()
    if data.draw(st.booleans()):
        catalog.fill(order)
    else:
        for row in order:
            catalog.add(row)
    compare(catalog, rows, times)
    before = {stream: catalog.rows(stream) for stream in catalog.streams()}
    rest = list(rows)
    for gone in data.draw(st.lists(st.sampled_from(rows), unique=True) if rows else st.just([])):
        catalog.remove(gone.head.block)
        rest.remove(gone)
        assert catalog.serial(gone.head.block) == 0
    compare(catalog, rest, times)
    for stream, held in before.items():  # what a reader has is not changed by that
        assert list(held) == [row for row in rows if row.head.stream == stream]


@PLENTY
@given(volumes(), st.data())
def test_what_the_log_gave_to_another_use_is_dropped(rows: list[Row], data: st.DataObject) -> None:
    catalog = Catalog()
    catalog.fill(rows)
    serials = [0] * 101
    kept = []
    for row in rows:
        stale = data.draw(st.booleans())
        serials[row.head.block] = row.head.serial + stale
        if not stale and row.closed:
            kept.append(row)
    loose = sorted(catalog.keep(serials), key=lambda row: row.head.serial)
    assert loose == [row for row in rows if not row.closed]
    compare(catalog, kept, [0, LATER])


ENTRIES = st.lists(
    st.tuples(
        st.integers(1, 2), st.integers(-40_000, 40_000), st.integers(-700_000, 700_000),
        st.integers(1, 90_000), st.sampled_from(Cause),
    ),
    max_size=20,
)  # fmt: skip


@PLENTY
@given(ENTRIES)
def test_spans_of_an_index_are_those_of_its_parts(drawn) -> None:
    entries, tick, wall = [], 0, 0
    for run, ahead, off, long, cause in drawn:
        tick += ahead
        wall += ahead * 100 // 9 + off
        entries.append(Entry(0, 16384, run, tick, wall, long, key=False, cause=cause))
        tick, wall = tick + long, wall + long * 100 // 9
    head = head_of(0, 1, "gate/main", 0)
    data = encode_index(1, entries)
    read = decode_index(lambda _, size: data.ljust(size), head)
    assert tuple(read) == tuple(entries)
    assert spans_of_index(read.raw()) == spans_of(entries)
