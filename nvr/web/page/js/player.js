// Live picture of one camera: fragments over a WebSocket into Media Source Extensions.
// One access unit a fragment and an init without `mehd` put Chromium into its low-delay mode;
// the distance to the live edge is held by playback rate, and a seek happens only when the picture
// is seconds behind or in a hole (a seek per hiccup kills hardware decoders).

import { cameraPath, socketUrl } from "./api.js";
import { sampleTimes, tracks } from "./mp4.js";

const PREFIX_BYTES = 12;
const FAR_S = 2.5;
const KEEP_S = 8;
const RETRY_MS = [250, 500, 1000, 2000, 4000];
const HIDDEN_MS = 5000;

/** ManagedMediaSource is all an iPhone has. @returns {any} */
const mediaSourceClass = () => globalThis.ManagedMediaSource ?? globalThis.MediaSource;

/** Events: "state" (detail: the box's state message), "config", "drawn", "trouble" (detail: code). */
export class Player extends EventTarget {
  /** @type {{mime: string, width_px: number, height_px: number, codec: string} | null} */
  config = null;
  /** A frame of this connection is on the screen. */
  drawn = false;
  stats = { fps: 0, bps: 0, delay_ms: 0, lag_ms: 0 };

  #socket = /** @type {WebSocket | null} */ (null);
  #source = /** @type {any} */ (null);
  #buffer = /** @type {SourceBuffer | null} */ (null);
  #url = "";
  #queue = /** @type {Uint8Array[]} */ ([]);
  #track = { id: 1, kind: "video", timescale: 90000, duration: 0 };
  #wantsInit = false;
  #tries = 0;
  #timer = 0;
  #beat = 0;
  #hidden = 0;
  #on = false;
  #arrivals = /** @type {{pts_s: number, wall_us: number}[]} */ ([]);
  #offset_us = Infinity;
  #window = { at_ms: 0, frames: 0, bytes: 0 };
  #jumped_ms = 0;
  #started = false;
  #onVisible = () => this.#visibility();

