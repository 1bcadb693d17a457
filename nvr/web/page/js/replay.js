// Plays what is recorded of one camera. A seek cancels the one before it: the newest wins. Backwards, and
// where the browser cannot decode fast enough, a Shuttle shows the pictures instead of the element,
// on a canvas over it.

import { Feed, once } from "./feed.js";
import { hasSound } from "./mse.js";
import { Pace } from "./pace.js";
import { canShuttle, Shuttle } from "./shuttle.js";

const AHEAD_S = 3;
/** From here on only key frames are shown. */
export const STEP_RATE = 8;
/** Without WebCodecs: a seek so often. */
const STEP_MS = 120;
const BESIDE_US = 5e6;
/** So much sound an element wants before it shows a picture. */
const HEAR_S = 0.6;

/** Events: "time", "state", "shown" (after a seek), "muted" (the browser would not be heard), "gap" (detail: {t_us, next_us}), "trouble" (detail: error). */
export class Replay extends EventTarget {
  rate = 1;
  playing = false;
  /** True while a seek or the next group is on its way. */
  waiting = false;
  /** At a place without recording. @type {{t_us: number, next_us: number | null} | null} */
  hole = null;
  /** Who plays beside it: while they have pictures its clock goes on through its own gaps. */
  others = { has: (/** @type {number} */ _t_us) => false, next: (/** @type {number} */ _t_us) => /** @type {number | null} */ (null) };
  /** What time is to be shown when a shuttle runs; null: it has its own. @type {(() => number) | null} */
  clock = null;
  /** The picture is still that of another time: the browser has not got to the one asked for. */
  late = false;
  /** Why there is no picture of what was asked for. @type {any} */
  trouble = null;

  #feed;
  #generation = 0;
  #abort = new AbortController();
  #want_us = 0;
  #seeking = false;
  #pumping = false;
  #pump = 0;
  #last_ms = 0;
  #shuttle = /** @type {Shuttle | null} */ (null);
  #canShuttle = true;
  /** From this rate on this browser was too slow. */
  #tooFast = STEP_RATE;
  #pace = new Pace();

  /**
   * @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas Over it.
   * @param {import("./footage.js").Footage} archive
   */
  constructor(video, canvas, archive) {
    super();
    this.video = video;
    this.canvas = canvas;
    this.archive = archive;
    this.#feed = new Feed(video, archive);
    canvas.hidden = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    this.#pump = setInterval(() => this.#beat(), 100);
  }

