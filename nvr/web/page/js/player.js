// Live picture of one camera over a WebSocket. The group of pictures so far is kept, so that a tile
// can change between the buffered way (MSE) and the direct one (WebCodecs) without asking anew.

import { socketUrl } from "./api.js";
import { canDirect, DirectSink } from "./direct.js";
import { samples, tracks } from "./mp4.js";
import { canStream, MseSink, onlySoundUnknown } from "./mse.js";

const PREFIX_BYTES = 12;
const RETRY_MS = [250, 500, 1000, 2000, 4000];
const HIDDEN_MS = 5000;
const MOST_KEPT = 600;
/** A picture of the other stream stands in for so long. */
const OLD_MS = 1500;

/** Events: "state" (detail: the box's state message), "config", "drawn", "trouble" (detail: code). */
export class Player extends EventTarget {
  /** @type {{mime: string, width_px: number, height_px: number, codec: string} | null} */
  config = null;
  /** A frame of this connection is on the screen. */
  drawn = false;
  stats = { fps: 0, bps: 0, delay_ms: 0, lag_ms: 0 };
  /** Steered by hand: as little delay as the browser can do. */
  #urgent = false;
  /** This computer could not keep up with the direct way. */
  #slow = false;

  #socket = /** @type {WebSocket | null} */ (null);
  #init = /** @type {Uint8Array | null} */ (null);
  #track = /** @type {import("./mp4.js").Track} */ ({ id: 1, kind: "video", timescale: 90000, duration: 0, description: null });
  #sink = /** @type {MseSink | DirectSink | null} */ (null);
  #next = /** @type {MseSink | DirectSink | null} */ (null);
  #kept = /** @type {any[]} */ ([]);
  #tries = 0;
  #timer = 0;
  #beat = 0;
  #hidden = 0;
  #on = false;
  /** Asked for once this browser did not take the camera's sound. */
  #quiet = "";
  #small = "";
  /** What else is converted for this person may be given up for it. */
  #first = true;
  /** Why the box does not convert it, as it says. @type {{code: string, context: Record<string, string>} | null} */
  refused = null;
  /** Whether the camera has no other stream to try first. */
  alone = () => true;
  /** Which of the camera's streams. */
  which = "main";
  /** The picture shown is the other stream's, until this one's comes. */
  #old = 0;
  #offset_us = Infinity;
  #window = { at_ms: 0, frames: 0, bytes: 0 };
  #asked = 0;
  #onVisible = () => this.#visibility();

  /** @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @param {string} camera @param {() => number} rtt_ms */
  constructor(video, canvas, camera, rtt_ms = () => 0) {
    super();
    this.video = video;
    this.canvas = canvas;
    this.camera = camera;
    this.rtt_ms = rtt_ms;
    video.muted = true;
    video.autoplay = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    canvas.hidden = true;
  }

  /** The element with the picture. @returns {HTMLVideoElement | HTMLCanvasElement} */
  get picture() {
    return this.canvas.hidden ? this.video : this.canvas;
  }

  get size() {
    const { picture } = this;
    return picture instanceof HTMLVideoElement ? { width: picture.videoWidth, height: picture.videoHeight } : picture;
  }

