// What the page knows of the box: who is logged in, cameras, domes, the box's clock, and the
// control channel that brings all of it.

import * as api from "./api.js";
import { BadPack, pack, unpack } from "./msgpack.js";

/**
 * @typedef {{state: string, since_us: number, code: string, detail: string, codec: string, width_px: number, height_px: number,
 *   fps: number, bitrate_bps: number, health: Health, recorded: boolean, recorded_until_us: number, not_recorded: {since_us: number, cause: string, code: string} | null}} Sub
 * @typedef {{state: "connecting" | "recording" | "watched" | "degraded" | "lost" | "off", since_us: number, why: {code: string, since_us: number, value: number, limit: number}[], tolerated: {code: string}[],
 *   next_try_us: number, failures: number, last: {code: string, detail: string, at_us: number} | null}} Health
 * @typedef {{name: string, title: string, state: string, since_us: number, code: string,
 *   detail: string, codec: string, width_px: number, height_px: number, fps: number,
 *   bitrate_bps: number, health: Health, recorded_until_us: number, record_behind: boolean, retain_h: number, guaranteed_h: number, limit_h: number, limit_gb: number, not_recorded: {since_us: number, cause: string, code: string} | null, sub: Sub | null,
 *   ptz: {presets: {number: number, name: string}[], wiper: boolean, lamp: boolean, washer: boolean} | null,
 *   caption: object | null, caption_burned: boolean, masks: object[], masks_burned: boolean, mask_burn: string, rights: string[]}} Camera
 * @typedef {{holder: {name: string, source: string, since_us: number, mine: boolean, until_us: number, taken: boolean} | null,
 *   online: boolean, moving: boolean, rearm: boolean, position: {pan_deg: number, tilt_deg: number, zoom: number} | null,
 *   outputs: Record<string, boolean>, asked: string,
 *   lock: {name: string, since_us: number, until_us: number, reason: string, mine: boolean} | null,
 *   auto: {what: string, state: "running" | "paused" | "waiting" | "recording", until_us: number, preset: number, by: string} | null}} Dome
 */

const RETRY_MS = [300, 600, 1200, 2400, 4000];
const SILENT_MS = 5000;

/**
 * Events: "info" (box or user), "cameras" (list as it stands), "roster" (a camera came, went or
 * changed its name), "dome" (detail: camera), "link", "stopped" (detail: {cam, sent_ms}), "refused".
 */
export class Box extends EventTarget {
  info = { claimed: true, name: "", version: "", now_us: 0, clock: { state: "unsynced", uncertainty_ms: 0 }, user: null };
  /** @type {Camera[]} */
  cameras = [];
  /** True once the list has come from the box at least once. */
  known = false;
  /** @type {Map<string, Dome>} */
  domes = new Map();
  /** @type {"off" | "up" | "down"} */
  link = "off";
  downSince_ms = 0;
  rtt_ms = 0;

  #socket = /** @type {WebSocket | null} */ (null);
  #tries = 0;
  #timer = 0;
  #ping = 0;
  #heard_ms = 0;
  #offsets = /** @type {number[]} */ ([]);
  #waiting = new Map();
  #id = 0;
  #roster = "";

  /** @param {string} type @param {any} [detail] */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async load() {
    this.#info(await api.get("/api/box"));
    return this.info;
  }

  #info(info) {
    this.info = { ...this.info, ...info };
    if (info.now_us) {
      // The freshest of the last samples is the one that waited least on the way.
      this.#offsets.push(Date.now() * 1000 - info.now_us);
      if (this.#offsets.length > 30) this.#offsets.shift();
    }
    this.tell("info");
  }

  /** The box's wall clock now, as well as this page can know it. */
  get now_us() {
    const offset = this.#offsets.length ? Math.min(...this.#offsets) : 0;
    return Date.now() * 1000 - offset + this.rtt_ms * 500;
  }

  /** @param {string} name @returns {Camera | undefined} */
  camera(name) {
    return this.cameras.find((camera) => camera.name === name);
  }

  /** @param {string} name @param {string} right */
  may(name, right) {
    return this.camera(name)?.rights.includes(right) ?? false;
  }

  get admin() {
    return this.info.user?.role === "admin";
  }

  async loadCameras() {
    this.#cameras(await api.get("/api/camera"));
  }

