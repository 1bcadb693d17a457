"""The page's own codecs and rules, run in the browser that will run them."""

import base64
import io
import json
import math
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.async_api import Page

VECTORS = Path(__file__).parents[2] / "ptz/joystick_vectors.json"
pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

UNPACK = """async (packed) => {
  const {unpack, BadPack} = await import("/js/msgpack.js");
  return packed.map((text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    try { return {value: unpack(bytes)}; } catch (error) {
      return {bad: error instanceof BadPack};
    }
  });
}"""
PACK = """async (values) => {
  const {pack} = await import("/js/msgpack.js");
  return values.map((value) => btoa(String.fromCharCode(...pack(value))));
}"""

LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
)
VALUES = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=30,
)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def samples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    found: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


def same(one: Any, two: Any) -> bool:
    if isinstance(one, list):
        return (
            isinstance(two, list)
            and len(one) == len(two)
            and all(same(a, b) for a, b in zip(one, two, strict=True))
        )
    if isinstance(one, dict):
        return (
            isinstance(two, dict)
            and one.keys() == two.keys()
            and all(same(one[key], two[key]) for key in one)
        )
    if isinstance(one, bool) or one is None or isinstance(one, str):
        return one == two and type(one) is type(two)
    return math.isclose(one, two, rel_tol=0, abs_tol=0) or one == two


async def test_messages_from_the_box_are_read_as_they_were_sent(modules: Page) -> None:
    values = samples(VALUES, 120)
    answers = await modules.evaluate(UNPACK, [b64(msgpack.packb(value)) for value in values])
    for value, answer in zip(values, answers, strict=True):
        assert same(value, answer.get("value")), value


async def test_messages_to_the_box_are_read_as_they_were_meant(modules: Page) -> None:
    values = samples(VALUES, 120)
    values += [0, -0.0, 127, 128, 255, 256, 65535, 65536, 2**32, -1, -32, -33, -129, -(2**31) - 1]
    values += ["x" * n for n in (31, 32, 255, 256, 65536)] + [list(range(n)) for n in (15, 16, 70)]
    packed = await modules.evaluate(PACK, values)
    for value, text in zip(values, packed, strict=True):
        assert same(value, msgpack.unpackb(base64.b64decode(text))), value


async def test_a_message_cut_anywhere_is_refused(modules: Page) -> None:
    whole = msgpack.packb({"op": "state", "list": [1, 2.5, "临江路口", None], "deep": {"a": b"xy"}})
    answers = await modules.evaluate(UNPACK, [b64(whole[:cut]) for cut in range(len(whole))])
    assert answers == [{"bad": True}] * len(whole)


async def test_noise_never_breaks_the_reader(modules: Page) -> None:
    rng = random.Random(7)
    noise = [rng.randbytes(rng.randint(0, 60)) for _ in range(400)]
    noise += [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 5000,
        b"\xc1",
        b"\xa1\xff",
    ]
    answers = await modules.evaluate(UNPACK, [b64(data) for data in noise])
    assert all("value" in answer or answer["bad"] for answer in answers)


async def test_the_stick_rests_in_its_dead_zone_and_keeps_its_direction(modules: Page) -> None:
    got = await modules.evaluate(
        """async () => {
          const {shape} = await import("/js/stick.js");
          return [shape(0.05, 0.05), shape(1, 0), shape(0, -1), shape(0.56, 0), shape(0.7, 0.7)];
        }"""
    )
    assert got[0] == [0, 0]
    assert got[1] == [1, 0]
    assert got[2][1] == -1
    assert got[3][0] == pytest.approx(0.25)
    assert got[4][0] == pytest.approx(got[4][1])
    assert math.hypot(*got[4]) == pytest.approx(((math.hypot(0.7, 0.7) - 0.12) / 0.88) ** 2)


