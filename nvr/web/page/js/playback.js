// Playback: one picture, a timeline with a lane a camera, marks and export.

import { Blank } from "./blank.js";
import { StreamChoice, unconverted } from "./choice.js";
import { Company } from "./company.js";
import { attr, el, Part, put } from "./dom.js";
import { Footage } from "./footage.js";
import { clock, day, doubtOf, fetchedOf, parseTime, stamp, t } from "./i18n.js";
import { happenedDialog } from "./happened.js";
import { icon } from "./icons.js";
import { loadLocks, lockMarked } from "./lock.js";
import { overReplay } from "./overlay.js";
import { Replay } from "./replay.js";
import { savePicture } from "./snapshot.js";
import "./export.js";
import { legend } from "./timeline.js";
import { button, iconButton } from "./ui.js";
import { showVolume, volumeSlider } from "./volume.js";
import { Zoom } from "./zoom.js";

const SECOND = 1e6;
const SPANS = [["30d", 30 * 86400], ["24h", 86400], ["1h", 3600], ["10m", 600], ["30s", 30], ["frames", 2]];
const [RATES, REVERSE] = [[0.25, 0.5, 1, 2, 4, 8, 16, 32], [-32, -16, -8, -4, -2, -1]];
const [LANES, PHONE] = [4, matchMedia("(max-width:767px)")];
const soundOn = () => localStorage.getItem("nvr.sound") === "on";
const rateText = (/** @type {number} */ rate) => `${rate < 0 ? "−" : ""}${Math.abs(rate)}×`;

export class Playback extends Part {
  /** @type {any} */
  app;
  camera = "";
  #archives = /** @type {Map<string, Footage>} */ (new Map());
  #locks = /** @type {import("./lock.js").Lock[]} */ ([]);
  #replay = /** @type {Replay | null} */ (null);
  #scrub_us = /** @type {number | null} */ (null);
  #scrubbing = false;
  #rate = 1;
  /** So many cameras beside it are wished. */
  #beside = 0;
  /** Nothing of the camera can be played: not now, and not by going somewhere else. */
  #empty = false;

