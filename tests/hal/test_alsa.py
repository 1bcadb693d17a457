"""What a microphone is set up with, held against the kernel's own header."""

import pytest

from nvr.base.errors import Misconfigured, Unavailable
from nvr.hal import alsa
from nvr.hal.linux_pcm import node_of
from tests.hal.header import compiled

SHOWN = {
    "HW_REFINE": "SNDRV_PCM_IOCTL_HW_REFINE",
    "HW_PARAMS": "SNDRV_PCM_IOCTL_HW_PARAMS",
    "SW_PARAMS": "SNDRV_PCM_IOCTL_SW_PARAMS",
    "DELAY": "SNDRV_PCM_IOCTL_DELAY",
    "PREPARE": "SNDRV_PCM_IOCTL_PREPARE",
    "START": "SNDRV_PCM_IOCTL_START",
    "ACCESS": "SNDRV_PCM_HW_PARAM_ACCESS",
    "FORMAT": "SNDRV_PCM_HW_PARAM_FORMAT",
    "CHANNELS": "SNDRV_PCM_HW_PARAM_CHANNELS",
    "RATE": "SNDRV_PCM_HW_PARAM_RATE",
    "PERIOD": "SNDRV_PCM_HW_PARAM_PERIOD_SIZE",
    "BUFFER": "SNDRV_PCM_HW_PARAM_BUFFER_SIZE",
    "INTERLEAVED": "(int)SNDRV_PCM_ACCESS_RW_INTERLEAVED",
    "S16_LE": "(int)SNDRV_PCM_FORMAT_S16_LE",
    "S24_3LE": "(int)SNDRV_PCM_FORMAT_S24_3LE",
    "S32_LE": "(int)SNDRV_PCM_FORMAT_S32_LE",
    "HARDWARE_BYTES": "sizeof(struct snd_pcm_hw_params)",
}
FILLED = """
struct snd_pcm_hw_params h; memset(&h, 0, sizeof h);
memset(h.masks, 255, sizeof h.masks);
for (int i = 0; i < 12; i++) h.intervals[i].max = ~0u;
h.rmask = ~0u;
put("anything", &h, sizeof h);
memset(&h.masks[1], 0, sizeof h.masks[1]); h.masks[1].bits[0] = 1u << 2;
struct snd_interval *r = &h.intervals[SNDRV_PCM_HW_PARAM_RATE - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
r->min = r->max = 48000; r->integer = 1;
put("wished", &h, sizeof h);
struct snd_pcm_sw_params s; memset(&s, 0, sizeof s);
s.period_step = 1; s.avail_min = 1920; s.xfer_align = 1; s.start_threshold = 0xffffffffu;
s.stop_threshold = 48000;
put("software", &s, sizeof s);
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    headers = ("sys/ioctl.h", "sound/asound.h")
    return compiled(tmp_path_factory.mktemp("alsa"), headers, SHOWN, FILLED)


def test_every_size_and_number_is_the_kernels(kernel):
    for name in SHOWN:
        assert getattr(alsa, name) == int(kernel[name], 16), name


def test_wishes_are_the_compilers_bytes(kernel):
    anything = alsa.Hardware.anything()
    assert anything.data.hex() == kernel["anything"]
    wished = anything.only(alsa.FORMAT, alsa.S16_LE).fixed(alsa.RATE, 48_000)
    assert wished.data.hex() == kernel["wished"]
    assert alsa.software(1920, 48_000).hex() == kernel["software"]
    assert anything.data.hex() == kernel["anything"], "a wish is not changed by the next"


def test_what_is_left_is_read_from_them(kernel):
    wished = alsa.Hardware(bytearray.fromhex(kernel["wished"]))
    assert wished.interval(alsa.RATE) == (48_000, 48_000)
    assert wished.interval(alsa.CHANNELS) == (0, alsa.ALL)
    assert wished.has(alsa.FORMAT, alsa.S16_LE)
    assert not wished.has(alsa.FORMAT, alsa.S32_LE)
    assert wished.has(alsa.ACCESS, alsa.INTERLEAVED)


def test_a_microphone_goes_by_the_name_of_its_card(tmp_path):
    (tmp_path / "card2").mkdir()
    (tmp_path / "Camera").symlink_to("card2")
    (tmp_path / "version").touch()
    assert node_of("CARD=Camera,DEV=1", tmp_path, tmp_path).endswith("/pcmC2D1c")
    assert node_of("CARD=2", tmp_path, tmp_path).endswith("/pcmC2D0c")
    for gone in ("CARD=Other,DEV=0", "CARD=7", "CARD=version"):
        with pytest.raises(Unavailable, match="missing"):
            node_of(gone, tmp_path, tmp_path)
    for odd in ("", "hw:0", "CARD=../x", "CARD=..", "CARD=a,DEV=x"):
        with pytest.raises(Misconfigured, match="no_sound"):
            node_of(odd, tmp_path, tmp_path)
