// Plays the archive of one camera. Groups of pictures go into Media Source Extensions, each run at
// its own timestamp offset, so that media time is wall time less an origin and gaps stay holes.
// A seek cancels the one before it: the newest wins.

const AHEAD_S = 3;
const KEEP_S = 60;
const ORIGIN_S = 43_200;
/** From here on only the frame at each step is shown. */
const STEP_RATE = 8;
const STEP_MS = 120;

/** @returns {any} */
const mediaSourceClass = () => globalThis.ManagedMediaSource ?? globalThis.MediaSource;
const once = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));

/** Events: "time", "state", "shown" (after a seek), "gap" (detail: {t_us, next_us}), "trouble" (detail: error). */
export class Replay extends EventTarget {
  rate = 1;
  playing = false;
  /** True while a seek or the next group is on its way. */
  waiting = false;
  /** At a place without recording. @type {{t_us: number, next_us: number | null} | null} */
  hole = null;
  /** The picture is still that of another time: the browser has not got to the one asked for. */
  late = false;

  #source = /** @type {any} */ (null);
  #buffer = /** @type {SourceBuffer | null} */ (null);
  #url = "";
  #origin_us = 0;
  #mime = "";
  #run = "";
  #work = Promise.resolve();
  #generation = 0;
  #abort = new AbortController();
  #want_us = 0;
  #seeking = false;
  #pumping = false;
  #pump = 0;
  #last_ms = 0;

  /** @param {HTMLVideoElement} video @param {import("./archive.js").Archive} archive */
  constructor(video, archive) {
    super();
    this.video = video;
    this.archive = archive;
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    this.#pump = setInterval(() => this.#beat(), 100);
  }

  close() {
    clearInterval(this.#pump);
    this.#generation += 1;
    this.#abort.abort();
    this.#drop();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  get position_us() {
    if (this.#seeking || this.hole || !this.#buffer || this.#stepping) return this.#want_us;
    return this.#origin_us + this.video.currentTime * 1e6;
  }

  get #stepping() {
    return this.playing && (this.rate < 0 || this.rate >= STEP_RATE);
  }

  // -- source ---------------------------------------------------------------------------------

  #drop() {
    this.#source = null;
    this.#buffer = null;
    this.#mime = "";
    this.#run = "";
    if (!this.#url) return;
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.video.removeAttribute("src");
    this.video.load();
  }

  async #build(mime, t_us) {
    this.#drop();
    const Source = mediaSourceClass();
    if (!Source?.isTypeSupported(mime)) throw Object.assign(new Error("codec"), { code: "page.codec" });
    this.#origin_us = t_us - ORIGIN_S * 1e6;
    const source = new Source();
    this.#source = source;
    this.#url = URL.createObjectURL(source);
    const opened = once(source, "sourceopen");
    this.video.src = this.#url;
    await opened;
    if (this.#source !== source) return;
    this.#buffer = source.addSourceBuffer(mime);
    this.#mime = mime;
  }

  /** One operation on the buffer at a time, in the order asked. @template T @param {() => Promise<T>} job @returns {Promise<T>} */
  #serial(job) {
    const done = this.#work.then(job);
    this.#work = done.then(() => {}, () => {});
    return done;
  }

  async #append(bytes) {
    const buffer = /** @type {SourceBuffer} */ (this.#buffer);
    const ended = once(buffer, "updateend");
    buffer.appendBuffer(bytes);
    await ended;
  }

  #media(t_us) {
    return (t_us - this.#origin_us) / 1e6;
  }

