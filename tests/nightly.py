"""The long proofs, one after another: `make nightly`.

Each ends in one line of JSON; the line is kept under ``tests/reports/`` with the command, so that
what is claimed can be compared with what was measured, where, and at which commit.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import ROOT

REPORTS = Path(__file__).with_name("reports")


@dataclass(frozen=True, slots=True)
class Proof:
    """One command and the file its result goes to.

    Attributes:
        name: Of the report.
        command: Module and arguments, without ``--json``.
        timeout_s: When it is given up.
    """

    name: str
    command: tuple[str, ...]
    timeout_s: float = 1800


PROOFS = (
    Proof("power_cut", ("tests.faults.power_cut", "--cuts", "1000")),
    Proof("power_cut.sealed", ("tests.faults.power_cut", "--cuts", "1000", "--sealed")),
    Proof("every_cut", ("tests.faults.every_cut",)),
    Proof("file_cut", ("tests.faults.file_cut",)),
    Proof("clock", ("tests.faults.clock",)),
    Proof("clock_live", ("tests.faults.clock_live",)),
    Proof("drive_cut.ext4", ("tests.faults.drive_cut", "--disk", "ext4", "--cuts", "200")),
    Proof(
        "drive_cut.ext4.sealed",
        ("tests.faults.drive_cut", "--disk", "ext4", "--cuts", "200", "--sealed"),
    ),
    Proof("resize_cut", ("tests.faults.resize_cut",)),
    Proof("drive_cut.xfs", ("tests.faults.drive_cut", "--disk", "xfs", "--cuts", "200")),
    Proof("uml_cut", ("tests.faults.uml_cut", "--cuts", "60")),
    Proof("restarts", ("tests.faults.restarts", "--restarts", "200")),
    Proof("disk", ("tests.faults.disk",)),
    Proof("camera_faults", ("tests.faults.camera_faults",)),
    Proof("drawn", ("tests.faults.drawn",)),
    Proof("outputs", ("tests.faults.outputs",)),
    Proof("attack", ("tests.faults.attack",)),
    Proof("runaway", ("tests.faults.runaway",), timeout_s=5400),
    Proof("record", ("tests.bench.record", "--cameras", "16", "--seconds", "10")),
    Proof("record.sealed", ("tests.bench.record", "--cameras", "16", "--sealed")),
    Proof("record.packets", ("tests.bench.record", "--cameras", "16", "--packets")),
    Proof("amplification", ("tests.bench.amplification",)),
    Proof("datagram", ("tests.bench.datagram",)),
    Proof("serve", ("tests.bench.serve", "--readers", "50")),
    Proof("stuck", ("tests.bench.stuck",)),
    Proof("seek", ("tests.bench.seek",)),
    Proof("live", ("tests.bench.live",)),
    Proof("control", ("tests.bench.control",)),
    Proof("noise", ("tests.ptz.noise",)),
    Proof("pelco_peer", ("tests.ptz.differential",)),
    Proof("index", ("tests.bench.index",)),
    Proof("analyse", ("tests.bench.analyse",)),
    Proof("analyse.score", ("tests.analyse.score", "--footage")),
    Proof("analyse.score.keys", ("tests.analyse.score", "--footage", "--keys")),
    Proof("analyse.night", ("tests.analyse.night",), timeout_s=3600),
    Proof("onvif", ("tests.bench.onvif",)),
    Proof("onvif_peers", ("tests.app.onvif_peers", "--install")),
    Proof("encode", ("tests.bench.encode",)),
    Proof("overlay", ("tests.bench.overlay",)),
    Proof("image", ("images.image", "generic-arm64", "--twice"), timeout_s=3600),
    Proof("image.boot", ("hil.image",), timeout_s=5400),  # of the image that was made just now
)


def prove(proof: Proof) -> dict[str, Any]:
    """Run one proof; a result that never came is one with ``met`` false and an ``error``."""
    command = [sys.executable, "-m", *proof.command, "--json"]
    started, notes = time.time(), list[str]()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=proof.timeout_s,
            check=False,
        )
        notes = [line[6:] for line in done.stdout.splitlines() if line.startswith("note: ")]
        result = last_object(done.stdout) or {
            "name": proof.name,
            "met": False,
            "error": f"no result, exit code {done.returncode}",
        }
    except subprocess.TimeoutExpired:
        result = {"name": proof.name, "met": False, "error": f"no end in {proof.timeout_s:g} s"}
    return {
        **result,
        "notes": notes,
        "command": " ".join(("python", "-m", *proof.command, "--json")),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "took_s": round(time.time() - started, 1),
    }


def last_object(output: str) -> dict[str, Any] | None:
    """Return the JSON object in the last line that is not empty, None if there is none."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and "met" in found else None


def main(words: list[str]) -> int:
    """Run the proofs named in `words`, or all of them, and say which were met."""
    chosen = [proof for proof in PROOFS if not words or proof.name in words]
    unknown = set(words) - {proof.name for proof in PROOFS}
    if unknown:
        print(f"no such proof: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    REPORTS.mkdir(exist_ok=True)
    failed = []
    for proof in chosen:
        print(f"{proof.name} ...", flush=True)
        result = prove(proof)
        path = REPORTS / f"{proof.name}.json"
        text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
        path.write_text(f"{text}\n", encoding="utf-8")
        verdict = "met" if result["met"] else f"NOT MET {result.get('error', '')}".rstrip()
        print(
            f"{proof.name}: {verdict}, {result['took_s']} s, {path.relative_to(ROOT)}", flush=True
        )
        if not result["met"]:
            failed.append(proof.name)
            for key, limit in result.get("limits", {}).items():
                print(f"  {key}: {result['figures'].get(key)} {limit}", flush=True)
    print(f"{len(chosen) - len(failed)} of {len(chosen)} met", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
