"""`make fuzz`: every target in turn for its share of the time, beginning anywhere.

Python's parsers are led by what they reach if atheris is there, the kernels if clang is; else their
inputs are damaged blindly. What breaks one is kept in ``corpus/NAME``, to be mended and committed.
"""

import argparse
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz import kernels, session
from tests.fuzz.mutate import mutations
from tests.fuzz.targets import CORPUS, TARGETS, seeds

_GUIDED = importlib.util.find_spec("atheris") is not None
_CLANG = shutil.which("clang") is not None
SESSION = "session"
_ONE = """
import sys, atheris
with atheris.instrument_imports(include=["nvr"]):
    from tests.fuzz.targets import TARGETS
atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
"""


def _keep(name: str, data: bytes) -> None:
    path = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{name}: broken by {path}", flush=True)


def _libfuzzer(name: str, command: list[object], share_s: float) -> bool:
    """Run one that libFuzzer drives; what it reaches on the way is not kept."""
    with tempfile.TemporaryDirectory() as place:
        learnt = Path(place) / "learnt"
        learnt.mkdir()
        done = subprocess.run(
            [
                *command, f"-max_total_time={round(share_s)}", f"-artifact_prefix={place}/",
                "-max_len=8192", "-verbosity=0", learnt, CORPUS / name,
            ],
            check=False,
        )  # fmt: skip
        for found in Path(place).glob("*-*"):
            _keep(name, found.read_bytes())
    return done.returncode == 0


def _parser(name: str, share_s: float, seed: int) -> bool:
    if _GUIDED:
        return _libfuzzer(name, [sys.executable, "-c", _ONE, name], share_s)
    end_s, rounds, starts = time.monotonic() + share_s, 0, seeds(name)
    while time.monotonic() < end_s:
        for data in mutations(starts, seed + rounds, 1000):
            try:
                TARGETS[name](data)
            except Exception:  # noqa: BLE001 - that is what is looked for
                traceback.print_exc()
                _keep(name, data)
                return False
        rounds += 1000
    print(f"{name}: {rounds} inputs", flush=True)
    return True


def _kernel(name: str, share_s: float, seed: int) -> bool:
    with tempfile.TemporaryDirectory() as place:
        if name == SESSION:
            front, inputs = session.build(Path(place)), []
        elif _CLANG:
            program = kernels.build(name, Path(place), guided=True)
            return _libfuzzer(kernels.corpus(name).name, [program], share_s)
        else:
            front, inputs = [kernels.build(name, Path(place))], kernels.seeds(name)
        end_s, rounds = time.monotonic() + share_s, 0
        while time.monotonic() < end_s:
            command = [*front, str(seed + rounds), "5000", *inputs]
            if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
                print(f"{name}: broken; again with {' '.join(map(str, command))}", flush=True)
                return False
            rounds += 5000
    print(f"{name}: {rounds} inputs", flush=True)
    return True


def main() -> int:
    """Run them; 1 if anything broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", nargs="*", help="of a target or kernel; all unless named")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all together")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    chosen = parser.parse_args()
    names = chosen.name or [*TARGETS, *kernels.KERNELS, SESSION]
    share_s = chosen.minutes * 60 / len(names)
    print(f"seed {chosen.seed}, {share_s:.0f} s each", flush=True)
    broken = []
    for name in names:
        run = _parser if name in TARGETS else _kernel
        if not run(name, share_s, chosen.seed):
            broken.append(name)
    print(f"broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
