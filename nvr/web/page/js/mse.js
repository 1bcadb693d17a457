// Draws fragments through Media Source Extensions. One access unit a fragment and an init without
// `mehd` put Chromium into its low-delay mode; the distance to the live edge is held by playback
// rate, and a seek happens only when the picture is seconds behind or in a hole (a seek per hiccup
// kills hardware decoders).

const FAR_S = 2.5;
const KEEP_S = 8;
const MOST_QUEUED = 400;

/** ManagedMediaSource is all an iPhone has. @returns {any} */
export const mediaSourceClass = () => globalThis.ManagedMediaSource ?? globalThis.MediaSource;

/** @param {string} mime */
export const canStream = (mime) => Boolean(mediaSourceClass()?.isTypeSupported(mime));

/** Whether a stream has sound. @param {string} mime */
export const hasSound = (mime) => /mp4a|flac|opus/.test(mime);

/** Whether a browser would take a stream if it had no sound. @param {string} mime */
export const onlySoundUnknown = (mime) => hasSound(mime) && !canStream(mime) && canStream(mime.replace(/,\s*(mp4a[\w.]*|flac|opus)/, ""));

export class MseSink {
  /** The distance to the live edge. */
  lag_ms = 0;
  #queue = /** @type {Uint8Array[]} */ ([]);
  #buffer = /** @type {SourceBuffer | null} */ (null);
  #url;
  #closed = false;
  #started = false;
  #jumped_ms = 0;
  #life = new AbortController();

  /**
   * @param {HTMLVideoElement} video @param {string} mime @param {Uint8Array} init
   * @param {{frame: (pts_s: number, shown_ms: number) => void, failed: (code: string) => void}} told
   */
  constructor(video, mime, init, told) {
    this.video = video;
    this.told = told;
    this.#queue.push(init);
    const { signal } = this.#life;
    const source = new (mediaSourceClass())();
    this.#url = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => {
      if (this.#closed) return;
      const buffer = source.addSourceBuffer(mime);
      buffer.addEventListener("updateend", () => this.#feed(), { signal });
      buffer.addEventListener("error", () => this.#fail("page.decode"), { signal });
      this.#buffer = buffer;
      this.#feed();
    }, { once: true, signal });
    video.addEventListener("error", () => this.#fail("page.decode"), { signal });
    video.src = this.#url;
    video.play().catch(() => {
      // A browser that wants a tap first: the element still shows the first frame.
    });
    if (video.requestVideoFrameCallback) {
      const frame = (_, meta) => {
        if (this.#closed) return;
        told.frame(meta.mediaTime, meta.presentationTime ?? performance.now());
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
    } else video.addEventListener("timeupdate", () => told.frame(video.currentTime, performance.now()), { signal });
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#life.abort();
    this.#buffer = null;
    URL.revokeObjectURL(this.#url);
    this.video.removeAttribute("src");
    this.video.load();
  }

  #fail(code) {
    if (!this.#closed) this.told.failed(code);
  }

  /** @param {{data: Uint8Array}} fragment */
  push(fragment) {
    this.#queue.push(fragment.data);
    if (this.#queue.length > MOST_QUEUED) this.#fail("page.slow_player");
    else this.#feed();
  }

  #feed() {
    const buffer = this.#buffer;
    if (!buffer || this.#closed) return;
    if (buffer.updating || !this.#queue.length) {
      this.hold();
      return;
    }
    const chunk = this.#queue.length === 1 ? this.#queue[0] : joined(this.#queue);
    this.#queue.length = 0;
    try {
      buffer.appendBuffer(chunk);
    } catch {
      // QuotaExceededError, or a source that closed under us: only a new source helps.
      this.#fail("page.decode");
    }
  }

  /** Hold the live edge; also called by a timer. */
  hold() {
    const { video } = this;
    const ranges = video.buffered;
    if (!this.#buffer || !ranges.length) return;
    const [from, end] = [ranges.start(ranges.length - 1), ranges.end(ranges.length - 1)];
    const now_ms = performance.now();
    if (!this.#started) {
      this.#started = true;
      video.currentTime = Math.max(from, end - 0.02);
      this.#jumped_ms = now_ms;
      return;
    }
    const lag_s = end - video.currentTime;
    this.lag_ms = lag_s * 1000;
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
