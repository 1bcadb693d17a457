// Digital zoom of a picture: wheel, pinch, double-finger, a button; drag moves it. The picture
// itself is untouched, only its drawing is scaled.

const MAX = 8;

export class Zoom {
  factor = 1;
  #x = 0;
  #y = 0;
  #pointers = new Map();
  #pinch = 0;

  /**
   * @param {HTMLElement} host @param {HTMLElement[]} pictures
   * @param {() => boolean} enabled @param {() => void} changed
   */
  constructor(host, pictures, enabled, changed) {
    this.host = host;
    this.pictures = pictures;
    this.changed = changed;
    host.addEventListener("wheel", (event) => {
      if (!enabled()) return;
      event.preventDefault();
      this.by(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.clientX, event.clientY);
    }, { passive: false });
    host.addEventListener("pointerdown", (event) => {
      if (!enabled() || event.target instanceof HTMLButtonElement) return;
      this.#pointers.set(event.pointerId, event);
      if (this.factor > 1 || this.#pointers.size > 1) host.setPointerCapture(event.pointerId);
    });
    host.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) {
      host.addEventListener(type, (event) => {
        this.#pointers.delete(/** @type {PointerEvent} */ (event).pointerId);
        this.#pinch = 0;
      });
    }
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    this.#pointers.set(event.pointerId, event);
    if (this.#pointers.size === 2) {
      const [a, b] = [...this.#pointers.values()];
      const distance = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (this.#pinch) this.by(distance / this.#pinch, (a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2);
      this.#pinch = distance;
    } else if (this.factor > 1) {
      this.#x += event.clientX - before.clientX;
      this.#y += event.clientY - before.clientY;
      this.#apply();
    }
  }

  /** Scale about a point of the screen. */
  by(ratio, clientX, clientY) {
    const box = this.host.getBoundingClientRect();
    const [px, py] = [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
    const next = Math.max(1, Math.min(MAX, this.factor * ratio));
    const k = next / this.factor;
    this.#x = px - (px - this.#x) * k;
    this.#y = py - (py - this.#y) * k;
    this.factor = next;
    this.#apply();
  }

  toggle() {
    if (this.factor > 1) this.reset();
    else {
      const box = this.host.getBoundingClientRect();
      this.by(2, box.left + box.width / 2, box.top + box.height / 2);
    }
  }

  reset() {
    this.factor = 1;
    this.#x = 0;
    this.#y = 0;
    this.#apply();
  }

  #apply() {
    const box = this.host.getBoundingClientRect();
    const [mx, my] = [(box.width * (this.factor - 1)) / 2, (box.height * (this.factor - 1)) / 2];
    this.#x = Math.max(-mx, Math.min(mx, this.#x));
    this.#y = Math.max(-my, Math.min(my, this.#y));
    const transform = this.factor > 1 ? `translate(${this.#x}px,${this.#y}px) scale(${this.factor})` : "";
    for (const picture of this.pictures) picture.style.transform = transform;
    this.changed();
  }
}
