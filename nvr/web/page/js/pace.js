// Whether a browser keeps up with the rate it was asked to play at: beyond that it only stutters.

/** Less than this share of the rate, for so long, is too slow. */
const SLOW = 0.75;
const SLOW_MS = 2500;

export class Pace {
  #last = { ms: 0, s: 0, rate: 0 };

  /** It was paused, or sent elsewhere. */
  reset() {
    this.#last.ms = 0;
  }

  /** @param {HTMLVideoElement} video @param {number} rate @returns {boolean} Whether it falls behind. */
  slow(video, rate) {
    const now_ms = performance.now();
    const { ms, s, rate: before } = this.#last;
    const passed_ms = now_ms - ms;
    const comparable = ms > 0 && before === rate && rate > 1 && !video.paused && !video.seeking && video.readyState > 2;
    if (comparable && passed_ms < SLOW_MS) return false;
    this.#last = { ms: now_ms, s: video.currentTime, rate };
    return comparable && video.currentTime - s < SLOW * rate * (passed_ms / 1000);
  }
}
