import subprocess
import sys

SCRIPT = """
import gc, sys
import nvr.app.box
from nvr.base.interpreter import keep_prompt

keep_prompt()
ring = []
ring.append(ring)
del ring
print(sys.getswitchinterval(), gc.get_freeze_count(), len(gc.get_objects()), gc.collect())
"""


def test_a_full_collection_walks_only_what_was_made_since():
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True
    ).stdout.split()
    switch_s, frozen, walked, collected = map(float, told)
    assert switch_s <= 0.001
    assert frozen > 50_000
    assert walked < frozen / 50
    assert collected >= 1  # rubbish of later is still found
