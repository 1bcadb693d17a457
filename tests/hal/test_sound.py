"""Microphones as the kernel lists them."""

from nvr.hal.linux_sound import LinuxSound
from nvr.media.device import SoundDevice

CARDS = """\
 0 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi
                      vc4-hdmi
 1 [Webcam         ]: USB-Audio - HD Webcam
                      Maker HD Webcam at usb-0000:01:00.0-1.2, high speed
 3 [Loopback       ]: Loopback - Loopback
                      Loopback 1
"""
PCM = """\
00-00: MAI PCM i2s-hifi-0 : MAI PCM i2s-hifi-0 : playback 1
01-00: USB Audio : USB Audio : capture 1
03-00: Loopback PCM : Loopback PCM : playback 8 : capture 8
03-01: Loopback PCM : Loopback PCM : playback 8 : capture 8
"""


def test_what_records_is_listed_by_the_name_of_its_card(tmp_path):
    (tmp_path / "cards").write_text(CARDS)
    (tmp_path / "pcm").write_text(PCM)
    assert LinuxSound(tmp_path).devices() == [
        SoundDevice("CARD=Webcam,DEV=0", "HD Webcam: USB Audio"),
        SoundDevice("CARD=Loopback,DEV=0", "Loopback: Loopback PCM"),
        SoundDevice("CARD=Loopback,DEV=1", "Loopback: Loopback PCM"),
    ]


def test_a_box_without_sound_has_none(tmp_path):
    assert LinuxSound(tmp_path / "asound").devices() == []
    (tmp_path / "cards").write_text("--- no soundcards ---\n")
    (tmp_path / "pcm").write_bytes(b"\xff\n00-00\n")
    assert LinuxSound(tmp_path).devices() == []
