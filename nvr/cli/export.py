"""`nvr export`: a span of some cameras as MP4 files or program streams, or as evidence."""

import argparse
import os
import socket
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from nvr.app.captions import FILE, CaptionLog
from nvr.app.keyring import SIGN, Keyring
from nvr.app.masks import FILE as MASKS
from nvr.app.masks import MaskLog
from nvr.auth.audit import about
from nvr.base.clock import SystemClock
from nvr.base.errors import Misconfigured
from nvr.cli import archive, console, verify, where
from nvr.cli.send import send
from nvr.config import load
from nvr.export import job
from nvr.export.burned import lacking, worth_of
from nvr.export.evidence import Asked, Maker, evidence, size_bytes
from nvr.export.form import Copying, burned_bytes
from nvr.export.job import Exported
from nvr.export.room import check_room
from nvr.hal.linux_clock import KernelClock
from nvr.media.camera import CaptionAt
from nvr.media.mask import Masks
from nvr.media.name import WHICH, camera_of, stream_of

_DESCRIPTION = """\
Writes an MP4 that any player opens, and FILE.json with its SHA-256, the times really covered and
the gaps. Works while the recorder is running, and on the disk of another box (--volume). The file
begins at the key frame before --from. If the camera's codecs changed on the way, further files
FILE-2, FILE-3 are written; of several cameras, FILE-NAME each, of both streams FILE-sub too.

With --form ps, or where FILE ends in .mpg, it is an MPEG program stream, for platforms of GB/T
28181 and the players that came with them; it cannot say of which camera and when it is, so keep
FILE.json with it.

With --captions the camera's caption as it stood then, or else its title, and the time of each
picture are burned into an MP4. It is encoded anew, which takes a while and makes it no evidence;
FILE.json and the file itself say so. A picture that carries a caption already gets another one.

With --masks what is masked of a camera, now and at any time of the span, is hidden in an MP4: also
encoded anew and no evidence. Without it an export from the console shows what is under the masks;
on the page they are laid over unless somebody with the right to see it says otherwise.

With --usb it is written onto a USB stick, into a directory nvr-export-TIME under the name of FILE,
read back from there, and the stick is unmounted. On FAT32 a video is split before 4 GiB. With
--store it goes into the S3-compatible store of nvr.toml, and is tried again while that is away.

With --evidence, or where FILE ends in .zip, it is a zip with the recorded parts byte for byte, the
signatures over them, the log of who moved the cameras, a copy as MP4, and a program that checks all
of it; `nvr verify` does the same. It is signed if the box's key is in the data directory.
"""
_EXAMPLES = """\
examples:
  nvr export --camera gate --from 2026-03-01T08:00 --to 2026-03-01T08:20 gate.mp4
  nvr export --camera gate --camera yard --from 2026-03-01T08:00 --to 2026-03-01T08:20 case-114.zip
  nvr export --camera gate --from 2026-03-01T08:00 --to 2026-03-01T08:20 gate.mpg
  nvr export --masks --camera gate --from 2026-03-01T08:00 --to 2026-03-01T08:20 gate.mp4
  nvr export --usb --camera gate --from 2026-03-01T08:00 --to 2026-03-01T08:20 gate.mp4
"""

