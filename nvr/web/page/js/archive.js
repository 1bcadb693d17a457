// What was recorded of one stream of a camera: runs and gaps, and groups of pictures by time.

import { cameraPath, get, Problem, request } from "./api.js";
import { Converter } from "./convert.js";
import { samples, tracks } from "./mp4.js";
import { onlySoundUnknown } from "./mse.js";

const CACHE_BYTES = 24_000_000;
const FRESH_MS = 5000;
const DAY_US = 86_400_000_000;
/** How far before the end of what is on the disk playback begins. */
const EDGE_US = 1_500_000;

/**
 * @typedef {{run: any, from_us: number, to_us: number, clock?: string, uncertainty_ms?: number,
 *   fetch?: {at_us: number, source: string, code: string} | null}} Run
 * @typedef {{from_us: number, to_us: number, cause: string, code: string, by: string, open: boolean,
 *   fetch?: {at_us: number, source: string, code: string} | null}} Gap
 * @typedef {{data: Uint8Array, from_us: number, to_us: number, run: string, next_us: number | null,
 *   times_us: number[], first_s: number, stream: string, cut?: boolean}} Gop
 *   `times_us` when each frame is shown; `first_s` media time of the first frame; `cut`: what comes
 *   after `to_us` is not to be shown.
 */

export class Archive {
  /** @type {Run[]} */
  runs = [];
  /** @type {Gap[]} */
  gaps = [];
  /** Stretches that stay. @type {import("./lock.js").Lock[]} */
  locks = [];
  /** What was written over the pictures, and since when; nothing where they carry it. @type {any[]} */
  captions = [];
  recordedUntil_us = 0;
  /** Streams of the camera of which anything is recorded. @type {string[]} */
  streams = [];
  /** What `runs` and `gaps` cover. */
  loaded = { from_us: 0, to_us: 0 };
  #fetched_ms = 0;
  #loading = /** @type {Promise<void> | null} */ (null);
  #inits = new Map();
  /** Asked along with everything once this browser did not take a camera's sound. */
  #quiet = "";
  /** Converts, once it turned out that this browser cannot, or may not, show what is recorded. @type {Converter | null} */
  converter = null;
  /** @type {Map<number, Gop>} */
  #gops = new Map();
  #bytes = 0;

  /** @param {string} camera @param {() => number} recorded_us What the box last said is on disk. @param {string} stream */
  constructor(camera, recorded_us = () => 0, stream = "main") {
    this.camera = camera;
    this.recorded_us = recorded_us;
    this.stream = stream;
  }

