"""A bounded piece of `make fuzz`, the same in every run."""

import pytest

from tests.fuzz.kernels import KERNELS
from tests.fuzz.mutate import MOST_BYTES, mutations
from tests.fuzz.targets import CORPUS, TARGETS, seeds

ROUNDS = 1500


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_answered_as_documented(name: str) -> None:
    target = TARGETS[name]
    for data in mutations(seeds(name), 1, ROUNDS):
        try:
            target(data)
        except Exception as err:  # noqa: BLE001 - whatever it is, the input is named
            pytest.fail(f"{name} on {data!r}: {err!r}")


def test_every_directory_of_the_corpus_is_somebodys() -> None:
    own = {path.name for name in KERNELS for path in (CORPUS / name,) if path.exists()}
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS) | own


def test_mutations_differ_and_come_again() -> None:
    made = list(mutations([b"a" * 100, b"m=video 0 RTP/AVP 96\r\n"], 7, 300))
    assert made == list(mutations([b"a" * 100, b"m=video 0 RTP/AVP 96\r\n"], 7, 300))
    assert len(set(made)) > 250
    assert max(map(len, made)) <= MOST_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_lead_somewhere(name: str) -> None:
    assert seeds(name), f"{name} begins with nothing"
    assert all(len(data) <= MOST_BYTES for data in seeds(name)), CORPUS / name
