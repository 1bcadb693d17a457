// Plays backwards, and faster than a browser decodes: pictures go through WebCodecs onto a canvas.
// Backwards a whole group is decoded and shown from its end; at high speed only key frames are
// fetched. What is shown is always a picture at its own time, and `position_us` is that time.

import { canDirect } from "./direct.js";
import { samples } from "./mp4.js";
import { videoCodec } from "./player.js";

/** Pixels that the pictures of one decoded group may have together: 120 MB. */
const GROUP_PIXELS = 30e6;
const MOST_PICTURES = 150;
/** A clock that had to wait this long for pictures goes on from where it was. */
const LATE_MS = 250;
const MOST_LATE = 4;
/** Two groups of one recording may be so far from each other, or overlap, as each has its own time. */
const SEAM_US = 500_000;
const BACK_US = 40_000;
const HOLE_MS = 50;
const EDGE_US = 1000;

/**
 * @typedef {{t_us: number, image: any, width: number, height: number}} Picture
 * @typedef {{from_us: number, to_us: number, pictures: Picture[]}} Group
 */

/** Whether this browser can do it for a stream. @param {import("./footage.js").Footage} archive @param {any} run */
export async function canShuttle(archive, run) {
  const init = await archive.init(run);
  return "OffscreenCanvas" in globalThis && canDirect(videoCodec(init.mime), init.track.description);
}

export class Shuttle {
  position_us = 0;
  /** Pictures are on their way. */
  waiting = false;
  #generation = 0;
  #running = false;
  #rate = 1;
  #keys = false;
  #lates = 0;
  #base = { t_us: 0, ms: 0 };
  #abort = new AbortController();
  /** Decoded groups by where they begin: the one on show, and the one to come. @type {Map<number, Promise<Group>>} */
  #groups = new Map();
  #context;

  /**
   * @param {HTMLCanvasElement} canvas @param {import("./footage.js").Footage} archive
   * @param {{shown: () => void, gap: (detail: {t_us: number, next_us: number}) => void,
   *   hole: (t_us: number) => void, end: () => void, failed: (error: any) => void,
   *   clock: () => number | null, beside: (t_us: number) => boolean}} told
   *   `clock`: what time is to be shown, where another leads, which alone goes over gaps; `beside`:
   *   whether another has a picture of a time, so that none is gone over: a `hole` then, in both
   *   cases; `end`: nothing is recorded further on.
   */
  constructor(canvas, archive, told) {
    this.canvas = canvas;
    this.archive = archive;
    this.told = told;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
  }

  get running() {
    return this.#running;
  }

  get keys() {
    return this.#keys;
  }

  /** @param {number} t_us @param {number} rate @param {boolean} keys Only key frames. */
  start(t_us, rate, keys) {
    this.stop();
    this.#running = true;
    this.#rate = rate;
    this.#keys = keys;
    this.#lates = 0;
    this.position_us = t_us;
    this.#base = { t_us, ms: performance.now() };
    this.#abort = new AbortController();
    this.#run(this.#generation);
  }

  stop() {
    this.#generation += 1;
    this.#running = false;
    this.waiting = false;
    this.#abort.abort();
    this.#forget(new Set());
  }