  /** @param {Camera[]} cameras */
  #cameras(cameras) {
    this.cameras = cameras;
    const roster = JSON.stringify(cameras.map((c) => [c.name, c.title, c.rights, c.ptz, c.state === "unsupported", Boolean(c.sub)]));
    const first = !this.known;
    this.known = true;
    if (roster !== this.#roster || first) {
      this.#roster = roster;
      this.tell("roster");
    }
    this.tell("cameras");
  }

  // -- the control channel ------------------------------------------------------------------

  open() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(api.socketUrl("/ws/control"));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heard_ms = performance.now();
    socket.onopen = () => {
      this.#tries = 0;
      this.#setLink("up");
      this.send({ op: "ping", t: performance.now() });
      clearInterval(this.#ping);
      this.#ping = setInterval(() => this.#beat(), 1000);
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      clearInterval(this.#ping);
      for (const [, wait] of this.#waiting) wait.reject(new api.Problem(0, "page.offline", ""));
      this.#waiting.clear();
      this.domes.clear();
      this.#setLink("down");
      this.tell("dome", null);
      const wait_ms = RETRY_MS[Math.min(this.#tries, RETRY_MS.length - 1)];
      this.#tries += 1;
      this.#timer = setTimeout(() => this.#retry(), wait_ms);
    };
  }

  async #retry() {
    // A session that ended looks like a lost link to a WebSocket; HTTP tells them apart.
    try {
      const info = await this.load();
      if (!info.user) {
        window.dispatchEvent(new CustomEvent("nvr-signed-out"));
        return;
      }
    } catch {
      // Still away: the next try asks again.
    }
    this.open();
  }

  close() {
    clearTimeout(this.#timer);
    clearInterval(this.#ping);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.link = "off";
    this.cameras = [];
    this.known = false;
    this.#roster = "";
    this.domes.clear();
  }

  #setLink(link) {
    if (this.link === link) return;
    if (link === "down" && this.link !== "down") this.downSince_ms = performance.now();
    this.link = link;
    this.tell("link");
  }

  #beat() {
    if (performance.now() - this.#heard_ms > SILENT_MS) {
      // Half-open: nothing came for five states in a row. close() alone may wait for the peer.
      const socket = this.#socket;
      socket?.close();
      socket?.onclose?.(new CloseEvent("close"));
      return;
    }
    this.send({ op: "ping", t: performance.now() });
  }

  get backlog() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param {object} message @returns {boolean} False if there is no link. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(pack(message));
    return true;
  }

  /** Send and wait for the box's answer. @param {object} message @returns {Promise<any>} */
  ask(message) {
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve, reject) => {
      if (!this.send({ ...message, id })) {
        reject(new api.Problem(0, "page.offline", ""));
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new api.Problem(0, "page.slow", ""));
      }, 5000);
      const done = (settle) => (value) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        settle(value);
      };
      this.#waiting.set(id, { resolve: done(resolve), reject: done(reject) });
    });
  }

  /** @param {ArrayBuffer | string} data */
  #receive(data) {
    this.#heard_ms = performance.now();
    if (typeof data === "string") return;
    let message;
    try {
      message = unpack(data);
    } catch (error) {
      if (error instanceof BadPack) return;
      throw error;
    }
    const wait = message.id === undefined || message.id === null ? null : this.#waiting.get(message.id);
    switch (message.op) {
      case "pong": {
        const rtt = performance.now() - message.t;
        this.rtt_ms = this.rtt_ms ? Math.min(rtt, this.rtt_ms * 1.1) : rtt;
        this.tell("rtt");
        break;
      }
      case "state":
        // Who is logged in is known from HTTP, where it was decided.
        if (message.box) this.#info({ ...message.box, user: this.info.user, claimed: this.info.claimed });
        if (message.cameras) this.#cameras(message.cameras);
        break;
      case "ptz":
        this.domes.set(message.cam, message);
        this.tell("dome", message.cam);
        break;
      case "stopped":
        this.tell("stopped", message);
        break;
      case "ok":
        wait?.resolve(message);
        break;
      case "error": {
        const problem = new api.Problem(0, message.code ?? "", message.detail ?? "", { ...(message.context ?? {}) });
        if (wait) wait.reject(problem);
        else this.tell("refused", { cam: message.cam, problem });
        break;
      }
      default:
    }
  }
}
