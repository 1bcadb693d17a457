// What there is to be seen of a camera: its main stream, its sub stream, or of each moment the better
// one. Looks to the player like the archive of one stream.

import { Archive } from "./archive.js";
import { Happened } from "./happened.js";

/** A run this much later than a time does not begin there. */
const EDGE_US = 1000;

/** @typedef {"best" | "main" | "sub"} Choice */
/** @typedef {import("./archive.js").Run} Run */
/** @typedef {import("./archive.js").Gap} Gap */
/** @typedef {import("./archive.js").Gop} Gop */

export class Footage {
  /** @type {Choice} */
  choice = "best";
  /** @type {import("./lock.js").Lock[]} */
  locks = [];

  /** @param {string} camera @param {(stream: string) => number} recorded_us What the box last said is on disk. */
  constructor(camera, recorded_us = () => 0) {
    this.camera = camera;
    this.main = new Archive(camera, () => recorded_us("main"));
    this.sub = new Archive(camera, () => recorded_us("sub"), "sub");
    this.happened = new Happened(camera);
  }

  /** Anything of the sub stream is recorded. */
  get hasSub() {
    return this.main.streams.includes("sub");
  }

  /** Have the box convert what there is. @returns {boolean} False if it does already. */
  convert() {
    return [this.main, this.sub].map((one) => one.convert()).includes(true);
  }

  get converted() {
    return this.main.converter !== null;
  }

  /** So fast this camera's pictures are converted, times as they were recorded; 0: not known, or not converted. */
  get speed() {
    return (this.#one ?? this.main).converter?.speed ?? 0;
  }

  /** Nobody looks any more. */
  release() {
    this.main.converter?.close();
    this.sub.converter?.close();
  }

  get #one() {
    if (this.choice === "sub" && this.hasSub) return this.sub;
    return this.choice === "best" && this.hasSub ? null : this.main;
  }

  async cover(from_us, to_us) {
    const [fresh, told] = await Promise.all([this.main.cover(from_us, to_us), this.happened.cover(from_us, to_us).catch(() => false)]);
    return (this.hasSub && (await this.sub.cover(from_us, to_us))) || fresh || told;
  }

  get loaded() {
    return (this.#one ?? this.main).loaded;
  }

  get recordedUntil_us() {
    return this.#one?.recordedUntil_us ?? Math.max(this.main.recordedUntil_us, this.sub.recordedUntil_us);
  }

  /** Where the main stream is not known to lack anything: its end is asked for now and then only. */
  get #fromMain() {
    const { gaps, recordedUntil_us, runs } = this.main;
    return recordedUntil_us && !gaps.some((gap) => gap.open) ? [...runs, { from_us: recordedUntil_us, to_us: Infinity }] : runs;
  }

  /** What can be seen: of the sub stream what the main one lacks. @returns {Run[]} */
  get runs() {
    const one = this.#one;
    if (one) return one.runs;
    const taken = this.#fromMain;
    return [...this.main.runs, ...this.sub.runs.flatMap((run) => without(run, taken))].sort((a, b) => a.from_us - b.from_us);
  }

  /** When nothing can be seen, and why: as it is said of the main stream. @returns {Gap[]} */
  get gaps() {
    return this.#one?.gaps ?? this.main.gaps.flatMap((gap) => without(gap, this.sub.runs));
  }

  runAt(t_us) {
    return this.of(t_us).runAt(t_us);
  }

  gapAt(t_us) {
    return this.gaps.find((gap) => gap.from_us <= t_us && t_us < gap.to_us);
  }

  /** A camera as it is to be drawn over what was recorded at a time: with the caption of then. @param {any} camera @param {number} t_us */
  dressed(camera, t_us) {
    const caption = this.main.captions.findLast((one) => one.from_us <= t_us) ?? this.main.captions[0];
    return camera && caption ? { ...camera, caption } : camera;
  }

  /** How far the clock could be trusted then. @param {number} t_us @param {any} now The clock of now. */
  clockAt(t_us, now) {
    const run = this.runAt(t_us);
    return run ? { state: run.clock, uncertainty_ms: run.uncertainty_ms } : now;
  }

  nextStart(t_us) {
    return this.runs.find((run) => run.from_us > t_us + EDGE_US)?.from_us ?? null;
  }

  previousStart(t_us) {
    return this.runs.findLast((run) => run.from_us < t_us - 1_000_000)?.from_us ?? null;
  }

  async nearest(t_us) {
    const one = this.#one;
    if (one) return one.nearest(t_us);
    const found = (await Promise.all([this.main.nearest(t_us), this.sub.nearest(t_us)])).filter((at) => at !== null);
    const later = found.filter((at) => at >= t_us);
    return found.length ? (later.length ? Math.min(...later) : Math.max(...found)) : null;
  }

  /** The stream that shows a time. @param {number} t_us @returns {Archive} */
  of(t_us) {
    const one = this.#one;
    if (one) return one;
    const main = this.#fromMain.some((run) => run.from_us <= t_us && t_us < run.to_us);
    return !main && this.sub.runAt(t_us) ? this.sub : this.main;
  }

  /** @param {string} run As a group names it. */
  init(run) {
    const [stream, number] = run.split(":");
    return (stream === "sub" ? this.sub : this.main).init(number);
  }

  /** @param {number} t_us @returns {Promise<number | null>} */
  async endBefore(t_us) {
    const one = this.#one;
    if (one) return one.endBefore(t_us);
    const ends = (await Promise.all([this.main.endBefore(t_us), this.sub.endBefore(t_us)])).filter((at) => at !== null);
    return ends.length ? Math.max(...ends) : null;
  }

  /** @param {number} t_us @param {AbortSignal} [signal] */
  key(t_us, signal) {
    return this.gop(t_us, signal, true);
  }

  /** @param {number} t_us @param {AbortSignal} [signal] @param {boolean} [keyOnly] @returns {Promise<Gop | {gap: true, next_us: number | null}>} */
  async gop(t_us, signal, keyOnly = false) {
    const archive = this.of(t_us);
    const found = await archive.gop(t_us, signal, keyOnly);
    if ("gap" in found) {
      if (this.#one) return found;
      // The other stream may begin sooner.
      const starts = [found.next_us, this.nextStart(t_us)].filter((at) => at !== null);
      return { gap: true, next_us: starts.length ? Math.min(...starts) : null };
    }
    const gop = { ...found, run: `${archive.stream}:${found.run}` };
    if (this.#one) return gop;
    if (archive === this.main) {
      const after_us = gop.to_us + EDGE_US;
      return this.of(after_us) === this.sub ? { ...gop, next_us: after_us } : gop;
    }
    // Where the main stream is there again, its pictures are shown.
    const end_us = this.main.runs.find((run) => run.from_us > t_us)?.from_us ?? Infinity;
    if (end_us >= gop.to_us) return gop;
    return { ...gop, to_us: end_us, next_us: end_us, cut: true, times_us: gop.times_us.filter((at) => at < end_us) };
  }
}

/**
 * What is left of a stretch of time when others are taken out.
 * @template {{from_us: number, to_us: number}} T
 * @param {T} one @param {{from_us: number, to_us: number}[]} others @returns {T[]}
 */
function without(one, others) {
  let left = [one];
  for (const other of others) {
    left = left.flatMap((piece) => (other.to_us <= piece.from_us || other.from_us >= piece.to_us ? [piece] : [
      { ...piece, to_us: other.from_us },
      { ...piece, from_us: other.to_us },
    ])).filter((piece) => piece.from_us + EDGE_US < piece.to_us);
  }
  return left;
}
