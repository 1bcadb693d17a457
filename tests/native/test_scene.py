"""The kernel that looks at pictures: any pixels and sizes, and what it must and must not see."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvr._native import Scene

NATIVE = Path(__file__).parent.parent.parent / "native"
CELLS = 3600
WIDE, TALL = 320, 180
MOVING, MEAN, SAME, LIKE = 1, 4, 8, 13


def texture(seed: int = 1, size: tuple[int, int] = (WIDE, TALL)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 200, (size[1] // 10 + 1, size[0] // 10 + 1))
    return np.repeat(np.repeat(coarse, 10, 0), 10, 1)[: size[1], : size[0]].astype(np.uint8)


def look(scene: Scene, picture: np.ndarray, flags: int = 0, dt_s: float = 0.2) -> tuple:
    tall, wide = picture.shape
    return scene.look(picture.tobytes(), wide, (wide, tall), dt_s, flags)


def settled(picture: np.ndarray) -> Scene:
    scene = Scene()
    for _ in range(60):
        look(scene, picture, 1)
    return scene


def test_what_moves_is_seen_where_it_is() -> None:
    picture = texture()
    scene = settled(picture)
    assert look(scene, picture)[MOVING] == 0
    picture[80:120, 160:200] = 20
    seen = look(scene, picture)
    cells = np.frombuffer(scene.map(), np.uint8).reshape(45, 80)
    assert seen[0][0] == seen[MOVING] == cells.sum()
    inside = cells[20:30, 40:50].sum()
    assert inside > 80
    assert cells.sum() == inside


def test_zones_and_masks_count_their_own_cells() -> None:
    picture = texture()
    scene = settled(picture)
    sense = np.full((45, 80), 5, np.uint8)
    sense[:, 40:] = 0
    zones = np.zeros((45, 80), np.uint8)
    zones[:22], zones[22:] = 1, 2 | 128
    scene.mask(sense.tobytes(), zones.tobytes())
    picture[40:140, 100:220] = 235
    zones_seen = look(scene, picture)[0]
    assert zones_seen[0] > 50
    assert zones_seen[1] == zones_seen[7] > 50
    assert zones_seen[2] == 0
    cells = np.frombuffer(scene.map(), np.uint8).reshape(45, 80)
    assert not cells[:, 40:].any()


@pytest.mark.parametrize("gain", [0.6, 0.8, 1.15])
def test_light_is_no_motion(gain: float) -> None:
    picture = texture()
    scene = settled(picture)
    lit = (picture * gain).astype(np.uint8)
    assert all(look(scene, lit)[MOVING] == 0 for _ in range(20))
    lit[80:120, 160:200] = 16
    assert look(scene, lit)[MOVING] > 50


def test_what_stands_still_moves_no_more() -> None:
    picture = texture()
    scene = settled(picture)
    picture[80:120, 160:200] = 20
    moving = [look(scene, picture)[MOVING] for _ in range(20)]
    assert moving[0] > 50
    assert moving[-1] == 0


def test_the_same_picture_is_known_bit_for_bit() -> None:
    picture = texture()
    scene = settled(picture)
    assert look(scene, picture)[SAME] == 1000
    picture[88, 160] ^= 1
    assert look(scene, picture)[SAME] == 999


def test_what_was_learned_is_kept_and_taken_back() -> None:
    scene = settled(texture())
    memory = scene.keep()
    other = Scene()
    other.recall(memory)
    assert other.keep() == memory
    assert look(other, np.roll(texture(2), (5, 5), (0, 1)), dt_s=1.0)[LIKE] < 300  # like
    other.recall(memory)
    assert look(other, texture(), dt_s=1.0)[LIKE] > 950
    with pytest.raises(ValueError, match="memory"):
        other.recall(memory[:-1])
    with pytest.raises(ValueError, match="memory"):
        other.recall(b"?" + memory[1:])


@given(st.integers(0, 1 << 32), st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_any_memory_may_be_taken_back(seed: int, flags: int) -> None:
    scene = Scene()
    scene.recall(b"scn1" + np.random.default_rng(seed).bytes(4 + 4 * CELLS))
    for n in range(6):
        seen = look(scene, texture(n), flags, 1.0)
        assert all(-(1 << 31) <= value < 1 << 31 for value in seen[1:])


@pytest.mark.parametrize("size", [(160, 90), (161, 91), (352, 288), (1279, 719), (3840, 2160)])
def test_any_size_is_looked_at(size: tuple[int, int]) -> None:
    scene = Scene()
    picture = texture(size=size)
    for _ in range(30):
        seen = look(scene, picture)
    assert abs(seen[MEAN] / 16 - picture.mean()) < 3
    assert seen[MOVING] == 0


@pytest.mark.parametrize(
    ("length", "stride", "size"),
    [
        (WIDE * TALL - 1, WIDE, (WIDE, TALL)),
        (WIDE * TALL, WIDE - 1, (WIDE, TALL)),
        (WIDE * TALL, WIDE, (159, 90)),
        (WIDE * TALL, WIDE, (WIDE, 8193)),
        (WIDE * TALL, WIDE, (-1, -1)),
    ],
)
def test_a_plane_that_does_not_fit_is_refused(length: int, stride: int, size: tuple) -> None:
    with pytest.raises(ValueError, match="plane"):
        Scene().look(bytes(length), stride, size, 0.2, 0)


def test_masks_have_as_many_cells_as_the_grid() -> None:
    with pytest.raises(ValueError, match="3600"):
        Scene().mask(bytes(CELLS), bytes(CELLS - 1))


def test_no_pixels_break_it_under_the_sanitizers(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    assert compiler, "no C compiler, which building the package needs too"
    program = tmp_path / "scene_fuzz"
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
    subprocess.run(
        [
            compiler, *flags, "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
            f"-I{NATIVE}", NATIVE / "fuzz/scene_fuzz.c", NATIVE / "scene.c", "-lm", "-o", program,
        ],
        check=True,
    )  # fmt: skip
    done = subprocess.run(  # noqa: PLW1510 - the return code is what is tested
        [program, "1", "25"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout == "ok 25\n"
