// From what the hands do to what the dome is told. Several inputs (stick, keys, gamepad, buttons)
// each hold a vector; the sum goes out on change, at most 20 times a second, and again every
// 150 ms while something moves, because the box stops a dome that is not told so for 500 ms.

const GAP_MS = 50;
const REPEAT_MS = 150;
const BACKLOG_BYTES = 2048;

const clamp = (value) => Math.max(-1, Math.min(1, value));
const still = (v) => v.every((axis) => axis === 0);

/** Events: "change" (vector, speed, block), "moved" (somebody touched an input), "stop". */
export class Motion extends EventTarget {
  /** @type {string | null} */
  camera = null;
  /** Share of full speed for stick and keys. */
  speed = Number(localStorage.getItem("nvr.speed") ?? "0.6") || 0.6;
  /** After a stop nobody asked for, inputs must pass neutral before anything moves. */
  blocked = false;
  /** @type {number[]} */
  vector = [0, 0, 0];

  #inputs = /** @type {Map<string, number[]>} */ (new Map());
  #sent = [0, 0, 0];
  #sentAt_ms = 0;
  #timer = 0;
  #count = 0;

  /** @param {import("./box.js").Box} box */
  constructor(box) {
    super();
    this.box = box;
    this.#timer = setInterval(() => this.#tick(), GAP_MS);
    const halt = () => this.halt();
    window.addEventListener("blur", halt);
    window.addEventListener("pagehide", halt);
    document.addEventListener("visibilitychange", () => document.hidden && halt());
    box.addEventListener("link", () => box.link === "down" && this.halt());
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.speed = Math.max(0.05, Math.min(1, speed));
    localStorage.setItem("nvr.speed", String(this.speed));
    this.#changed();
  }

  /** Aim at another camera; the one before is stopped. @param {string | null} camera */
  aim(camera) {
    if (camera === this.camera) return;
    if (!still(this.#sent)) this.stop();
    this.camera = camera;
    this.#sent = [0, 0, 0];
    this.blocked = this.#held();
    this.#changed();
  }

  #held() {
    return [...this.#inputs.values()].some((v) => !still(v));
  }

  /**
   * @param {string} source Name of the input.
   * @param {number[]} v Pan right, tilt up, zoom in: -1 to 1, before the speed setting.
   * @param {boolean} [scaled] Apply the speed setting to pan and tilt.
   */
  input(source, v, scaled = true) {
    const factor = scaled ? this.speed : 1;
    const next = [clamp(v[0] * factor), clamp(v[1] * factor), clamp(v[2])];
    if (still(next)) this.#inputs.delete(source);
    else this.#inputs.set(source, next);
    if (this.blocked && !this.#held()) {
      this.blocked = false;
      // Neutral, said aloud: the box too waits for it after a dead-man stop.
      if (this.camera) this.#send([0, 0, 0]);
    }
    this.#changed();
  }

  #sum() {
    const sum = [0, 0, 0];
    for (const v of this.#inputs.values()) for (let axis = 0; axis < 3; axis += 1) sum[axis] += v[axis];
    return sum.map((axis) => Math.round(clamp(axis) * 1000) / 1000);
  }

  #changed() {
    const next = this.blocked ? [0, 0, 0] : this.#sum();
    const stops = still(next) && !still(this.vector);
    this.vector = next;
    this.dispatchEvent(new Event("change"));
    // Letting go must not wait for the next slot.
    if (stops || performance.now() - this.#sentAt_ms >= GAP_MS) this.#tick();
  }

  #tick() {
    if (!this.camera) return;
    const changed = this.vector.some((axis, index) => axis !== this.#sent[index]);
    const due = !still(this.vector) && performance.now() - this.#sentAt_ms >= REPEAT_MS;
    if (!changed && !due) return;
    if (this.box.backlog > BACKLOG_BYTES && !still(this.vector)) return;
    this.#send(this.vector);
  }

  #send(v) {
    this.#count += 1;
    if (this.box.send({ op: "move", cam: this.camera, n: this.#count, v })) {
      this.#sent = [...v];
      this.#sentAt_ms = performance.now();
    }
  }

  /** Focus and iris, while a button is held. */
  lens(focus, iris) {
    if (!this.camera) return;
    this.#count += 1;
    this.box.send({ op: "lens", cam: this.camera, n: this.#count, focus, iris });
  }

  /** STOP for the aimed camera: always sent, whatever the page believes. */
  stop() {
    this.#freeze();
    if (this.camera) this.box.send({ op: "stop", cam: this.camera });
    this.dispatchEvent(new CustomEvent("stop", { detail: { all: false, at_ms: performance.now(), link: this.box.link === "up" } }));
  }

  stopAll() {
    this.#freeze();
    this.box.send({ op: "stop_all" });
    this.dispatchEvent(new CustomEvent("stop", { detail: { all: true, at_ms: performance.now(), link: this.box.link === "up" } }));
  }

  #freeze() {
    this.blocked = this.#held();
    this.vector = [0, 0, 0];
    this.#sent = [0, 0, 0];
    this.dispatchEvent(new Event("change"));
  }

  /** The page lost the operator (blur, hidden tab, lost pad or link): stop if anything moves. */
  halt() {
    if (still(this.#sent) && !this.#held()) return;
    this.stop();
  }

  /** The box refused a motion until it sees neutral. */
  rearm() {
    if (!this.#held()) return;
    this.blocked = true;
    this.vector = [0, 0, 0];
    this.dispatchEvent(new Event("change"));
  }

  end() {
    clearInterval(this.#timer);
  }
}
