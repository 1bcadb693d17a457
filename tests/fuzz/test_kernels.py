"""The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, fed with damaged bytes."""

import subprocess

import pytest

from tests.fuzz import session
from tests.fuzz.kernels import KERNELS, build, seeds

ROUNDS = 6000


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    return session.build(tmp_path_factory.mktemp("fuzz"))


def runs(*command):
    done = subprocess.run(  # noqa: PLW1510 - the return code is what is tested
        command, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout == f"ok {ROUNDS}\n"


@pytest.mark.parametrize("seed", [1, 100_000])
def test_no_bytes_break_the_session(fuzzer, seed):
    runs(*fuzzer, str(seed), str(ROUNDS))


@pytest.mark.parametrize("name", KERNELS)
def test_no_bytes_break_a_kernel(name, tmp_path):
    runs(build(name, tmp_path), "1", str(ROUNDS), *seeds(name))