MOTION = """async (script) => {
  const {Motion} = await import("/js/motion.js");
  const sent = [];
  const box = Object.assign(new EventTarget(), {
    backlog: 0, link: "up",
    send: (m) => { sent.push({...m, at: performance.now()}); return true; }});
  localStorage.setItem("nvr.speed", "1");
  const motion = new Motion(box);
  motion.aim("gate");
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  await new Function("motion", "box", "sent", "wait", `return (async () => {${script}})()`)(
    motion, box, sent, wait);
  motion.end();
  return {sent, blocked: motion.blocked};
}"""


async def test_a_held_stick_is_repeated_and_a_released_one_stops_at_once(modules: Page) -> None:
    got = await modules.evaluate(
        MOTION,
        """motion.input("stick", [1, 0, 0]); await wait(700);
           motion.input("stick", [0, 0, 0]); await wait(300);""",
    )
    sent = got["sent"]
    assert [message["op"] for message in sent] == ["move"] * len(sent)
    assert 4 <= len(sent) <= 8
    gaps = [b["at"] - a["at"] for a, b in pairwise(sent)]
    assert max(gaps) < 400
    assert sent[-1]["v"] == [0, 0, 0]
    assert [message["n"] for message in sent] == sorted({message["n"] for message in sent})


async def test_a_flood_of_changes_leaves_at_most_twenty_a_second(modules: Page) -> None:
    got = await modules.evaluate(
        MOTION,
        """for (let i = 1; i <= 200; i += 1) {
             motion.input("stick", [i / 200, 0, 0]); await wait(4);
           }
           motion.input("stick", [0, 0, 0]); await wait(120);""",
    )
    moves = [message for message in got["sent"] if message["v"] != [0, 0, 0]]
    span_s = (moves[-1]["at"] - moves[0]["at"]) / 1000
    assert len(moves) <= 20 * span_s + 2
    assert got["sent"][-1]["v"] == [0, 0, 0]


async def test_after_blur_the_stick_must_pass_neutral(modules: Page) -> None:
    got = await modules.evaluate(
        MOTION,
        """motion.input("stick", [0, 1, 0]); await wait(60);
           window.dispatchEvent(new Event("blur")); const stopped = sent.length;
           motion.input("stick", [0, 0.9, 0]); await wait(200);
           sent.push({op: "mark"});
           motion.input("stick", [0, 0, 0]); await wait(60);
           motion.input("stick", [0, 0.5, 0]); await wait(60);
           motion.input("stick", [0, 0, 0]);""",
    )
    ops = [message["op"] for message in got["sent"]]
    held = ops[ops.index("stop") : ops.index("mark")]
    assert held == ["stop"], "nothing moves while the stick is still held"
    after = got["sent"][ops.index("mark") + 1 :]
    assert after[0]["v"] == [0, 0, 0]
    assert any(message["v"][1] > 0 for message in after)
    assert not got["blocked"]


async def test_a_full_line_holds_motion_back_but_never_a_stop(modules: Page) -> None:
    got = await modules.evaluate(
        MOTION,
        """motion.input("stick", [1, 0, 0]); await wait(60); const before = sent.length;
           box.backlog = 5000; await wait(400); sent.push({op: "mark"});
           motion.stop();""",
    )
    ops = [message["op"] for message in got["sent"]]
    assert ops[ops.index("mark") + 1 :] == ["stop"]
    assert ops.index("mark") <= 3


async def test_a_joystick_is_understood_as_the_box_understands_it(modules: Page) -> None:
    vectors = json.loads(VECTORS.read_text())
    got = await modules.evaluate(
        """async (vectors) => {
          const {lens, speeds, STEPS} = await import("/js/profile.js");
          return vectors.map(({axes, buttons, profile, head_zoom}) => [
            speeds(axes, buttons, profile, head_zoom).map((speed) => Math.round(speed * STEPS)),
            lens(buttons, profile)]);
        }""",
        vectors,
    )
    assert got == [[case["steps"], case["lens"]] for case in vectors]


