// Other cameras beside the one in playback, in step with it: one clock, which is that camera's.

import { sentence } from "./api.js";
import { el, put } from "./dom.js";
import { clock, t } from "./i18n.js";
import { overReplay } from "./overlay.js";
import { Replay } from "./replay.js";

const SECOND = 1e6;
/** Closer than this is in step; then a little faster or slower helps, or waiting; beyond it a seek. */
const CLOSE_US = 25_000;
const AHEAD_US = 150_000;
const GAIN_US = 400_000;
const FAR_US = 600_000;
const WAIT_US = 3 * SECOND;
const FRAME_US = 10_000;
/** A seek takes its time, and the clock goes on. */
const LEAD_US = 120_000;
const SEEK_MS = 700;

/** One camera that follows. */
class Companion {
  #asked_us = NaN;
  #asked_ms = 0;
  #seeking = false;
  #life = new AbortController();

  /** @param {any} app @param {string} camera @param {import("./footage.js").Footage} archive @param {() => void} lead */
  constructor(app, camera, archive, lead) {
    this.camera = camera;
    this.archive = archive;
    this.video = el("video", { prop: { muted: true }, playsinline: true, tabindex: "-1" });
    this.canvas = el("canvas", { hidden: true });
    this.at = el("span.st", {});
    this.msg = el("div.msg", { hidden: true });
    const title = `${app.number(camera)} ${app.box.camera(camera)?.title || camera}`;
    this.tile = el("button.tile.mate", { type: "button", title: t("playback.lead"), on: { click: lead } }, this.video, this.canvas, el("div.nm", {}, el("b", {}, title), this.at), this.msg);
    this.replay = new Replay(this.video, this.canvas, archive);
    this.canvas.after(overReplay(app, this.video, this.canvas, this.#life.signal, () => [camera, this.replay, archive]).node);
    // Only the clock takes it over a gap.
    this.replay.others = { has: () => true, next: () => null };
    this.replay.addEventListener("state", () => this.#hide());
    this.replay.addEventListener("trouble", (/** @type {any} */ { detail }) => this.#hide(detail));
  }

  close() {
    this.#life.abort();
    this.replay.close();
    this.tile.remove();
  }

  /** @param {any} [trouble] */
  #hide(trouble = null) {
    const { hole, late } = this.replay;
    const empty = Boolean(hole || trouble);
    this.tile.classList.toggle("gone", empty);
    this.tile.classList.toggle("nothing", empty);
    this.tile.classList.toggle("veiled", late);
    this.msg.hidden = !empty;
    put(this.msg, trouble ? sentence(trouble) : t("hole"));
    put(this.at, empty ? "" : [clock(this.replay.position_us), this.replay.stream === "sub" ? t("stream.sub") : ""].filter(Boolean).join(" · "));
  }

  async #seek(t_us) {
    if (this.#seeking) return;
    this.#seeking = true;
    this.#asked_us = t_us;
    this.#asked_ms = performance.now();
    await this.replay.seek(t_us);
    this.#seeking = false;
    this.#hide();
  }

  /** Be where the leader is. @param {Replay} leader */
  follow(leader) {
    const { replay } = this;
    const t_us = leader.position_us;
    if (!t_us || this.#seeking) return;
    if (!leader.playing) {
      if (replay.playing) replay.pause();
      if (!(Math.abs(this.#asked_us - t_us) <= FRAME_US)) this.#seek(t_us);
      return;
    }
    replay.clock = () => leader.position_us;
    if (replay.hole && !replay.shuttling) {
      const { t_us: since_us, next_us } = replay.hole;
      const over = leader.rate > 0 ? next_us !== null && t_us >= next_us : true;
      if ((over || t_us < since_us) && performance.now() - this.#asked_ms > SEEK_MS) this.#seek(t_us);
      return;
    }
    if (replay.rate !== leader.rate) replay.setRate(leader.rate);
    if (!replay.playing) {
      this.#asked_us = NaN;
      replay.play();
    }
    this.#keepUp(t_us - replay.position_us, leader);
    this.#hide();
  }

  /** @param {number} behind_us @param {Replay} leader */
  #keepUp(behind_us, leader) {
    if (this.replay.shuttling) return;
    const { rate } = leader;
    if (behind_us > FAR_US * Math.max(1, rate) || behind_us < -WAIT_US) {
      if (performance.now() - this.#asked_ms > SEEK_MS) this.#seek(leader.position_us + (leader.waiting ? 0 : LEAD_US * rate));
      return;
    }
    // One that is ahead waits: the leader may have had to.
    const correction = Math.abs(behind_us) < CLOSE_US ? 0 : Math.max(-0.5, Math.min(1, behind_us / GAIN_US));
    const wanted = behind_us < -AHEAD_US ? 0 : rate * (1 + correction);
    if (Math.abs(this.video.playbackRate - wanted) > 0.01) this.video.playbackRate = wanted;
  }

  /** Whether it has a picture of a time. */
  has(t_us) {
    return this.archive.runAt(t_us) !== undefined && t_us < this.archive.recordedUntil_us;
  }
}

/** The cameras beside the one in playback. */
export class Company {
  /** @type {Companion[]} */
  #mates = [];

  /**
   * @param {any} app @param {HTMLElement} host Where the pictures stand.
   * @param {(name: string) => import("./footage.js").Footage} archiveOf
   * @param {(name: string) => void} lead Somebody wants this one in the first place.
   */
  constructor(app, host, archiveOf, lead) {
    this.app = app;
    this.host = host;
    this.archiveOf = archiveOf;
    this.lead = lead;
  }

  get names() {
    return this.#mates.map((mate) => mate.camera);
  }

  /** @param {string[]} names */
  set(names) {
    const before = this.#mates;
    this.#mates = names.map((name) => before.find((mate) => mate.camera === name) ?? new Companion(this.app, name, this.archiveOf(name), () => this.lead(name)));
    for (const mate of before) if (!this.#mates.includes(mate)) mate.close();
    this.host.append(...this.#mates.map((mate) => mate.tile));
    this.host.dataset.count = String(names.length + 1);
  }

  close() {
    this.#mates.forEach((mate) => mate.close());
    this.#mates = [];
  }

  /** @param {Replay | null} leader */
  follow(leader) {
    if (leader) this.#mates.forEach((mate) => mate.follow(leader));
  }

  /** Whether somebody here has a picture of a time. */
  has(t_us) {
    return this.#mates.some((mate) => mate.has(t_us));
  }

  /** When somebody here has one again. */
  next(t_us) {
    const starts = this.#mates.map((mate) => mate.archive.nextStart(t_us)).filter((start) => start !== null);
    return starts.length ? Math.min(...starts) : null;
  }
}
