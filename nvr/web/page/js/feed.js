// Groups of pictures in an element, through Media Source Extensions: each run at its own timestamp
// offset, so that media time is wall time less an origin and gaps stay holes.

import { Laid } from "./laid.js";
import { hasSound } from "./mse.js";

const KEEP_S = 60;
const ORIGIN_S = 43_200;
/** So much earlier than its pictures the sound of a group may end. */
const SOUND_S = 0.13;
/** A group that was cut off has lost the picture that would have lasted longer. */
const CUT_S = 0.6;

/** @returns {any} */
const mediaSourceClass = () => globalThis.ManagedMediaSource ?? globalThis.MediaSource;
export const once = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));

export class Feed {
  mime = "";
  #source = /** @type {any} */ (null);
  #buffer = /** @type {SourceBuffer | null} */ (null);
  #url = "";
  #origin_us = 0;
  #run = "";
  #work = Promise.resolve();
  #closed = false;
  #laid = new Laid();

  /** @param {HTMLVideoElement} video @param {import("./footage.js").Footage} archive */
  constructor(video, archive) {
    this.video = video;
    this.archive = archive;
  }

  get ready() {
    return this.#buffer !== null;
  }

  close() {
    this.#closed = true;
    this.#drop();
  }

  #drop() {
    this.#source = null;
    this.#buffer = null;
    this.mime = "";
    this.#run = "";
    this.#laid.clear();
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
    this.mime = mime;
  }

  /** One at a time, in the order asked. @template T @param {() => Promise<T>} job @returns {Promise<T>} */
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

  /** Wall time as the element counts. */
  media(t_us) {
    return (t_us - this.#origin_us) / 1e6;
  }

  wall(media_s) {
    return this.#origin_us + media_s * 1e6;
  }

  /** Nothing comes after what is there: the element need not wait for it. */
  finish() {
    return this.#serial(async () => {
      if (this.#source?.readyState === "open") this.#source.endOfStream();
    });
  }

  /** Up to where the element can play from a time. */
  bufferedTo(from_s) {
    const { buffered } = this.video;
    let end_s = from_s;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= end_s + 0.25 && buffered.end(index) > end_s) end_s = buffered.end(index);
    }
    return end_s;
  }

  has(gop) {
    const [from_s, to_s] = [this.media(gop.from_us), this.media(gop.to_us)];
    const places = [from_s + 0.05, (from_s + to_s) / 2, to_s - SOUND_S];
    return this.endOf(gop) >= to_s - (gop.cut ? CUT_S : SOUND_S) && places.every((at) => this.streamAt(at) === gop.stream);
  }

  /** The stream whose picture lies at a time, empty where nothing does. */
  streamAt(media_s) {
    return this.#laid.streamAt(media_s);
  }

  /** Whether a group would hide the end of the other stream's, up to which the element can play. */
  hides(gop, end_s) {
    return gop.from_us < this.wall(end_s - 0.1) && ![gop.stream, ""].includes(this.streamAt(end_s - 0.05));
  }

  /** With sound or without: one source takes only what is like its first. */
  async like(gop) {
    return hasSound((await this.archive.init(gop.run)).mime) === hasSound(this.mime);
  }

  /** Up to where the element can play from the beginning of a group. */
  endOf(gop) {
    return this.bufferedTo(this.media(gop.from_us) + 0.05);
  }

  /** Put a group into the buffer unless it is there. @param {any} gop @param {number | null} [at_s] Where the element is; null: it is on its way there. */
  ensure(gop, at_s = null) {
    return this.#serial(async () => {
      const init = await this.archive.init(gop.run);
      // The element belongs to the next one by now: another camera's picture would stand under its name.
      if (this.#closed) return;
      const far = !this.#buffer || gop.from_us < this.#origin_us + 60e6 || gop.from_us > this.#origin_us + 4 * ORIGIN_S * 1e6;
      if (far || this.video.error || hasSound(init.mime) !== hasSound(this.mime)) await this.#build(init.mime, gop.from_us);
      const buffer = this.#buffer;
      if (!buffer || this.has(gop)) return;
      if (this.#run !== gop.run) {
        if (this.mime !== init.mime) buffer.changeType(init.mime);
        this.mime = init.mime;
        this.#run = gop.run;
        await this.#append(init.bytes);
      }
      buffer.timestampOffset = this.media(gop.from_us) - gop.first_s;
      buffer.appendWindowEnd = gop.cut ? this.media(gop.to_us) : Infinity;
      try {
        await this.#append(gop.data);
      } catch {
        // The quota of the browser: make room, then once more.
        await this.#trim(5, gop, at_s);
        await this.#append(gop.data);
      }
      this.#laid.add(this.media(gop.from_us), this.media(gop.to_us), gop.stream);
      if (buffer.buffered.length && buffer.buffered.end(buffer.buffered.length - 1) - buffer.buffered.start(0) > 4 * KEEP_S) await this.#trim(KEEP_S, gop, at_s);
    });
  }

  /** Forget what is far from a group: it is where a seek goes, and the element may still be elsewhere. */
  async #trim(keep_s, gop, at_s) {
    const buffer = /** @type {SourceBuffer} */ (this.#buffer);
    const [begin_s, end_s] = [this.media(gop.from_us), this.media(gop.to_us)];
    const now_s = at_s ?? begin_s;
    for (const [from, to] of [[0, Math.min(now_s, begin_s) - keep_s], [Math.max(now_s, end_s) + keep_s, Infinity]]) {
      if (to <= from) continue;
      const ended = once(buffer, "updateend");
      buffer.remove(from, to);
      await ended;
    }
  }
}