async def test_a_lesson_finds_axes_ends_and_ways_and_passes_over_what_trembles(
    modules: Page,
) -> None:
    got = await modules.evaluate(
        """async () => {
          const {Lesson, plain} = await import("/js/profile.js");
          const lesson = new Lesson(plain("stick", false));
          const asked = [];
          let now = 0;
          const hold = (axes, for_ms = 600) => {
            for (const end = now + for_ms; now < end; now += 33) lesson.feed(axes, now);
            asked.push(lesson.asks);
          };
          hold([0.02, -0.01, 0, 0.5]); lesson.next([0.02, -0.01, 0, 0.5]);
          hold([0.02, -0.01, 0.9, 0.5], 200);  // brushed, not meant
          hold([0.02, -0.01, 0, 0.5]);
          hold([0.02, -0.01, 0.95, 0.5]);      // right is the third axis
          hold([0.02, -0.8, 0.4, 0.5]);        // up says less, while the first is still off
          lesson.next([0.02, -0.01, 0, 0.5]);  // no twist
          hold([0.02, 0.7, -0.9, 0.5]);
          lesson.next([0.02, -0.01, 0, 0.5]);
          return [asked, lesson.asks, lesson.profile];
        }"""
    )
    assert got[0] == ["rest", "pan", "pan", "tilt", "zoom", "ends"]
    assert got[1] == "done"
    assert got[2]["pan"] == {"axis": 2, "invert": False, "centre": 0, "least": -0.9, "most": 0.95}
    assert got[2]["tilt"] == {
        "axis": 1, "invert": True, "centre": -0.01, "least": -0.8, "most": 0.7,
    }  # fmt: skip
    assert got[2]["zoom"] is None


async def test_typed_times_are_read_as_local_time(modules: Page) -> None:
    got = await modules.evaluate(
        """async () => {
          const {parseTime, stamp, clock} = await import("/js/i18n.js");
          const near = Date.UTC(2026, 10, 23, 4, 0, 0) * 1000;
          const back = (text) => {
            const t = parseTime(text, near);
            return t && `${stamp(t)} ${clock(t, true)}`;
          };
          const typed = ["14:02:36", "2026-11-22 08:05", " 9:07:01.48 ", "25:00", "14:61", "x", ""];
          return typed.map(back);
        }"""
    )
    assert got == [
        "2026-11-23 14:02:36 14:02:36.000",
        "2026-11-22 08:05:00 08:05:00.000",
        "2026-11-23 09:07:01 09:07:01.480",
        None,
        None,
        None,
        None,
    ]


async def test_a_fragment_is_taken_apart_as_it_was_written(modules: Page) -> None:
    out = io.BytesIO()
    options = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
    with av.open(out, "w", format="mp4", options=options) as muxer:
        stream = muxer.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(12):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            muxer.mux(stream.encode(frame))
        muxer.mux(stream.encode(None))
    with av.open(io.BytesIO(out.getvalue())) as demuxer:
        written = [
            (packet.size, float(packet.pts * packet.time_base))
            for packet in demuxer.demux()
            if packet.size
        ]
    got = await modules.evaluate(
        """async (text) => {
          const {tracks, samples} = await import("/js/mp4.js");
          const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          const track = tracks(bytes)[0];
          const found = samples(bytes, track);
          for (let end = 0; end < bytes.length; end += 7) samples(bytes.subarray(0, end), track);
          return {kind: track.kind, avcc: [...track.description.subarray(0, 1)],
            samples: found.map((s) => [s.size, s.time / track.timescale]),
            inside: found.every((s) => s.at > 0 && s.at + s.size <= bytes.length)};
        }""",
        b64(out.getvalue()),
    )
    assert got["kind"] == "video"
    assert got["avcc"] == [1]
    assert got["inside"]
    start = min(time for _, time in written)
    assert [size for size, _ in got["samples"]] == [size for size, _ in written]
    shown = [time for _, time in got["samples"]]
    assert [round(t - min(shown), 3) for t in shown] == [round(t - start, 3) for _, t in written]


