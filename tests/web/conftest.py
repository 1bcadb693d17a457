import pytest

from nvr.base.clock import FakeClock
from tests.media import clip
from tests.web import box as boxes


@pytest.fixture
async def box(tmp_path):
    """A claimed box over TLS with three cameras; nobody has an account but ``owner``."""
    async with boxes.running(tmp_path) as box:
        for name in ("gate", "yard", "dock"):
            box.parts.cameras.put(name, name.title())
        await box.parts.claim.claim(box.parts.claim.code(), "owner", boxes.PASSWORD)
        yield box


@pytest.fixture
async def still(tmp_path):
    """The same, plain and on a clock that stands still."""
    clock = FakeClock()
    async with boxes.running(tmp_path, tls=False, clock=clock) as box:
        box.parts.cameras.put("gate", "Gate")
        await box.parts.claim.claim(box.parts.claim.code(), "owner", boxes.PASSWORD)
        yield box


@pytest.fixture
async def fresh(tmp_path):
    """A box nobody has claimed."""
    async with boxes.running(tmp_path) as box:
        box.parts.cameras.put("gate", "Gate")
        yield box


@pytest.fixture(scope="session")
def video():
    return clip.video(frames=50, gop=25, width=320, height=180)
