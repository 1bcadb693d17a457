"""The C kernels that read bytes of strangers, and how a fuzzer of each is built."""

import shutil
import subprocess
from pathlib import Path

NATIVE = Path(__file__).parent.parent.parent / "native"
CORPUS = Path(__file__).with_name("corpus")
KERNELS: dict[str, tuple[str, ...]] = {
    "picture": ("blend", "mosaic", "paint"),
    "ps": ("ps",),
    "relay": ("ps", "relay", "relay_ps", "relay_reader", "relay_send"),
    "reorder": ("receipt", "reorder"),
    "sound": ("flac", "g726", "latm"),
    "sps": ("sps",),
}
"""Name of ``native/fuzz/NAME_fuzz.c``, and the sources it drives."""
_SHARED = {"sps": "parameter-sets"}
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-pthread"]


def build(name: str, into: Path, *, guided: bool = False) -> Path:
    """Build one under AddressSanitizer and UndefinedBehaviorSanitizer.

    Args:
        name: Of `KERNELS`.
        into: Directory for the program.
        guided: By libFuzzer, which follows what is reached; needs clang.
    """
    compiler = shutil.which("clang" if guided else "cc")
    assert compiler, "no C compiler, which building the package needs too"
    sanitize = "address,undefined" + (",fuzzer" if guided else "")
    sources = [NATIVE / f"{source}.c" for source in KERNELS[name]]
    driver = [] if guided else [NATIVE / "fuzz/driver.c"]
    program = into / f"{name}_fuzz"
    subprocess.run(
        [
            compiler, *FLAGS, f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", f"-I{NATIVE}",
            NATIVE / f"fuzz/{name}_fuzz.c", *driver, *sources, "-lm", "-o", program,
        ],
        check=True,
    )  # fmt: skip
    return program


def corpus(name: str) -> Path:
    """Return where the inputs of a kernel are kept."""
    return CORPUS / _SHARED.get(name, name)


def seeds(name: str) -> list[Path]:
    """Return the committed inputs of a kernel."""
    return sorted(corpus(name).iterdir())