  get #wanted_us() {
    return this.told.clock() ?? this.#base.t_us + (performance.now() - this.#base.ms) * this.#rate * 1000;
  }

  #rebase(t_us) {
    this.#base = { t_us, ms: performance.now() };
  }

  async #run(mine) {
    try {
      while (mine === this.#generation) {
        const step = this.#keys ? this.#showKey : this.#showFrame;
        if (!(await step.call(this, mine))) break;
        if (mine === this.#generation) await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    } catch (error) {
      if (mine !== this.#generation || error?.name === "AbortError") return;
      this.stop();
      this.told.failed(error);
    }
  }

  /** @returns {Promise<boolean>} Whether there is more. */
  async #showKey(mine) {
    const t_us = this.#wanted_us;
    const group = await this.archive.key(t_us, this.#abort.signal);
    if (mine !== this.#generation) return false;
    if ("gap" in group) return this.#overGap(t_us, group.next_us);
    const pictures = await this.#decode(group, true);
    if (mine !== this.#generation) return false;
    this.#draw(pictures[0], group.from_us);
    pictures.forEach((one) => one.image.close());
    // Nothing new is shown before the next key frame, or the one before.
    const inside = () => (this.#rate > 0 ? this.#wanted_us < group.to_us : this.#wanted_us >= group.from_us);
    while (mine === this.#generation && inside()) await new Promise((resolve) => requestAnimationFrame(resolve));
    return true;
  }

  async #showFrame(mine) {
    const t_us = this.#wanted_us;
    const begun_ms = performance.now();
    const found = await this.#group(t_us);
    if (mine !== this.#generation) return false;
    if ("gap" in found) return this.#overGap(t_us, found.next_us);
    if (performance.now() - begun_ms > LATE_MS) {
      this.#rebase(t_us);
      this.#lates += 1;
      // This browser decodes slower than the pictures are to run by.
      if (this.#lates > MOST_LATE) this.#keys = true;
    }
    if (this.#rate < 0) this.#group(found.from_us - EDGE_US).catch(() => {});
    const picture = found.pictures.findLast((one) => one.t_us <= t_us + EDGE_US) ?? found.pictures[0];
    if (picture && picture.t_us !== this.position_us) this.#draw(picture, picture.t_us);
    return true;
  }

  /** The decoded group that covers a time. */
  async #group(t_us) {
    this.waiting = true;
    const gop = await this.archive.gop(t_us, this.#abort.signal);
    if ("gap" in gop) return gop;
    let made = this.#groups.get(gop.from_us);
    if (!made) {
      made = this.#decode(gop, false).then((pictures) => ({ from_us: gop.from_us, to_us: gop.to_us, pictures }));
      this.#groups.set(gop.from_us, made);
      made.catch(() => this.#groups.delete(gop.from_us));
      const near = [...this.#groups.keys()].sort((a, b) => Math.abs(a - this.position_us) - Math.abs(b - this.position_us));
      this.#forget(new Set([gop.from_us, ...near.slice(0, 2)]));
    }
    const group = await made;
    this.waiting = false;
    return group;
  }

  /** @param {Set<number>} kept */
  #forget(kept) {
    for (const [key, made] of this.#groups) {
      if (kept.has(key)) continue;
      this.#groups.delete(key);
      made.then((group) => group.pictures.forEach((one) => one.image.close()), () => {});
    }
  }

  /** @returns {Promise<Picture[]>} In the order of showing. */
  async #decode(gop, keyOnly) {
    const { track, mime } = await this.archive.init(gop.run);
    const all = samples(gop.data, track);
    const chosen = keyOnly ? all.slice(0, 1) : all;
    const first = gop.first_s * track.timescale;
    /** @type {Picture[]} */
    const pictures = [];
    let error = null;
    const nth = Math.ceil(chosen.length / MOST_PICTURES);
    let count = 0;
    const decoder = new VideoDecoder({
      output: (frame) => {
        count += 1;
        const t_us = gop.from_us + frame.timestamp;
        if (count % nth === 0 && t_us < gop.to_us) pictures.push(copy(frame, t_us, keyOnly ? Infinity : (GROUP_PIXELS * nth) / chosen.length));
        frame.close();
      },
      error: (found) => { error = found; },
    });
    try {
      decoder.configure({ codec: videoCodec(mime), description: track.description });
      for (const [n, unit] of chosen.entries()) {
        const timestamp = Math.round(((unit.time - first) / track.timescale) * 1e6);
        decoder.decode(new EncodedVideoChunk({ type: n ? "delta" : "key", timestamp, data: gop.data.subarray(unit.at, unit.at + unit.size) }));
      }
      await decoder.flush();
    } finally {
      if (decoder.state !== "closed") decoder.close();
    }
    if (error || !pictures.length) throw error ?? new Error("no picture");
    return pictures.sort((a, b) => a.t_us - b.t_us);
  }

  #draw(picture, t_us) {
    const { canvas } = this;
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    this.#context.drawImage(picture.image, 0, 0);
    this.position_us = t_us;
    this.waiting = false;
    this.told.shown();
  }

  /** @returns {Promise<boolean>} Whether something lies beyond. */
  async #overGap(t_us, next_us) {
    const seam = this.#rate > 0 ? next_us && next_us - t_us < SEAM_US : this.archive.runAt(t_us);
    if (seam) {
      this.#rebase(this.#rate > 0 ? next_us : t_us - BACK_US);
      return true;
    }
    if (this.told.clock() !== null || this.told.beside(t_us)) {
      this.position_us = t_us;
      this.told.hole(t_us);
      await new Promise((resolve) => setTimeout(resolve, HOLE_MS));
      return true;
    }
    const to_us = this.#rate > 0 ? next_us : await this.archive.endBefore(t_us);
    if (!to_us) {
      this.stop();
      this.told.end();
      return false;
    }
    this.told.gap({ t_us, next_us: to_us });
    this.#rebase(this.#rate > 0 ? to_us : to_us - BACK_US);
    return true;
  }
}

/** A picture of its own, small enough: a decoder has only so many frames to give. */
function copy(frame, t_us, pixels) {
  const scale = Math.min(1, Math.sqrt(pixels / (frame.displayWidth * frame.displayHeight)));
  const [width, height] = [frame.displayWidth, frame.displayHeight].map((side) => Math.max(2, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false })).drawImage(frame, 0, 0, width, height);
  return { t_us, image: canvas.transferToImageBitmap(), width, height };
}