  close() {
    clearInterval(this.#pump);
    this.#generation += 1;
    this.#abort.abort();
    this.#shuttle?.stop();
    this.canvas.hidden = true;
    this.#feed.close();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  get position_us() {
    if (this.#shuttle?.running) return this.#shuttle.position_us;
    if (this.#seeking || this.hole || !this.#feed.ready || this.#stepping) return this.#want_us;
    return this.#feed.wall(this.video.currentTime);
  }

  /** The stream whose picture is on the screen, empty if there is none. */
  get stream() {
    if (this.hole) return "";
    return this.canvas.hidden ? this.#feed.streamAt(this.video.currentTime) : this.archive.of(this.position_us).stream;
  }

  get #stepping() {
    return this.playing && (this.rate < 0 || this.rate >= this.#tooFast);
  }

  // -- moving ---------------------------------------------------------------------------------

  /** Show the frame at a time. @param {number} t_us @returns {Promise<boolean>} False if a newer seek took over. */
  async seek(t_us) {
    this.#generation += 1;
    const mine = this.#generation;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#shuttle?.stop();
    this.#want_us = t_us;
    this.#seeking = true;
    this.trouble = null;
    this.#tell("time");
    try {
      const gop = await this.archive.gop(t_us, this.#abort.signal);
      if (mine !== this.#generation) return false;
      if ("gap" in gop) {
        this.#enterHole(t_us, gop.next_us);
        return true;
      }
      await this.#feed.ensure(gop);
      if (mine !== this.#generation) return false;
      if (this.#feed.media(t_us) > this.#feed.endOf(gop) - (this.audible ? HEAR_S : 0.02)) await this.#ensureAfter(gop);
      if (mine !== this.#generation) return false;
      this.hole = null;
      this.trouble = null;
      await this.#place(t_us, gop);
      if (mine !== this.#generation) return false;
      this.canvas.hidden = true;
      this.#tell("shown");
      return true;
    } catch (error) {
      if (mine !== this.#generation || /** @type {any} */ (error)?.name === "AbortError") return false;
      this.trouble = error;
      this.#tell("trouble", error);
      return true;
    } finally {
      if (mine === this.#generation) {
        this.#seeking = false;
        this.#tell("time");
        this.#tell("state");
        if (this.playing && (!this.hole || this.rate < 0)) this.#go();
      }
    }
  }

  /** An element shows no picture before it has enough sound to go on, which may end before the pictures do. */
  async #ensureAfter(gop) {
    const next = await this.archive.gop(gop.to_us + 1000, this.#abort.signal);
    await ("gap" in next || next.stream !== gop.stream ? this.#feed.finish() : this.#feed.ensure(next));
  }

  async #place(t_us, gop) {
    // A quarter of a frame in: on the edge, rounding could show the one before.
    const frame_us = gop.times_us.length > 1 ? gop.times_us[1] - gop.times_us[0] : 40_000;
    const at_us = gop.times_us.findLast((time) => time <= t_us + 1000) ?? gop.from_us;
    const inside = this.playing && !this.#stepping ? Math.min(t_us, gop.to_us - frame_us / 2) : at_us + frame_us / 4;
    const begin_s = this.#feed.media(gop.from_us + frame_us / 4);
    const media_s = Math.max(begin_s, Math.min(this.#feed.media(inside), this.#feed.bufferedTo(begin_s) - 0.005));
    if (Math.abs(this.video.currentTime - media_s) < 0.0005 && !this.video.seeking) {
      this.late = false;
      return;
    }
    const mine = this.#generation;
    this.late = true;
    const seeked = once(this.video, "seeked").then(() => {
      if (mine !== this.#generation) return;
      this.late = false;
      this.#tell("state");
    });
    this.video.currentTime = media_s;
    await Promise.race([seeked, new Promise((resolve) => setTimeout(resolve, 1500))]);
  }

  #enterHole(t_us, next_us) {
    this.hole = { t_us, next_us };
    this.late = false;
    this.canvas.hidden = true;
    this.video.pause();
    this.#tell("gap", this.hole);
    if (!this.playing || this.rate < 0 || this.others.has(t_us)) return;
    if (next_us) this.seek(next_us);
    else this.waiting = true;
  }

  play() {
    this.playing = true;
    this.#last_ms = performance.now();
    if (this.hole?.next_us && this.rate > 0 && !this.others.has(this.hole.t_us)) this.seek(this.hole.next_us);
    this.#applyRate();
  }

  /** @returns {Promise<boolean>} Once the picture stands that it names. */
  pause() {
    const stepped = this.#stepping && this.canvas.hidden;
    this.#want_us = this.position_us;
    this.#shuttle?.stop();
    this.playing = false;
    this.waiting = false;
    this.video.pause();
    this.#tell("state");
    // A paused element may still show the frame before its own time: settle on the one it names.
    return !this.hole && !stepped && this.#feed.ready ? this.seek(this.#want_us) : Promise.resolve(true);
  }

  /** Whether what is recorded here has sound that this browser plays. */
  get audible() {
    return hasSound(this.#feed.mime);
  }

  get shuttling() {
    return this.#shuttle?.running ?? false;
  }

  get keysOnly() {
    return this.shuttling && this.#shuttle?.keys === true;
  }

  /** @param {number} rate 0.25 to 32, or negative: backwards. */
  setRate(rate) {
    this.#want_us = this.position_us;
    const shuttled = this.#shuttle?.running;
    this.#shuttle?.stop();
    this.rate = rate;
    if (!this.playing) this.#tell("state");
    else if (shuttled && !this.#stepping) this.seek(this.#want_us);
    else this.#applyRate();
  }

  #applyRate() {
    if (!this.#seeking && (!this.hole || this.rate < 0)) this.#go();
    this.#tell("state");
  }

  /** Play on from where it is, the way that this rate needs. */
  #go() {
    this.#pace.reset();
    if (this.#stepping) {
      this.video.pause();
      if (this.#canShuttle) this.#startShuttle();
      return;
    }
    this.video.playbackRate = this.rate;
    this.video.play().catch((error) => {
      // Before the first touch or key of a page a browser plays nothing that is heard.
      if (error.name !== "NotAllowedError" || this.video.muted) return;
      this.video.muted = true;
      this.#tell("muted");
      this.video.play().catch(() => {});
    });
  }

  async #startShuttle() {
    const mine = this.#generation;
    const from_us = this.#want_us;
    const gop = await this.archive.gop(from_us, this.#abort.signal).catch(() => null);
    this.#canShuttle = !gop || "gap" in gop || (await canShuttle(this.archive, gop.run).catch(() => false));
    if (mine !== this.#generation || !this.#stepping || !this.#canShuttle) return;
    this.#shuttle ??= new Shuttle(this.canvas, this.archive, {
      shown: () => {
        this.canvas.hidden = false;
        this.hole = null;
        this.late = false;
      },
      clock: () => this.clock?.() ?? null,
      beside: (t_us) => this.others.has(t_us),
      hole: (t_us) => {
        this.hole = { t_us, next_us: null };
        this.canvas.hidden = true;
      },
      gap: (detail) => this.#tell("gap", detail),
      end: () => {
        this.#want_us = this.#shuttle?.position_us ?? this.#want_us;
        this.pause();
      },
      failed: () => {
        // Seeks can do what this decoder cannot.
        this.#canShuttle = false;
        this.#want_us = this.#shuttle?.position_us ?? this.#want_us;
      },
    });
    this.#shuttle.start(from_us, this.rate, Math.abs(this.rate) >= STEP_RATE || this.rate >= this.#tooFast);
  }

  /** One frame on or back. @param {1 | -1} by */
  async step(by) {
    if (this.playing) this.pause();
    const now_us = this.position_us;
    const gop = await this.archive.gop(now_us);
    if ("gap" in gop) {
      const to = by > 0 ? gop.next_us : (this.archive.runs.findLast((run) => run.to_us <= now_us)?.to_us ?? 0) - 1000;
      if (to && to > 0) await this.seek(to);
      return;
    }
    const shown = gop.times_us.findLastIndex((time) => time <= now_us + 1000);
    const next = gop.times_us[shown + by];
    if (next !== undefined && shown + by >= 0) await this.seek(next);
    else if (by > 0) await this.seek(gop.next_us ?? gop.to_us);
    else await this.seek(gop.from_us - 1000);
  }

  /** Number of the frame in its group, and how many there are. */
  async frame() {
    if (this.hole) return null;
    const gop = await this.archive.gop(this.position_us);
    if ("gap" in gop) return null;
    return { at: gop.times_us.findLastIndex((time) => time <= this.position_us + 1000) + 1, of: gop.times_us.length };
  }

  // -- playing --------------------------------------------------------------------------------

  #beat() {
    const now_ms = performance.now();
    const passed_ms = now_ms - this.#last_ms;
    if (!this.playing) return;
    this.#tell("time");
    if (this.hole && this.rate > 0 && this.rate < this.#tooFast) {
      this.#passHole(now_ms);
      return;
    }
    if (this.#stepping) {
      if (this.#shuttle?.running) {
        this.waiting = this.#shuttle.waiting && passed_ms > 1000;
        return;
      }
      if (this.#canShuttle || this.#seeking || passed_ms < STEP_MS) return;
      this.#last_ms = now_ms;
      const to_us = this.#want_us + this.rate * passed_ms * 1000;
      if (to_us > this.archive.recordedUntil_us && this.rate > 0) this.pause();
      else this.#stepTo(to_us);
      return;
    }
    if (!this.clock && this.#pace.slow(this.video, this.rate)) {
      this.#want_us = this.position_us;
      this.#tooFast = this.rate;
      this.#applyRate();
      return;
    }
    if (!this.#seeking && !this.#pumping) this.#fill();
  }

  /** Nothing of ours: the clock goes on while others have pictures, else to what comes next. */
  #passHole(now_ms) {
    const { hole, others } = this;
    if (!hole || this.#seeking) return;
    const passed_ms = now_ms - this.#last_ms;
    const t_us = this.#want_us + passed_ms * 1000 * this.rate;
    const next_us = Math.min(hole.next_us ?? Infinity, others.next(t_us) ?? Infinity);
    this.waiting = false;
    if (hole.next_us && t_us >= hole.next_us) this.seek(hole.next_us);
    else if (others.has(t_us)) this.#want_us = t_us;
    else if (next_us === hole.next_us) this.seek(next_us);
    else if (next_us < Infinity) this.#want_us = next_us;
    else {
      this.waiting = true;
      if (passed_ms < 1000) return;
      if (this.archive.recordedUntil_us > this.#want_us) this.seek(this.#want_us);
    }
    this.#last_ms = now_ms;
  }

  async #stepTo(t_us) {
    await this.seek(t_us);
    if (!this.hole || !this.playing || this.rate > 0) return;
    // Backwards over a gap: on from the end of the run before it.
    const before = this.archive.runs.findLast((run) => run.to_us <= t_us);
    if (before) this.seek(before.to_us - 50_000);
    else this.pause();
  }

  async #fill() {
    const { video } = this;
    if (!this.#feed.ready) {
      await this.seek(this.#want_us);
      return;
    }
    const end_s = this.#feed.bufferedTo(video.currentTime);
    const ahead_s = end_s - video.currentTime;
    const mine = this.#generation;
    if (ahead_s > AHEAD_S * Math.max(1, this.rate)) return;
    this.#pumping = true;
    try {
      let gop = await this.archive.gop(this.#feed.wall(end_s) + 30_000, this.#abort.signal);
      if (!("gap" in gop) && this.#feed.has(gop)) gop = await this.archive.gop(gop.to_us + 1000, this.#abort.signal);
      if (mine !== this.#generation) return;
      if (!("gap" in gop)) {
        this.waiting = false;
        // What is there of one stream is shown to its end before the other follows.
        const like = await this.#feed.like(gop);
        if ((!like || this.#feed.hides(gop, end_s)) && ahead_s > 0.2 * this.rate) return;
        if (like) await this.#feed.ensure(gop, video.currentTime);
        else await this.seek(Math.max(gop.from_us, this.#feed.wall(end_s)));
        if (mine !== this.#generation) return;
        // A hole of a few frames between two groups would stop the element.
        if (gop.from_us > this.#feed.wall(end_s + 0.2) && ahead_s < 0.15) await this.seek(gop.from_us);
        else if (video.paused) video.play().catch(() => {});
      } else if (ahead_s < 0.15) {
        // At the end of what is recorded the others are as far: it is waited for.
        if (this.others.has(this.position_us + (gop.next_us ? 0 : BESIDE_US))) {
          this.#want_us = this.position_us;
          this.#last_ms = performance.now();
          this.#enterHole(this.#want_us, gop.next_us);
        } else if (gop.next_us) {
          this.#tell("gap", { t_us: this.position_us, next_us: gop.next_us });
          await this.seek(gop.next_us);
        } else this.waiting = true;
      }
    } catch (error) {
      if (/** @type {any} */ (error)?.name !== "AbortError") {
        this.pause();
        this.trouble = error;
        this.#tell("trouble", error);
      }
    } finally {
      this.#pumping = false;
    }
  }
}