  #path(rest) {
    return cameraPath(this.camera, this.stream === "main" ? rest : `${rest}&stream=${this.stream}`);
  }

  /** Have everything converted from now on. @returns {boolean} False if it is already. */
  convert() {
    if (this.converter) return false;
    this.converter = new Converter(this.camera, this.stream);
    this.#gops.clear();
    this.#inits.clear();
    this.#bytes = 0;
    return true;
  }

  /** A time that is known to hold nothing, without asking the box. */
  #knownHole(t_us) {
    const { from_us, to_us } = this.loaded;
    if (t_us < from_us || t_us >= to_us) return false;
    if (t_us >= this.recordedUntil_us) return t_us >= this.recorded_us();
    return !this.runs.some((run) => run.from_us <= t_us && t_us < run.to_us);
  }

  /** Have the ranges of a view, whole days at a time; refreshes the tail while it grows. */
  async cover(from_us, to_us) {
    const inside = from_us >= this.loaded.from_us && to_us <= this.loaded.to_us;
    const stale = to_us > this.recordedUntil_us - 1_000_000 && performance.now() - this.#fetched_ms > FRESH_MS;
    if (inside && !stale) return false;
    if (this.#loading) return this.#loading.then(() => false);
    const offset_us = new Date(from_us / 1000).getTimezoneOffset() * 60_000_000;
    let from = Math.floor((from_us - offset_us) / DAY_US) * DAY_US + offset_us;
    let to = Math.ceil((to_us - offset_us) / DAY_US) * DAY_US + offset_us;
    if (inside) ({ from_us: from, to_us: to } = this.loaded);
    this.#fetched_ms = performance.now();
    this.#loading = (async () => {
      const found = await get(this.#path(`/ranges?from_us=${Math.max(0, Math.round(from))}&to_us=${Math.round(to)}`));
      this.runs = found.runs;
      this.gaps = found.gaps;
      this.captions = found.captions ?? [];
      this.recordedUntil_us = found.recorded_until_us || 0;
      this.streams = found.streams ?? [];
      this.loaded = { from_us: from, to_us: to };
    })();
    try {
      await this.#loading;
    } finally {
      this.#loading = null;
    }
    return true;
  }

  /** The run whose pictures a time shows: where the clock was set back, the newest. @returns {Run | undefined} */
  runAt(t_us) {
    return this.runs.findLast((run) => run.from_us <= t_us && t_us < run.to_us);
  }

  /** @param {number} t_us @returns {Gap | undefined} */
  gapAt(t_us) {
    return this.gaps.find((gap) => gap.from_us <= t_us && t_us < gap.to_us);
  }

  /** Start of the first run after a time, as far as ranges are loaded. */
  nextStart(t_us) {
    return this.runs.find((run) => run.from_us > t_us + 1000)?.from_us ?? null;
  }

  previousStart(t_us) {
    return this.runs.findLast((run) => run.from_us < t_us - 1_000_000)?.from_us ?? null;
  }

  /**
   * Where to look for a time: there if it is recorded, else at the nearest recording after it,
   * else at the newest. Null: nothing is recorded at all.
   * @param {number} t_us @returns {Promise<number | null>}
   */
  async nearest(t_us) {
    const end_us = this.recordedUntil_us;
    if (!end_us) return null;
    // Never later than what is safe on the disk.
    const at = Math.min(t_us, end_us - EDGE_US);
    const { from_us, to_us } = this.loaded;
    const of = (runs) => Math.min(...runs.filter((run) => run.to_us > at).map((run) => Math.max(at, run.from_us)));
    const known = from_us <= at && at < to_us ? of(this.runs) : Infinity;
    if (known < Infinity) return known;
    const found = await get(this.#path(`/ranges?from_us=${Math.max(0, Math.round(at))}&to_us=${end_us + 1}`));
    const later = of(found.runs);
    return later < Infinity ? later : at;
  }

  /** Codec configuration of a run. @returns {Promise<{bytes: Uint8Array, mime: string, track: any}>} */
  async init(run) {
    const known = this.#inits.get(run);
    if (known) return known;
    let response = await request(this.#path(`/init?run=${encodeURIComponent(run)}${this.#quiet}`));
    if (onlySoundUnknown(response.headers.get("X-NVR-Mime") ?? "")) {
      this.#quiet = "&sound=no";
      response = await request(this.#path(`/init?run=${encodeURIComponent(run)}${this.#quiet}`));
    }
    const bytes = new Uint8Array(await response.arrayBuffer());
    const all = tracks(bytes);
    const track = all.find((item) => item.kind === "video") ?? all[0];
    const init = { bytes, mime: response.headers.get("X-NVR-Mime") ?? "", track };
    this.#inits.set(run, init);
    return init;
  }

  /** End of the last run before a time, asked of the box where it is not loaded. @returns {Promise<number | null>} */
  async endBefore(t_us) {
    const last = (runs) => runs.findLast((run) => run.to_us <= t_us)?.to_us ?? null;
    const known = last(this.runs);
    if (known !== null || !this.runs.length && !this.recordedUntil_us) return known;
    return last((await get(this.#path(`/ranges?from_us=0&to_us=${Math.round(t_us)}`))).runs);
  }

  /**
   * The key frame that a time hangs on, as a group of that alone, which still ends where all of it does.
   * @param {number} t_us @param {AbortSignal} [signal]
   * @returns {Promise<Gop | {gap: true, next_us: number | null}>}
   */
  key(t_us, signal) {
    return this.gop(t_us, signal, true);
  }

  /**
   * The group of pictures that covers a time.
   * @param {number} t_us @param {AbortSignal} [signal] @param {boolean} [keyOnly] Its first half second.
   * @returns {Promise<Gop | {gap: true, next_us: number | null}>}
   */
  async gop(t_us, signal, keyOnly = false) {
    for (const gop of this.#gops.values()) {
      if (gop.from_us <= t_us && t_us < gop.to_us) {
        this.#gops.delete(gop.from_us);
        this.#gops.set(gop.from_us, gop);
        return gop;
      }
    }
    if (this.#knownHole(t_us)) {
      const next_us = this.nextStart(t_us);
      // What comes next may lie after the days that are loaded: then only the box knows.
      if (next_us !== null || t_us >= this.recordedUntil_us) return { gap: true, next_us };
    }
    const quiet = this.#quiet;
    let found;
    try {
      found = await (this.converter ? this.#converted(this.converter, t_us, keyOnly, signal) : this.#plain(t_us, keyOnly, quiet, signal));
    } catch (error) {
      if (error instanceof Problem && (error.status === 404 || error.code === "archive.nothing")) return { gap: true, next_us: error.context.next_us ?? this.nextStart(t_us) };
      throw error;
    }
    const { data, from_us, to_us, next_us, run } = found;
    if (to_us <= t_us) return { gap: true, next_us: next_us && next_us > t_us ? next_us : this.nextStart(t_us) };
    const { track } = await this.init(run);
    if (quiet !== this.#quiet) return this.gop(t_us, signal, keyOnly);
    const times = samples(data, track).map((sample) => sample.time / track.timescale);
    const first_s = times.length ? Math.min(...times) : 0;
    const gop = { data, from_us, to_us, run, next_us, first_s, stream: this.stream, times_us: times.map((time) => from_us + (time - first_s) * 1e6).sort((a, b) => a - b) };
    if (!keyOnly) this.#keep(gop);
    // Where nothing is recorded the box sends what comes next.
    return from_us > t_us + 1000 ? { gap: true, next_us: from_us } : gop;
  }

  async #plain(t_us, keyOnly, quiet, signal) {
    const response = await request(this.#path(`/gop?t_us=${Math.round(t_us)}${keyOnly ? "&key=1" : ""}${quiet}`), { signal });
    const data = new Uint8Array(await response.arrayBuffer());
    const head = (name) => response.headers.get(name) ?? "";
    const next_us = head("X-NVR-Next-Us") ? Number(head("X-NVR-Next-Us")) : null;
    return { data, from_us: Number(head("X-NVR-From-Us")), to_us: Number(head("X-NVR-To-Us")), next_us, run: head("X-NVR-Run") };
  }

  async #converted(converter, t_us, keyOnly, signal) {
    const found = await converter.ask(t_us, keyOnly, signal, !this.#quiet);
    const { init: bytes, mime, run } = found;
    if (onlySoundUnknown(mime)) {
      this.#quiet = "&sound=no";
      return this.#converted(converter, t_us, keyOnly, signal);
    }
    if (!this.#inits.has(run)) this.#inits.set(run, { bytes, mime, track: tracks(bytes)[0] });
    return found;
  }

  #keep(gop) {
    this.#gops.set(gop.from_us, gop);
    this.#bytes += gop.data.length;
    for (const [key, old] of this.#gops) {
      if (this.#bytes <= CACHE_BYTES || old === gop) break;
      this.#gops.delete(key);
      this.#bytes -= old.data.length;
    }
  }
}