_FORMS = {".zip": "evidence", ".mpg": "ps", ".mpeg": "ps", ".ps": "ps"}


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = parsers.add_parser(
        "export",
        help="copy a span of the archive into MP4 files, program streams or an evidence zip",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where.add(parser)
    where.add_recovery(parser)
    parser.add_argument(
        "--camera", required=True, action="append", metavar="NAME",
        help="name of the camera; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--stream", choices=(*WHICH, "both"), default="main",
        help="which stream of each camera (default: main)",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="begin", type=where.wall_us, required=True, metavar="TIME",
        help="2026-03-01T08:00:00 in this machine's time zone, or with Z or +08:00 at the end",
    )  # fmt: skip
    parser.add_argument(
        "--to", dest="end", type=where.wall_us, required=True, metavar="TIME", help="likewise"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--form", choices=("mp4", "ps", "fragmented", "evidence"),
        help="MP4; an MPEG program stream as GB/T 28181 has it; fragmented MP4, made in one pass, "
        "but some players do not seek in it; a zip that proves itself (default: as FILE ends, "
        ".zip for evidence, .mpg or .ps for a program stream, and MP4 otherwise)",
    )  # fmt: skip
    for short in ("evidence", "fragmented"):
        form.add_argument(
            f"--{short}", dest="form", action="store_const", const=short,
            help=f"the same as --form {short}",
        )  # fmt: skip
    parser.add_argument(
        "--captions", action="store_true",
        help="burn the caption and the time into the pictures of an MP4: encoded anew, no evidence",
    )  # fmt: skip
    parser.add_argument(
        "--masks", action="store_true",
        help="hide what is masked in the pictures of an MP4: encoded anew, no evidence; not with "
        "--volume, for a disk does not know what is masked",
    )  # fmt: skip
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--usb", action="store_true", help="onto the USB stick that is plugged in")
    to.add_argument(
        "--stick", metavar="NAME", help="onto this one of several, as `nvr target` names them"
    )
    to.add_argument("--store", action="store_true", help="into the store of [export.s3]")
    verify.add_ca(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="what to write; must not exist")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> int:
    """Export."""
    chosen.form = chosen.form or _FORMS.get(chosen.file.suffix.lower(), "mp4")
    _check(chosen)
    cameras = list(dict.fromkeys(chosen.camera))
    of = WHICH if chosen.stream == "both" else (chosen.stream,)
    streams = tuple(stream_of(camera, which) for camera in cameras for which in of)
    asked = Asked(streams, chosen.begin, chosen.end, console.who())
    with archive.opened(chosen, where.keys(chosen)) as found:
        size = size_bytes(found, streams, chosen.begin, chosen.end)
        captions, masks = _captions(chosen, cameras), _masks(chosen, cameras)
        burned = chosen.captions or any(masks.values())
        if worth := worth_of(captions=chosen.captions, masks=any(masks.values())):
            print(worth, file=sys.stderr)
        if burned:
            size = sum(burned_bytes(found, stream, chosen.begin, chosen.end) for stream in streams)
        elif chosen.form != "evidence":
            size //= 2
        maker = replace(_maker(chosen, cameras), cas=verify.cas(chosen))
        sent = chosen.usb or chosen.stick or chosen.store
        spool = chosen.data if sent else chosen.file.absolute().parent

        def how(stream: str) -> Copying:
            origin = partial(maker.provenance, stream, asked)
            name = camera_of(stream)
            return Copying(chosen.form, origin, captions.get(name), spool, masks.get(name, ()))

        if sent:
            send(chosen, found, asked, maker, how, size, _Progress())
            return 0
        check_room(spool, 2 * size if burned else size)
        if chosen.form == "evidence":
            made = job.write(chosen.file, evidence(found, asked, maker), _Progress())
            whole = Exported(chosen.file, made.size_bytes, made.sha256, chosen.begin, chosen.end)
            _show([whole])
            return 0
        for stream in job.held(found, streams, chosen.begin, chosen.end):
            path = chosen.file.with_stem(job.stem_of(chosen.file.stem, stream, streams))
            span = (chosen.begin, chosen.end)
            _show(job.export(found, stream, *span, path, _Progress(), how(stream)))
    return 0


def _check(chosen: argparse.Namespace) -> None:
    """Refuse what does not go together."""
    if chosen.end <= chosen.begin:
        raise Misconfigured("export.times", "--to must be after --from")
    if chosen.captions and chosen.form != "mp4":
        raise Misconfigured("export.captions", f"captions cannot be burned into {chosen.form}")
    if chosen.masks and chosen.form != "mp4":
        raise Misconfigured("export.masks", f"masks cannot be burned into {chosen.form}")
    if chosen.masks and chosen.volume is not None:
        raise Misconfigured("export.masks", "what is masked is kept beside nvr.toml: use --data")


def _maker(chosen: argparse.Namespace, cameras: list[str]) -> Maker:
    """Return the box that this is, or just this program if the disk is another box's."""
    clock, kernel = SystemClock(), KernelClock()
    if chosen.volume is not None:
        return Maker(socket.gethostname(), clock.wall_us(), kernel.state(), kernel.uncertainty_ms())
    config = load.read(chosen.data / "nvr.toml")
    state = chosen.data / "state.db"
    ring = Keyring(chosen.data, make=False) if (chosen.data / SIGN).exists() else None
    span = chosen.begin, chosen.end
    return Maker(
        config.name,
        clock.wall_us(),
        kernel.state(),
        kernel.uncertainty_ms(),
        ring.signer if ring else None,
        ring.signer.public if ring else None,
        {camera.name: camera.title or camera.name for camera in config.camera},
        partial(about, state, cameras, *span, motion=False) if state.exists() else None,
        "all",
    )


def _captions(chosen: argparse.Namespace, cameras: list[str]) -> dict[str, CaptionAt]:
    """Return what is burned into which camera's pictures; says what the font lacks."""
    if not chosen.captions:
        return {}
    path = chosen.data / "nvr.toml"
    known = chosen.volume is None and path.exists()
    configs = {one.name: one for one in load.read(path).camera} if known else {}
    log = CaptionLog(path.with_name(FILE) if known else Path(os.devnull))
    found = {name: log.of(name, configs.get(name)) for name in cameras}
    if missing := lacking(found.values(), chosen.begin, chosen.end):
        print(f"the font lacks {missing}", file=sys.stderr)
    return found


def _masks(chosen: argparse.Namespace, cameras: list[str]) -> dict[str, Masks]:
    """Return what is hidden of which camera; says of which nothing is."""
    if not chosen.masks:
        return {}
    path = chosen.data / "nvr.toml"
    configs = {one.name: one for one in load.read(path).camera} if path.exists() else {}
    log = MaskLog(chosen.data / MASKS)
    span = chosen.begin, chosen.end
    found = {name: log.hidden(configs.get(name), name, span) for name in cameras}
    if bare := ", ".join(name for name, masks in found.items() if not masks):
        print(f"nothing is masked of {bare}", file=sys.stderr)
    return found


def _show(done: list[Exported]) -> None:
    for each in done:
        begin, end = (
            where.local(at).isoformat(timespec="milliseconds") for at in (each.from_us, each.to_us)
        )
        print(f"{each.path}  {each.size_bytes} bytes  {begin} to {end}  sha256 {each.sha256}")


class _Progress:
    """One line that is written over, on a terminal only."""

    def __init__(self) -> None:
        self._shown_s = 0.0

    def __call__(self, size_bytes: int, fraction: float) -> None:
        now_s = time.monotonic()
        if not sys.stderr.isatty() or (now_s - self._shown_s < 0.2 and fraction < 1.0):
            return
        self._shown_s = now_s
        end = "\n" if fraction >= 1.0 else ""
        print(f"\r{fraction:4.0%}  {size_bytes / 1e6:.1f} MB", end=end, file=sys.stderr, flush=True)