  #has(gop) {
    const { buffered } = this.video;
    const [from, to] = [this.#media(gop.from_us) + 0.05, this.#media(gop.to_us) - 0.1];
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= from && buffered.end(index) >= to) return true;
    }
    return false;
  }

  /** Put a group into the buffer unless it is there. */
  #ensure(gop) {
    return this.#serial(async () => {
      const init = await this.archive.init(gop.run);
      const far = !this.#buffer || gop.from_us < this.#origin_us + 60e6 || gop.from_us > this.#origin_us + 4 * ORIGIN_S * 1e6;
      if (far || this.video.error) await this.#build(init.mime, gop.from_us);
      const buffer = this.#buffer;
      if (!buffer || this.#has(gop)) return;
      if (this.#run !== gop.run) {
        if (this.#mime !== init.mime) buffer.changeType(init.mime);
        this.#mime = init.mime;
        this.#run = gop.run;
        await this.#append(init.bytes);
      }
      buffer.timestampOffset = this.#media(gop.from_us) - gop.first_s;
      try {
        await this.#append(gop.data);
      } catch {
        // The quota of the browser: make room, then once more.
        await this.#trim(5, gop);
        await this.#append(gop.data);
      }
      if (buffer.buffered.length && buffer.buffered.end(buffer.buffered.length - 1) - buffer.buffered.start(0) > 4 * KEEP_S) await this.#trim(KEEP_S, gop);
    });
  }

  /** Forget what is far from a group: it is where a seek goes, and the element may still be elsewhere. */
  async #trim(keep_s, gop) {
    const buffer = /** @type {SourceBuffer} */ (this.#buffer);
    const [begin_s, end_s] = [this.#media(gop.from_us), this.#media(gop.to_us)];
    const now_s = this.#seeking ? begin_s : this.video.currentTime;
    for (const [from, to] of [[0, Math.min(now_s, begin_s) - keep_s], [Math.max(now_s, end_s) + keep_s, Infinity]]) {
      if (to <= from) continue;
      const ended = once(buffer, "updateend");
      buffer.remove(from, to);
      await ended;
    }
  }

  // -- moving ---------------------------------------------------------------------------------

  /** Show the frame at a time. @param {number} t_us @returns {Promise<boolean>} False if a newer seek took over. */
  async seek(t_us) {
    this.#generation += 1;
    const mine = this.#generation;
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#want_us = t_us;
    this.#seeking = true;
    this.#tell("time");
    try {
      const gop = await this.archive.gop(t_us, this.#abort.signal);
      if (mine !== this.#generation) return false;
      if ("gap" in gop) {
        this.#enterHole(t_us, gop.next_us);
        return true;
      }
      await this.#ensure(gop);
      if (mine !== this.#generation) return false;
      this.hole = null;
      await this.#place(t_us, gop);
      if (mine !== this.#generation) return false;
      this.#tell("shown");
      return true;
    } catch (error) {
      if (mine !== this.#generation || /** @type {any} */ (error)?.name === "AbortError") return false;
      this.#tell("trouble", error);
      return true;
    } finally {
      if (mine === this.#generation) {
        this.#seeking = false;
        this.#tell("time");
        this.#tell("state");
        if (this.playing && !this.#stepping && !this.hole) this.video.play().catch(() => {});
      }
    }
  }

  async #place(t_us, gop) {
    // A quarter of a frame in: on the edge, rounding could show the one before.
    const frame_us = gop.times_us.length > 1 ? gop.times_us[1] - gop.times_us[0] : 40_000;
    const at_us = gop.times_us.findLast((time) => time <= t_us + 1000) ?? gop.from_us;
    const inside = this.playing && !this.#stepping ? Math.min(t_us, gop.to_us - frame_us / 2) : at_us + frame_us / 4;
    const media_s = this.#media(Math.max(inside, gop.from_us + frame_us / 4));
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
    this.video.pause();
    this.#tell("gap", this.hole);
    if (this.playing && next_us && this.rate > 0) this.seek(next_us);
    else if (this.playing && this.rate > 0) this.waiting = true;
  }

  play() {
    this.playing = true;
    this.#last_ms = performance.now();
    if (this.hole?.next_us && this.rate > 0) this.seek(this.hole.next_us);
    this.#applyRate();
  }

  pause() {
    const stepped = this.#stepping;
    this.#want_us = this.position_us;
    this.playing = false;
    this.waiting = false;
    this.video.pause();
    this.#tell("state");
    // A paused element may still show the frame before its own time: settle on the one it names.
    if (this.#buffer && !this.hole && !stepped) this.seek(this.#want_us);
  }

  /** @param {number} rate 0.25 to 32, or negative: backwards. */
  setRate(rate) {
    this.#want_us = this.position_us;
    this.rate = rate;
    if (this.playing) this.#applyRate();
    else this.#tell("state");
  }

  #applyRate() {
    if (this.#stepping) this.video.pause();
    else {
      this.video.playbackRate = this.rate;
      this.video.play().catch(() => {});
    }
    this.#tell("state");
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
    if (this.#stepping) {
      if (this.#seeking || passed_ms < STEP_MS) return;
      this.#last_ms = now_ms;
      const to_us = this.#want_us + this.rate * passed_ms * 1000;
      if (to_us > this.archive.recordedUntil_us && this.rate > 0) this.pause();
      else this.#stepTo(to_us);
      return;
    }
    if (!this.#seeking && !this.#pumping) this.#fill();
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
    const { buffered } = video;
    let end_s = video.currentTime;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= end_s + 0.25 && buffered.end(index) > end_s) end_s = buffered.end(index);
    }
    const ahead_s = end_s - video.currentTime;
    const mine = this.#generation;
    if (ahead_s > AHEAD_S * Math.max(1, this.rate)) return;
    this.#pumping = true;
    try {
      const gop = await this.archive.gop(this.#origin_us + end_s * 1e6 + 30_000, this.#abort.signal);
      if (mine !== this.#generation) return;
      if (!("gap" in gop)) {
        this.waiting = false;
        await this.#ensure(gop);
        if (mine !== this.#generation) return;
        // A hole of a few frames between two groups would stop the element.
        if (gop.from_us > this.#origin_us + (end_s + 0.2) * 1e6 && ahead_s < 0.15) await this.seek(gop.from_us);
        else if (video.paused) video.play().catch(() => {});
      } else if (ahead_s < 0.15) {
        if (gop.next_us) {
          this.#tell("gap", { t_us: this.position_us, next_us: gop.next_us });
          await this.seek(gop.next_us);
        } else this.waiting = true;
      }
    } catch (error) {
      if (/** @type {any} */ (error)?.name !== "AbortError") {
        this.pause();
        this.#tell("trouble", error);
      }
    } finally {
      this.#pumping = false;
    }
  }
}