  start() {
    const { app } = this;
    const allowed = this.#allowed;
    this.className = "playback";
    this.listen(app.box, "roster", () => this.#roster());
    if (!allowed.length) {
      this.replaceChildren(el("div.blank", {}, icon(app.box.cameras.length ? "lock" : "cam", "xl"), el("h2", {}, t(app.box.cameras.length ? "playback.denied" : "empty.cameras")), el("p.sub", {}, t(app.box.cameras.length ? "code.auth.denied" : "empty.cameras.do"))));
      return;
    }
    this.camera = allowed.some((one) => one.name === app.query.cam) ? app.query.cam : allowed[0].name;
    const vertical = PHONE.matches;
    this.#buildPicture();
    this.timeline = el("nvr-timeline", { prop: { vertical, now_us: () => app.box.now_us } });
    this.export = el("nvr-export", { prop: { app, playback: this } });
    this.transport = this.#transport();
    this.deck = el("div.deck", {}, this.picture);
    this.company = new Company(app, this.deck, (name) => this.#archive(name), (name) => this.choose(name));
    this.replaceChildren(this.deck, this.export, el("section.panel.tlp", { "aria-label": t("timeline") }, this.timeline, this.transport, legend()));
    this.#bar();
    this.listen(this.timeline, "seek", (event) => this.#wanted(event.detail));
    this.listen(this.timeline, "view", () => this.#cover());
    this.listen(this.timeline, "marks", () => this.export.draw());
    this.listen(this.timeline, "camera", (event) => this.choose(event.detail));
    this.listen(PHONE, "change", () => app.show());
    this.every(1000, () => this.#tail());
    this.every(200, () => this.draw());
    this.every(100, () => this.company.follow(this.#replay));
    this.every(30_000, () => this.#keeps());
    this.#keeps();
    const back_s = Number(app.query.back ?? 0);
    const asked_us = Number(app.query.t ?? 0);
    const start_us = asked_us || app.box.now_us - (back_s || 60) * SECOND;
    this.timeline.view = { from_us: start_us - 300 * SECOND, to_us: start_us + 300 * SECOND };
    this.timeline.playhead_us = start_us;
    this.#open(start_us, back_s > 0 || app.query.play === "1", asked_us > 0);
  }

  stop() {
    this.#replay?.close();
    this.company?.close();
    for (const archive of this.#archives.values()) archive.release();
    this.replaceChildren();
  }

  // -- parts ----------------------------------------------------------------------------------

  #buildPicture() {
    this.video = el("video", { prop: { muted: true }, playsinline: true, tabindex: "-1" });
    this.canvas = el("canvas", { hidden: true });
    this.nm = el("b", {});
    this.frameNo = el("span.st.r", {});
    this.factor = el("span.st", {});
    this.capt = el("span.st", {});
    this.choice = new StreamChoice(() => this.#restream(), () => this.app.box.camera(this.camera));
    this.blank = new Blank(this.app, (t_us) => this.#wanted({ t_us, done: true }));
    this.picture = el("section.tile.focus.pic", { tabindex: "0" }, this.video, this.canvas,
      (this.over = overReplay(this.app, this.video, this.canvas, this.life, () => [this.camera, this.#replay, this.archive])).node, el("div.nm", {}, this.nm, this.capt, this.choice.chip, this.factor, this.frameNo), this.blank.node,
      el("div.tools", {}, this.choice.select,
        this.beside = iconButton("grid", t("playback.beside"), () => this.#invite()),
        this.sound = Object.assign(iconButton("vol", t("sound"), () => this.#setSound(!soundOn())), { hidden: true }),
        this.loud = volumeSlider(this.video),
        iconButton("snap", t("snapshot"), () => this.snapshot()),
        iconButton("event", t("look.list"), () => this.#happenings(), "only-phone"), iconButton("lock", t("lock.do"), () => this.lock(), "only-phone"),
        iconButton("zoom", t("digitalZoom"), () => this.zoom.toggle()),
        iconButton("full", t("fullScreen"), () => this.app.full())));
    this.zoom = new Zoom(this.picture, [this.video, this.canvas, this.over.node], () => true, () => this.draw());
    this.picture.addEventListener("dblclick", (event) => !event.target.closest("button") && this.app.full());
  }

  #bar() {
    const { app } = this;
    this.chooser = el("select.field-in.chooser", { "aria-label": t("camera"), on: { change: (event) => this.choose(event.target.value) } });
    this.#offer();
    this.time = el("input.time", { "aria-label": t("jump"), title: t("jump.hint"), spellcheck: "false", autocomplete: "off",
      on: {
        focus: () => this.time.select(),
        keydown: (event) => {
          if (event.key === "Escape") this.time.blur();
          if (event.key === "Enter") this.#jump();
        },
        blur: () => this.time.classList.remove("bad"),
      } });
    app.shell.setSlot(
      this.chooser,
      el("label.field-in.timebox", {}, icon("clock"), this.time),
      button("left", t("segment.prev"), () => this.#segment(-1), { cls: "wide-only" }),
      el("button.btn.wide-only", { type: "button", on: { click: () => this.#segment(1) } }, el("span", {}, t("segment.next")), icon("right")),
      button("live", t("goLive"), () => this.app.go("live", { cam: this.camera }), { cls: "q only-desk", kbd: "V" }));
  }

  #transport() {
    this.playButton = el("button.btn.p.play", { type: "button", on: { click: () => this.toggle() } }, icon("play"));
    this.back = iconButton("rev", t("reverse"), () => this.#setRate(-this.#rate, true), "only-desk");
    this.rateSelect = el("select.field-in.rate", { "aria-label": t("speed"), on: { change: (event) => this.#setRate(Number(event.target.value)) } },
      ...[...REVERSE, ...RATES].map((rate) => el("option", { value: String(rate) }, rateText(rate))));
    this.rateSelect.value = "1";
    this.seg = el("div.seg.only-desk", { role: "group", "aria-label": t("tl.span") },
      iconButton("minus", t("tl.out"), () => this.timeline.zoom(2)),
      ...SPANS.map(([name, seconds]) => el("button.btn", { type: "button", data: { span: String(seconds) }, on: { click: () => this.timeline.show(this.timeline.playhead_us, seconds * SECOND) } }, t(`span.${name}`))),
      iconButton("plus", t("tl.in"), () => this.timeline.zoom(0.5)));
    return el("div.tp", {},
      iconButton("back", t("key.back30"), () => this.#by(-30 * SECOND)), iconButton("sl", t("frame.prev"), () => this.#replay?.step(-1)), this.back, this.playButton,
      iconButton("sr", t("frame.next"), () => this.#replay?.step(1)), this.rateSelect,
      iconButton("event", t("look.list"), () => this.#happenings(), "only-desk"), el("span.sp.only-desk", {}),
      button("", t("mark.in"), () => this.mark("in_us"), { kbd: "[", cls: "mk-b" }), button("", t("mark.out"), () => this.mark("out_us"), { kbd: "]", cls: "mk-b" }),
      el("span.only-phone", {}, iconButton("exp", t("export"), () => this.export.send(), "mine")),
      el("span.grow.only-desk", {}), this.seg);
  }

  // -- cameras and ranges ---------------------------------------------------------------------

  get #allowed() {
    return this.app.box.cameras.filter((camera) => camera.rights.includes("playback"));
  }

  /** A camera came, went or changed its name. */
  #roster() {
    if (!this.timeline || !this.#allowed.some((camera) => camera.name === this.camera)) this.app.show();
    else {
      this.#offer();
      this.#lanes();
    }
  }

  #offer() {
    this.chooser.replaceChildren(...this.#allowed.map((camera) => el("option", { value: camera.name }, `${this.app.number(camera.name)} ${camera.title || camera.name}`)));
    this.chooser.value = this.camera;
  }

  #lanes() {
    const { app, timeline } = this;
    const names = this.#allowed.map((one) => one.name);
    const at = Math.max(0, Math.min(names.indexOf(this.camera) - 1, names.length - LANES));
    timeline.lanes = names.slice(at, at + LANES).map((name) => ({ name, title: app.box.camera(name).title || name, archive: this.#archive(name) }));
    timeline.selected = this.camera;
    timeline.style.setProperty("--lanes", String(timeline.lanes.length));
    timeline.relabel();
    put(this.nm, `${app.number(this.camera)} ${app.box.camera(this.camera).title || this.camera}`);
    this.#seat();
  }

  #archive(name) {
    let archive = this.#archives.get(name);
    if (!archive) {
      const until = (stream) => (stream === "sub" ? this.app.box.camera(name)?.sub : this.app.box.camera(name))?.recorded_until_us ?? 0;
      this.#archives.set(name, archive = new Footage(name, until));
      archive.choice = this.choice.value;
      archive.locks = this.#locks.filter((lock) => lock.camera === name);
    }
    return archive;
  }

  /** What is locked; while it cannot be asked, as it was last known. */
  async #keeps() {
    this.#locks = await loadLocks().catch(() => this.#locks);
    for (const [name, archive] of this.#archives) archive.locks = this.#locks.filter((lock) => lock.camera === name);
    this.timeline.draw();
  }

  /** Lock what is marked, else what the timeline shows. */
  lock() {
    lockMarked(this.app, this.camera, this.timeline, () => this.#keeps());
  }

  choose(name) {
    if (name === this.camera) return;
    const at_us = this.#replay?.position_us ?? this.timeline.playhead_us;
    const playing = this.#replay?.playing ?? false;
    this.camera = name;
    this.chooser.value = name;
    this.#open(at_us, playing, true);
  }

  #restream() {
    for (const archive of this.#archives.values()) archive.choice = this.choice.value;
    this.export.draw();
    this.#open(this.#replay?.position_us ?? this.timeline.playhead_us, this.#replay?.playing ?? false, true);
  }

  /** One more camera beside it, then three, then none again. */
  #invite() {
    this.#beside = this.#beside === 0 ? 1 : this.#beside === 1 ? 3 : 0;
    this.#seat();
  }

  /** Of what the timeline shows, the next after it. */
  #seat() {
    const lanes = this.timeline.lanes.map((lane) => lane.name);
    const at = lanes.indexOf(this.camera);
    const others = [...lanes.slice(at + 1), ...lanes.slice(0, at)];
    this.company.set(others.slice(0, this.#beside));
    attr(this.beside, "aria-pressed", String(this.company.names.length > 0));
  }

  #setSound(/** @type {boolean} */ on) {
    localStorage.setItem("nvr.sound", on ? "on" : "off");
    this.#listen();
  }

  #listen() {
    const heard = this.#replay?.audible ?? false;
    this.sound.hidden = !heard;
    this.video.muted = !(heard && soundOn());
    attr(this.sound, "aria-pressed", String(!this.video.muted));
    showVolume(this.loud, this.video);
  }

  get archive() { return this.#archive(this.camera); }

  /** @param {number} at_us @param {boolean} playing @param {boolean} exact Stay in a gap and show why it is one. */
  #open(at_us, playing, exact) {
    this.#replay?.close();
    for (const [name, archive] of this.#archives) if (name !== this.camera) archive.release();
    this.#empty = false;
    this.zoom.reset();
    const { app } = this;
    this.#lanes();
    const replay = new Replay(this.video, this.canvas, this.archive);
    this.#replay = replay;
    replay.rate = this.#rate;
    replay.others = this.company;
    replay.addEventListener("time", () => this.draw());
    replay.addEventListener("state", () => this.draw());
    replay.addEventListener("muted", () => attr(this.sound, "aria-pressed", "false"));
    replay.addEventListener("shown", () => {
      this.#frame();
      this.#listen();
    });
    replay.addEventListener("gap", (event) => {
      const { next_us } = /** @type {CustomEvent} */ (event).detail;
      if (replay.playing && next_us) app.notes.say(t("gap.skipped", { time: clock(next_us) }), "warn");
    });
    replay.addEventListener("trouble", (/** @type {any} */ { detail }) => this.choice.rescue(detail, this.archive) || app.notes.problem(detail));
    this.#begin(replay, at_us, playing, exact);
  }

  async #begin(replay, at_us, playing, exact) {
    await this.#cover();
    const { archive } = this;
    // Where the ranges did not come, the seek below says why.
    const start_us = exact && archive.gapAt(at_us) ? at_us : await archive.nearest(at_us).catch(() => at_us);
    if (this.#replay !== replay) return;
    this.#empty = start_us === null && archive.loaded.to_us > 0;
    if (this.#empty) {
      this.draw();
      return;
    }
    if (playing) replay.play();
    await replay.seek(start_us ?? at_us);
    // The ring may have overwritten the key frame that the oldest pictures hang on.
    const next_us = exact || this.#replay !== replay ? null : replay.hole?.next_us;
    if (next_us) await replay.seek(next_us);
    this.draw();
  }

  /** Keep the ranges true; a camera with nothing begins to play when its first recording is there. */
  async #tail() {
    await this.#cover();
    const replay = this.#replay;
    if (!this.#empty || !replay || !this.archive.recordedUntil_us) return;
    this.#empty = false;
    await this.#begin(replay, this.app.box.now_us - 60 * SECOND, false, false);
  }

  async #cover() {
    const { view } = this.timeline;
    const jobs = this.timeline.lanes.map((lane) => lane.archive.cover(view.from_us, view.to_us));
    let fresh = false;
    for (const done of await Promise.allSettled(jobs)) fresh ||= done.status === "fulfilled" && done.value;
    if (fresh) {
      this.timeline.draw();
      this.export.draw();
    }
  }

  // -- moving ---------------------------------------------------------------------------------

  /** A scrub sends more places than can be shown: only the newest is on its way. */
  async #wanted({ t_us, done }) {
    const replay = this.#replay;
    if (!replay || this.#empty) return;
    this.#scrub_us = Math.min(t_us, this.app.box.now_us);
    this.timeline.place(this.#scrub_us);
    if (this.#scrubbing && !done) return;
    this.#scrubbing = true;
    while (this.#scrub_us !== null && this.#replay === replay) {
      const to_us = this.#scrub_us;
      this.#scrub_us = null;
      await replay.seek(to_us);
    }
    this.#scrubbing = false;
  }

  #by(us) {
    this.#wanted({ t_us: this.timeline.playhead_us + us, done: true });
  }

  #jump() {
    const t_us = parseTime(this.time.value, this.timeline.playhead_us);
    this.time.classList.toggle("bad", t_us === null);
    if (t_us === null) {
      this.app.notes.say(t("jump.bad"), "warn");
      return;
    }
    this.time.blur();
    this.#wanted({ t_us, done: true });
    if (t_us < this.timeline.view.from_us || t_us > this.timeline.view.to_us) this.timeline.show(t_us, this.timeline.span_us);
  }

  #happenings() { happenedDialog(this.app, this.camera, this.app.box.now_us, (t_us) => this.#wanted({ t_us, done: true })); }

  #segment(by) {
    const at_us = this.timeline.playhead_us;
    const starts = [this.archive.happened.beside(at_us, by), by > 0 ? this.archive.nextStart(at_us) : this.archive.previousStart(at_us)].filter(Boolean);
    const to_us = starts.length ? (by > 0 ? Math.min(...starts) : Math.max(...starts)) : null;
    if (to_us) this.#wanted({ t_us: to_us + 1000, done: true });
    else this.app.notes.say(t(by > 0 ? "segment.last" : "segment.first"));
  }

  toggle() {
    const replay = this.#replay;
    if (!replay) return;
    if (replay.playing) replay.pause();
    else replay.play();
    this.draw();
  }

  #setRate(rate, andPlay = false) {
    if (!this.choice.refuses(rate, this.archive, this.app.notes)) this.#replay?.setRate(this.#rate = rate);
    rate = this.#rate;
    this.rateSelect.value = String(rate);
    if (andPlay && !this.#replay?.playing) this.#replay?.play();
    this.draw();
  }

  /** As editors have it on J and L: that way, and twice as fast each time. @param {1 | -1} way */
  #run(way) {
    const replay = this.#replay;
    const on = replay?.playing && Math.sign(this.#rate) === way;
    const faster = Math.min(32, Math.max(1, Math.abs(this.#rate) * 2));
    this.#setRate(way * (on ? faster : 1), true);
  }

  #stand() { this.#replay?.pause(); this.#setRate(1); }

  /** @param {"in_us" | "out_us"} which */
  mark(which) {
    const marks = { ...this.timeline.marks, [which]: this.timeline.playhead_us };
    if (marks.in_us !== null && marks.out_us !== null && marks.in_us > marks.out_us) marks[which === "in_us" ? "out_us" : "in_us"] = null;
    this.timeline.marks = marks;
    this.timeline.draw();
    this.export.draw();
  }

  // -- showing --------------------------------------------------------------------------------

  draw() {
    const replay = this.#replay;
    if (!replay || !this.timeline) return;
    const at_us = this.#scrub_us ?? (replay.position_us || this.timeline.playhead_us);
    if (!this.#scrubbing && at_us) this.timeline.place(at_us);
    if (document.activeElement !== this.time) this.time.value = PHONE.matches ? stamp(at_us).slice(5) : `${day(at_us)} ${clock(at_us, true)}`;
    put(this.capt, [stamp(at_us), doubtOf(this.archive?.runAt(at_us)), fetchedOf(this.archive?.runAt(at_us))].filter(Boolean).join(" · "));
    this.choice.draw(replay, this.archive, at_us);
    const { playing } = replay;
    const picture = playing ? "pause" : "play";
    if (this.playButton.dataset.is !== picture) {
      this.playButton.dataset.is = picture;
      this.playButton.replaceChildren(icon(picture));
      this.playButton.setAttribute("aria-label", t(playing ? "pause" : "play"));
    }
    attr(this.back, "aria-pressed", String(replay.playing && replay.rate < 0));
    this.factor.hidden = this.zoom.factor <= 1;
    put(this.factor, `${this.zoom.factor.toFixed(1)}×`);
    if (replay.playing) put(this.frameNo, replay.waiting ? t("edge.wait") : `${rateText(replay.rate)}${replay.keysOnly ? ` · ${t("playback.keysOnly")}` : ""}`);
    // Old pictures under a new time would be false evidence: they go dark until the right one is there.
    this.picture.classList.toggle("veiled", replay.late);
    this.frameNo.hidden = !this.frameNo.textContent || Boolean(replay.hole);
    for (const node of this.seg.querySelectorAll("[data-span]")) {
      attr(node, "aria-pressed", String(Math.abs(Number(node.dataset.span) * SECOND - this.timeline.span_us) < SECOND / 10));
    }
    this.transport.inert = this.#empty;
    this.#fill(replay);
  }

  async #frame() {
    const replay = this.#replay;
    if (!replay || replay.playing) return;
    const frame = await replay.frame().catch(() => null);
    if (!replay.playing && frame && !replay.late) put(this.frameNo, t("frame.of", frame));
    this.frameNo.hidden = !frame || replay.late;
  }

  /** In place of a picture, if there is none. */
  #fill(replay) {
    const { hole } = replay;
    const refused = unconverted(replay.trouble);
    const none = this.#empty || Boolean(hole || refused);
    this.picture.classList.toggle("gone", none);
    this.picture.classList.toggle("nothing", none);
    this.capt.hidden = none;
    if (this.#empty) {
      this.frameNo.hidden = true;
      this.blank.nothing(this.camera);
    } else if (hole) this.blank.hole(hole, this.archive);
    else if (refused) this.blank.refused(replay.trouble, () => this.#open(replay.position_us, replay.playing, true));
    else this.blank.none();
  }

  async snapshot() {
    if (!this.video.videoWidth || this.#replay?.hole || this.#replay?.late) return;
    // What runs by may be smaller than what is recorded: the picture itself is shown once it stands.
    if (!this.canvas.hidden) await this.#replay?.pause();
    if (!this.canvas.hidden) return;
    const { videoWidth: width, videoHeight: height } = this.video;
    await savePicture(this.app, this.camera, this.video, { width, height }, this.timeline.playhead_us, this.#replay?.stream ?? "main", this.archive);
  }

  /** Keys of this screen. @param {KeyboardEvent} event @returns {boolean} Whether the key meant something. */
  key(event) {
    const replay = this.#replay;
    if (!replay || (this.#empty && !"vf".includes(event.key.toLowerCase()))) return false;
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (side) {
      if (event.shiftKey) this.#by(side * 10 * SECOND);
      else replay.step(/** @type {1 | -1} */ (side));
      return true;
    }
    const digit = /^Digit([1-8])$/.exec(event.code);
    if (digit && !event.shiftKey) { this.#setRate(RATES[Number(digit[1]) - 1]); return true; }
    switch (event.key.toLowerCase()) {
      case " ": this.toggle(); return true;
      case "+": case "=": this.timeline.zoom(0.5); return true;
      case "-": this.timeline.zoom(2); return true;
      case "b": this.#by(-30 * SECOND); return true;
      case "[": this.mark("in_us"); return true;
      case "]": this.mark("out_us"); return true;
      case "e": this.export.send(); return true;
      case "g": this.time.focus(); return true;
      case "j": this.#run(-1); return true;
      case "k": this.#stand(); return true;
      case "l": this.#run(1); return true;
      case ",": replay.step(-1); return true;
      case ".": replay.step(1); return true;
      case "m": this.#setSound(!soundOn()); return true;
      case "w": this.#invite(); return true;
      case "v": this.app.go("live", { cam: this.camera }); return true;
      case "f": this.app.full(); return true;
      case "s": this.snapshot(); return true;
      case "pageup": this.#segment(-1); return true;
      case "pagedown": this.#segment(1); return true;
      default: return false;
    }
  }
}

customElements.define("nvr-playback", Playback);
