// Recordings that the box converts: what this browser lacks the codec of, or may show only with the
// masks burned in. Over one WebSocket, whose end frees the converter for others.

import { Problem, socketUrl } from "./api.js";

/** How much the newest measurement counts. */
const NEW = 0.3;

export class Converter {
  /** So many times as fast as they were recorded pictures are converted; 0: not known yet. */
  speed = 0;
  #socket = /** @type {WebSocket | null} */ (null);
  /** @type {Map<number, {said: string, key: boolean, resolve: (found: any) => void, reject: (error: any) => void}>} */
  #asked = new Map();
  #n = 0;

  /** @param {string} camera @param {string} stream */
  constructor(camera, stream) {
    this.path = `/ws/playback/${encodeURIComponent(camera)}?stream=${stream}`;
  }

  /** Let others have the converter; the next question takes it again. */
  close() {
    const socket = this.#socket;
    this.#socket = null;
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
    this.#fail(new DOMException("left", "AbortError"));
  }

  #fail(error) {
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
  }

  /**
   * The group of pictures of a time.
   * @param {number} t_us @param {boolean} key Only its key frame. @param {AbortSignal} [signal] @param {boolean} [sound] With its sound. @returns {Promise<any>}
   */
  ask(t_us, key, signal, sound = true) {
    const n = (this.#n += 1);
    return new Promise((resolve, reject) => {
      const stop = () => {
        reject(new DOMException("dropped", "AbortError"));
        if (this.#asked.delete(n)) this.#send(JSON.stringify({ op: "drop", n }));
      };
      if (signal?.aborted) {
        stop();
        return;
      }
      signal?.addEventListener("abort", stop, { once: true });
      const said = JSON.stringify({ op: "gop", n, t_us: Math.round(t_us), key, sound });
      this.#asked.set(n, { said, key, resolve, reject });
      if (this.#socket) this.#send(said);
      else this.#open();
    });
  }

  #send(text) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  #open() {
    const socket = new WebSocket(socketUrl(this.path));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      for (const { said } of this.#asked.values()) socket.send(said);
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket === socket) this.#take(data);
    };
    socket.onclose = (event) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (event.code === 4401) window.dispatchEvent(new CustomEvent("nvr-signed-out"));
      this.#fail(new Problem(0, "page.offline", ""));
    };
  }

  #take(data) {
    const wrong = typeof data === "string";
    const size = wrong ? 0 : new DataView(data).getUint32(0, true);
    const head = JSON.parse(wrong ? data : new TextDecoder().decode(new Uint8Array(data, 4, size)));
    const asked = this.#asked.get(head.n);
    if (!asked) return;
    this.#asked.delete(head.n);
    if (wrong) {
      const { code, detail, context } = head.refused;
      asked.reject(new Problem(0, code, detail, context));
      return;
    }
    // One key frame says nothing of how fast all of them are made.
    if (head.speed && !asked.key) this.speed += (head.speed - this.speed) * (this.speed ? NEW : 1);
    const body = new Uint8Array(data, 4 + size);
    asked.resolve({ ...head, init: body.slice(0, head.init), data: body.slice(head.init) });
  }
}
