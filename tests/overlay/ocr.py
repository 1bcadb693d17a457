"""An optical reader from elsewhere reads captions out of decoded pictures.

``python -m tests.overlay.ocr --json``. The reader is RapidOCR (PyPI ``rapidocr-onnxruntime``, whose
models come with it, so that it needs no network); it knows neither our font nor where to look. Each
mode, layout and size is burned into a noisy picture, encoded as H.264, decoded and read; a
character counts as read when it stands in its place in the line that is nearest to what was asked.
"""

import difflib
import sys

import numpy as np
from rapidocr_onnxruntime import RapidOCR

from nvr.media.caption import MODES, expand
from tests.bench.figures import arguments, at_least, progress, report
from tests.overlay.test_read_back import AT_US, BEIJING, LINES, POSITION, SIZES, shown

LIMITS = {
    "read_pct": at_least(98, "Chinese text is right for a reader who never saw our font"),
    "placed_pct": at_least(100, "each line begins where it was asked for"),
}


def main() -> int:
    """Read and report."""
    chosen = arguments(__doc__ or "").parse_args()
    reader = RapidOCR()
    wanted = [expand(line, AT_US, BEIJING).replace(" ", "") for line in LINES]
    read = asked = placed = lines = 0
    notes = []
    for size in SIZES:
        for layout in ("yuv420p", "nv12"):
            for mode in (mode for mode in MODES if mode != "scroll"):
                progress(f"{size[0]}x{size[1]} {layout} {mode}")
                luma = shown(size, layout, mode).astype(np.uint8)
                grow = 3 if size[1] < 500 else 1
                picture = np.repeat(np.repeat(luma, grow, axis=0), grow, axis=1)
                found, _ = reader(np.stack([picture] * 3, axis=2))
                for n, text in enumerate(wanted):
                    row = (POSITION[1] / 1000 * size[1] + (n + 0.5) * size[1] * 0.1) * grow
                    said, box = min(
                        ((said.replace(" ", ""), box) for box, said, _ in found or []),
                        key=lambda one, row=row: abs(one[1][0][1] - row),
                        default=("", None),
                    )
                    same = sum(
                        block.size
                        for block in difflib.SequenceMatcher(None, text, said).get_matching_blocks()
                    )
                    read, asked, lines = read + same, asked + len(text), lines + 1
                    left = POSITION[0] * size[0] / 1000 * grow
                    if box is not None and abs(box[0][0] - left) < 0.05 * size[0] * grow:
                        placed += 1
                    if same < len(text):
                        notes.append(f"{size[1]} {layout} {mode}: {text} was read as {said}")
    figures = {
        "read_pct": 100 * read / asked,
        "placed_pct": 100 * placed / lines,
        "characters": asked,
    }
    return report("ocr", figures, LIMITS, as_json=chosen.json, notes=notes)


if __name__ == "__main__":
    sys.exit(main())
