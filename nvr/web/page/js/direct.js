// Draws access units as they come, through WebCodecs: no buffer to hold, the frame is on the canvas
// as soon as it is decoded. For the one tile a hand is steering. A computer that cannot keep up
// drops to the next key frame, and after doing so again and again is told to use the buffered way.

const MOST_WAITING = 4;
const DROPS = 4;
const DROPS_MS = 15_000;

/** What a decoder is asked for. */
const wanted = (codec, description) => ({ codec, optimizeForLatency: true, ...(description ? { description } : {}) });

/** @param {string} codec @param {Uint8Array | null} description */
export async function canDirect(codec, description) {
  if (!("VideoDecoder" in globalThis) || !description) return false;
  try {
    return (await VideoDecoder.isConfigSupported(wanted(codec, description))).supported ?? false;
  } catch {
    return false;
  }
}

export class DirectSink {
  lag_ms = 0;
  #decoder;
  #context;
  #needsKey = true;
  #drops = /** @type {number[]} */ ([]);
  #closed = false;
  /** Frames up to here are decoded but not drawn: the past, on the way to now. */
  #skipTo_us = -Infinity;

  /**
   * @param {HTMLCanvasElement} canvas @param {string} codec @param {Uint8Array | null} description
   * @param {{frame: (pts_s: number, shown_ms: number) => void, failed: (code: string) => void}} told
   */
  constructor(canvas, codec, description, told) {
    this.canvas = canvas;
    this.told = told;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false, desynchronized: true }));
    this.#decoder = new VideoDecoder({
      output: (frame) => this.#draw(frame),
      error: () => this.#fail("page.decode"),
    });
    this.#decoder.configure(wanted(codec, description));
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#decoder.state !== "closed") this.#decoder.close();
  }

  #fail(code) {
    if (!this.#closed) this.told.failed(code);
  }

  hold() {}

  /**
   * @param {{data: Uint8Array, key: boolean, units: {pts_s: number, at: number, size: number}[]}} fragment
   * @param {boolean} [past] Part of a group that is being caught up with.
   */
  push(fragment, past = false) {
    if (this.#closed) return;
    if (!past && this.#decoder.decodeQueueSize > MOST_WAITING && !this.#needsKey) this.#drop();
    if (this.#needsKey && !fragment.key) return;
    this.#needsKey = false;
    fragment.units.forEach((unit, index) => {
      const timestamp = Math.round(unit.pts_s * 1e6);
      if (past) this.#skipTo_us = timestamp;
      try {
        this.#decoder.decode(new EncodedVideoChunk({
          type: fragment.key && index === 0 ? "key" : "delta", timestamp,
          data: fragment.data.subarray(unit.at, unit.at + unit.size),
        }));
      } catch {
        this.#fail("page.decode");
      }
    });
  }

  #drop() {
    this.#needsKey = true;
    const now_ms = performance.now();
    this.#drops = [...this.#drops.filter((at) => now_ms - at < DROPS_MS), now_ms];
    if (this.#drops.length >= DROPS) this.#fail("page.slow_player");
  }

  #draw(frame) {
    if (this.#closed || frame.timestamp < this.#skipTo_us) {
      frame.close();
      return;
    }
    const { canvas } = this;
    if (canvas.width !== frame.displayWidth || canvas.height !== frame.displayHeight) {
      canvas.width = frame.displayWidth;
      canvas.height = frame.displayHeight;
    }
    this.#context.drawImage(frame, 0, 0);
    const pts_s = frame.timestamp / 1e6;
    frame.close();
    this.told.frame(pts_s, performance.now());
  }
}