async def test_a_replay_that_was_closed_leaves_the_picture_to_the_next(modules: Page) -> None:
    taken = await modules.evaluate(
        """async () => {
          const { Replay } = await import("/js/replay.js");
          const video = document.createElement("video");
          let arrive;
          const late = new Promise((resolve) => { arrive = resolve; });
          const gop = { from_us: 1e15, to_us: 1e15 + 1e6, run: "1", first_s: 0, times_us: [1e15] };
          const archive = { runs: [], gop: async () => gop, init: () => late };
          const replay = new Replay(video, document.createElement("canvas"), archive);
          const sought = replay.seek(1e15);
          await new Promise((resolve) => setTimeout(resolve, 20));
          replay.close();
          arrive({ mime: 'video/mp4; codecs="avc1.42E01E"', bytes: new Uint8Array() });
          await Promise.race([sought, new Promise((resolve) => setTimeout(resolve, 300))]);
          return video.src;
        }"""
    )
    assert taken == ""


async def test_what_is_shown_anew_keeps_the_focus_and_the_finger(modules: Page) -> None:
    """Of what is the same by tag, words and key; an element that is another one goes."""
    await modules.evaluate(
        """async () => {
          const {el, show} = await import("/js/dom.js");
          const app = document.querySelector("#app");
          globalThis.done = [];
          const does = (key, words, what) => words && el("button", {
            key, type: "button", on: {click: () => done.push(what)},
          }, words);
          globalThis.draw = (rows) => show(app, ...rows.map(([name, text, act]) => el("p", {
            key: name, data: {name},
          }, el("b", {style: {width: `${text.length}px`}}, text),
          does("switch", act, `${name} ${act}`), does(null, "look", `${name} ${text}`))));
          draw([["a", "one", "on"], ["b", "two", "on"]]);
        }"""
    )
    row = modules.locator("[data-name=b]")
    await row.get_by_text("look").focus()
    await modules.evaluate("globalThis.was = document.activeElement")
    # Another row comes before it, its words change: the button is the same, and does the new thing.
    rows = "['c', 'new', ''], ['a', 'one', 'on'], ['b', 'second', "
    await modules.evaluate(f"draw([{rows}'on']])")
    assert await modules.evaluate("document.activeElement === was")
    assert [await one.inner_text() for one in await modules.locator("p").all()] == [
        "newlook", "oneonlook", "secondonlook",
    ]  # fmt: skip
    assert await row.locator("b").evaluate("it => it.style.width") == "6px"
    await modules.keyboard.press("Enter")
    # What is switched stays under the finger, which has gone down on one and comes up on the other.
    await row.get_by_text("on", exact=True).hover()
    await modules.mouse.down()
    await modules.evaluate(f"draw([{rows}'off']])")
    await modules.mouse.up()
    assert await modules.evaluate("done") == ["b second", "b off"]
    # What says something else is another button: nobody presses that by accident.
    await row.get_by_text("look").focus()
    await modules.evaluate("draw([['d', 'other', 'off']])")
    assert await modules.evaluate("document.activeElement === document.body")


async def test_a_dialog_keeps_the_focus_of_what_it_no_longer_shows(modules: Page) -> None:
    closed = await modules.evaluate(
        """async () => {
          const {el, show} = await import("/js/dom.js");
          const {button, dialog} = await import("/js/ui.js");
          let closed = false;
          const body = el("div", {}, button("", "begin", () => {}));
          dialog({title: "t", body: [body], actions: [], onClose: () => (closed = true)});
          body.firstChild.focus();
          show(body, el("p", {}, "busy"));
          const key = new KeyboardEvent("keydown", {key: "Escape", bubbles: true});
          document.activeElement.dispatchEvent(key);
          return closed;
        }"""
    )
    assert closed