  /** @param {HTMLVideoElement} video @param {string} camera @param {() => number} rtt_ms */
  constructor(video, camera, rtt_ms = () => 0) {
    super();
    this.video = video;
    this.camera = camera;
    this.rtt_ms = rtt_ms;
    video.muted = true;
    video.autoplay = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    video.addEventListener("error", () => this.#on && this.#source && this.#again("page.decode"));
    if (video.requestVideoFrameCallback) {
      const frame = (_, meta) => {
        this.#frame(meta.mediaTime, meta.presentationTime ?? performance.now());
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
    } else video.addEventListener("timeupdate", () => this.#frame(video.currentTime, performance.now()));
  }

  open() {
    if (this.#on) return;
    this.#on = true;
    document.addEventListener("visibilitychange", this.#onVisible);
    this.#beat = setInterval(() => this.#watch(), 100);
    this.#connect();
  }

  close() {
    this.#on = false;
    document.removeEventListener("visibilitychange", this.#onVisible);
    clearTimeout(this.#timer);
    clearTimeout(this.#hidden);
    clearInterval(this.#beat);
    this.#hangUp();
    this.#tearDown();
  }

  #visibility() {
    clearTimeout(this.#hidden);
    if (document.hidden) this.#hidden = setTimeout(() => this.#hangUp(), HIDDEN_MS);
    else if (this.#on && !this.#socket) {
      this.#tries = 0;
      this.#connect();
    }
  }

  #hangUp() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #connect() {
    clearTimeout(this.#timer);
    if (!this.#on || this.#socket || document.hidden) return;
    const socket = new WebSocket(socketUrl(`/ws/live/${encodeURIComponent(this.camera)}`));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onmessage = (event) => {
      if (typeof event.data === "string") this.#text(JSON.parse(event.data));
      else this.#binary(new Uint8Array(event.data));
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#later();
    };
  }

  #later() {
    this.#setDrawn(false);
    const wait_ms = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
    this.#tries += 1;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), wait_ms);
  }

  /** Start over with a new connection and a new source. */
  #again(code) {
    this.dispatchEvent(new CustomEvent("trouble", { detail: code }));
    this.#hangUp();
    this.#tearDown();
    this.#later();
  }

  #text(message) {
    if (message.type === "state") this.dispatchEvent(new CustomEvent("state", { detail: message }));
    if (message.type !== "config") return;
    this.config = message;
    this.dispatchEvent(new CustomEvent("config"));
    this.#wantsInit = true;
    this.#queue.length = 0;
    const Source = mediaSourceClass();
    if (!Source || !Source.isTypeSupported(message.mime)) {
      this.dispatchEvent(new CustomEvent("trouble", { detail: "page.codec" }));
      this.#tearDown();
      return;
    }
    this.#build(message.mime);
  }

  #build(mime) {
    this.#tearDown();
    const source = new (mediaSourceClass())();
    this.#source = source;
    this.#url = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => {
      if (this.#source !== source) return;
      const buffer = source.addSourceBuffer(mime);
      buffer.addEventListener("updateend", () => this.#feed());
      buffer.addEventListener("error", () => this.#source === source && this.#again("page.decode"));
      this.#buffer = buffer;
      this.#feed();
    }, { once: true });
    this.video.src = this.#url;
    this.video.play().catch(() => {
      // A browser that wants a tap first: the element still shows the first frame.
    });
  }

  #tearDown() {
    this.#source = null;
    this.#buffer = null;
    this.#started = false;
    this.#queue.length = 0;
    this.#arrivals.length = 0;
    if (this.#url) {
      URL.revokeObjectURL(this.#url);
      this.#url = "";
      this.video.removeAttribute("src");
      this.video.load();
    }
    this.#setDrawn(false);
  }

  #binary(message) {
    if (this.#wantsInit) {
      this.#wantsInit = false;
      const all = tracks(message);
      this.#track = all.find((track) => track.kind === "video") ?? this.#track;
      this.#queue.push(message);
      this.#feed();
      return;
    }
    if (message.length <= PREFIX_BYTES || !this.#source) return;
    const view = new DataView(message.buffer, message.byteOffset, PREFIX_BYTES);
    const wall_us = Number(view.getBigUint64(4, true));
    const data = message.subarray(PREFIX_BYTES);
    const times = sampleTimes(data, this.#track.id, this.#track.duration);
    if (times.length) {
      this.#arrivals.push({ pts_s: times[0] / this.#track.timescale, wall_us });
      if (this.#arrivals.length > 200) this.#arrivals.splice(0, 100);
      this.#window.frames += times.length;
      // The message that waited least on the way tells how the two clocks stand to each other.
      this.#offset_us = Math.min(this.#offset_us + 1, Date.now() * 1000 - wall_us);
    }
    this.#window.bytes += data.length;
    this.#queue.push(data);
    if (this.#queue.length > 400) {
      this.#again("page.slow_player");
      return;
    }
    this.#feed();
  }

  #feed() {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || !this.#queue.length) {
      this.#edge();
      return;
    }
    const chunk = this.#queue.length === 1 ? this.#queue[0] : joined(this.#queue);
    this.#queue.length = 0;
    try {
      buffer.appendBuffer(chunk);
    } catch {
      // QuotaExceededError or a source that closed under us: only a new source helps.
      this.#again("page.decode");
    }
  }

  /** Hold the live edge. */
  #edge() {
    const { video } = this;
    const ranges = video.buffered;
    if (!this.#buffer || !ranges.length) return;
    const last = ranges.length - 1;
    const [from, end] = [ranges.start(last), ranges.end(last)];
    const now_ms = performance.now();
    if (!this.#started) {
      this.#started = true;
      video.currentTime = Math.max(from, end - 0.02);
      this.#jumped_ms = now_ms;
      return;
    }
    const lag_s = end - video.currentTime;
    this.stats.lag_ms = lag_s * 1000;
    const hole = video.currentTime < from - 0.001;
    if ((hole || lag_s > FAR_S) && now_ms - this.#jumped_ms > 1500) {
      this.#jumped_ms = now_ms;
      video.currentTime = hole ? from : end - 0.05;
    }
    const rate = lag_s > 0.6 ? 1.5 : lag_s > 0.2 ? 1.15 : lag_s > 0.09 ? 1.05 : 1;
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (video.paused && !video.ended) video.play().catch(() => {});
    if (!this.#buffer.updating && video.currentTime - ranges.start(0) > 3 * KEEP_S) {
      this.#buffer.remove(0, video.currentTime - KEEP_S);
    }
  }

  #frame(mediaTime_s, shown_ms) {
    if (!this.#source) return;
    this.#tries = 0;
    this.#setDrawn(true);
    const arrival = this.#arrivals.findLast((item) => Math.abs(item.pts_s - mediaTime_s) < 0.002);
    if (!arrival) return;
    const shown_us = (performance.timeOrigin + shown_ms) * 1000;
    const delay_ms = (shown_us - arrival.wall_us - this.#offset_us) / 1000 + this.rtt_ms() / 2;
    this.stats.delay_ms += (Math.max(0, delay_ms) - this.stats.delay_ms) * (this.stats.delay_ms ? 0.1 : 1);
  }

  #setDrawn(drawn) {
    if (this.drawn === drawn) return;
    this.drawn = drawn;
    this.dispatchEvent(new CustomEvent("drawn"));
  }

  #watch() {
    this.#edge();
    const now_ms = performance.now();
    const span_s = (now_ms - this.#window.at_ms) / 1000;
    if (span_s < 1) return;
    this.stats.fps = this.#window.frames / span_s;
    this.stats.bps = (this.#window.bytes * 8) / span_s;
    this.#window = { at_ms: now_ms, frames: 0, bytes: 0 };
  }

  /** Path of the box's own still, where it has one. */
  get stillPath() {
    return cameraPath(this.camera, "/snapshot");
  }
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