  open() {
    if (this.#on) return;
    this.#on = true;
    document.addEventListener("visibilitychange", this.#onVisible);
    this.#beat = setInterval(() => this.#watch(), 100);
    this.#connect();
  }

  close() {
    if (!this.#on) return;
    this.#on = false;
    document.removeEventListener("visibilitychange", this.#onVisible);
    clearTimeout(this.#timer);
    clearTimeout(this.#hidden);
    clearInterval(this.#beat);
    this.#hangUp();
    this.#drop();
  }

  /** @param {boolean} urgent */
  setUrgent(urgent) {
    if (this.#urgent === urgent) return;
    this.#urgent = urgent;
    this.#first = true;
    this.#slow = false;
    if (this.#init) this.#choose();
  }

  /** Show another stream of the camera; the picture stays until it comes. @param {"main" | "sub"} which */
  setStream(which) {
    if (this.which === which) return;
    this.which = which;
    this.#small = "";
    if (!this.#on) return;
    clearTimeout(this.#old);
    this.#old = this.#sink ? setTimeout(() => { this.#forgetOld(); this.#choose(); }, OLD_MS) : 0;
    this.#asked += 1;
    this.#next?.close();
    this.#next = null;
    this.#init = null;
    this.config = null;
    this.#kept.length = 0;
    this.#offset_us = Infinity;
    this.#tries = 0;
    this.#hangUp();
    this.#connect();
  }

  /** Let go of the other stream's picture, but not of what came of this one. */
  #forgetOld() {
    const kept = [...this.#kept];
    this.#drop();
    this.#kept.push(...kept);
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
    // Closed while still connecting, a socket leaves an error on the console.
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }

  #connect() {
    clearTimeout(this.#timer);
    if (!this.#on || this.#socket || document.hidden) return;
    const socket = new WebSocket(socketUrl(`/ws/live/${encodeURIComponent(this.camera)}?stream=${this.which}${this.#quiet}${this.#small}${this.#urgent && this.#first ? "&first=1" : ""}`));
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
    this.#trouble(code);
    this.#hangUp();
    this.#drop();
    this.#later();
  }

  #trouble(code) {
    this.dispatchEvent(new CustomEvent("trouble", { detail: code }));
  }

  #text(message) {
    if (message.type === "refused") {
      this.refused = message;
      // Two of one person would take it from each other for ever.
      if (message.code === "recode.given_up") this.#first = false;
      this.#trouble(message.code);
    }
    if (message.type === "state") this.dispatchEvent(new CustomEvent("state", { detail: message }));
    if (message.type !== "config") return;
    if (onlySoundUnknown(message.mime)) {
      this.#quiet = "&sound=no";
      this.#hangUp();
      this.#connect();
      return;
    }
    this.config = message;
    this.#init = null;
    if (!this.#old) this.#drop();
    this.dispatchEvent(new CustomEvent("config"));
  }

  #drop() {
    clearTimeout(this.#old);
    this.#old = 0;
    this.#asked += 1;
    this.#sink?.close();
    this.#next?.close();
    this.#sink = null;
    this.#next = null;
    this.#kept.length = 0;
    this.canvas.hidden = true;
    this.#setDrawn(false);
  }

  #binary(message) {
    if (this.config && !this.#init) {
      this.#init = message;
      const all = tracks(message);
      this.#track = all.find((track) => track.kind === "video") ?? this.#track;
      this.#choose();
      return;
    }
    if (message.length <= PREFIX_BYTES || !this.#init) return;
    const view = new DataView(message.buffer, message.byteOffset, PREFIX_BYTES);
    const data = message.subarray(PREFIX_BYTES);
    const wall_us = Number(view.getBigUint64(4, true));
    const units = samples(data, this.#track).map((unit) => ({ ...unit, pts_s: unit.time / this.#track.timescale }));
    const fragment = { data, wall_us, key: (view.getUint8(0) & 1) === 1 && units.length > 0, units };
    if (fragment.key || this.#kept.length > MOST_KEPT) this.#kept.length = 0;
    this.#kept.push(fragment);
    this.#window.bytes += data.length;
    if (units.length) {
      this.#window.frames += units.length;
      // The message that waited least on the way tells how the two clocks stand to each other.
      this.#offset_us = Math.min(this.#offset_us + 1, Date.now() * 1000 - wall_us);
    }
    if (!this.#old) this.#sink?.push(fragment);
    this.#next?.push(fragment);
  }

  /** Pick how to draw, and bring it up from the group so far while the old way still shows. */
  async #choose() {
    this.#asked += 1;
    const mine = this.#asked;
    const config = this.config;
    if (!config || !this.#init) return;
    const codec = videoCodec(config.mime);
    const direct = this.#urgent && !this.#slow && this.video.muted && (await canDirect(codec, this.#track.description));
    if (mine !== this.#asked || !this.#on) return;
    this.#next?.close();
    this.#next = null;
    if (this.#sink instanceof (direct ? DirectSink : MseSink)) {
      if (!this.#old) return;
      // Both ways draw into one element each: the other stream's picture cannot stay in it.
      this.#forgetOld();
    }
    if (!direct && !canStream(config.mime) && !this.#small && (this.which === "sub" || this.alone())) {
      // The box can make a small picture of it that any browser knows, of one stream at a time.
      this.#small = "&video=h264";
      this.#init = null;
      this.config = null;
      this.#hangUp();
      this.#connect();
      return;
    }
    if (!direct && !canStream(config.mime)) {
      this.#trouble("page.codec");
      return;
    }
    const told = {
      frame: (pts_s, shown_ms) => this.#frame(next, pts_s, shown_ms),
      failed: (code) => this.#failed(next, code),
    };
    /** @type {MseSink | DirectSink} */
    const next = direct ? new DirectSink(this.canvas, codec, this.#track.description, told)
      : new MseSink(this.video, config.mime, this.#init, told);
    if (this.#sink) this.#next = next;
    else {
      clearTimeout(this.#old);
      this.#old = 0;
      this.#sink = next;
    }
    this.#kept.forEach((fragment) => next.push(fragment, true));
  }

  #failed(sink, code) {
    if (sink instanceof DirectSink) {
      // The buffered way can do more with less.
      this.#slow = true;
      if (sink === this.#next) this.#next = null;
      if (sink === this.#sink) this.#sink = null;
      sink.close();
      this.canvas.hidden = true;
      this.#choose();
    } else if (sink === this.#sink || sink === this.#next) this.#again(code);
  }

  #frame(sink, pts_s, shown_ms) {
    if (sink === this.#next) {
      clearTimeout(this.#old);
      this.#old = 0;
      this.#sink?.close();
      this.#sink = sink;
      this.#next = null;
      this.stats.delay_ms = 0;
    }
    if (sink !== this.#sink) return;
    this.canvas.hidden = !(sink instanceof DirectSink);
    this.#tries = 0;
    this.#setDrawn(true);
    const arrival = this.#kept.findLast((item) => item.units.some((unit) => Math.abs(unit.pts_s - pts_s) < 0.002));
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
    this.#sink?.hold();
    this.stats.lag_ms = this.#sink?.lag_ms ?? 0;
    const now_ms = performance.now();
    const span_s = (now_ms - this.#window.at_ms) / 1000;
    if (span_s < 1) return;
    this.stats.fps = this.#window.frames / span_s;
    this.stats.bps = (this.#window.bytes * 8) / span_s;
    this.#window = { at_ms: now_ms, frames: 0, bytes: 0 };
  }

  /** Sound needs the buffered way. @param {boolean} on */
  setSound(on) {
    this.video.muted = !on;
    if (this.#init) this.#choose();
  }
}

/** avc1.42c01f of `video/mp4; codecs="avc1.42c01f,mp4a.40.2"`. @param {string} mime */
export const videoCodec = (mime) => /\b((?:avc|hvc|hev)[13]\.[\w.]+)/.exec(mime)?.[1] ?? "";
