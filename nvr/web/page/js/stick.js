// The on-screen stick. Pointer capture keeps it in hand when the finger leaves the ring; radial
// dead zone and a square curve give slow motion near the middle.

import { el, Part } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

const DEAD = 0.12;

/** Dead zone and curve on the length of (x, y), direction kept. @returns {[number, number]} */
export function shape(x, y, dead = DEAD, power = 2) {
  const length = Math.hypot(x, y);
  if (length <= dead) return [0, 0];
  const scaled = Math.min(1, (length - dead) / (1 - dead)) ** power;
  return [(x / length) * scaled, (y / length) * scaled];
}

export class Stick extends Part {
  /** @type {import("./motion.js").Motion} */
  motion;
  #pointer = -1;

  start() {
    if (!this.knob) {
      this.className = "stick";
      this.knob = el("span.knob", {});
      this.vec = el("span.vec", {});
      const arrow = (name, cls) => {
        const mark = icon(name, `ar ${cls}`);
        return mark;
      };
      this.append(arrow("up", "n"), arrow("down", "sth"), arrow("left", "w"), arrow("right", "e"), this.vec, this.knob);
      this.setAttribute("role", "slider");
      this.setAttribute("tabindex", "0");
      this.setAttribute("aria-label", t("stick.label"));
      this.setAttribute("aria-valuemin", "0");
      this.setAttribute("aria-valuemax", "100");
    }
    this.listen(this, "pointerdown", (event) => this.#down(event));
    this.listen(this, "pointermove", (event) => event.pointerId === this.#pointer && this.#move(event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.listen(this, type, (event) => event.pointerId === this.#pointer && this.#up());
    }
    this.listen(this, "contextmenu", (event) => event.preventDefault());
    this.listen(this.motion, "change", () => this.draw());
    this.draw();
  }

  stop() {
    if (this.#pointer >= 0) this.#up();
  }

  #down(event) {
    if (event.button !== 0 || this.#pointer >= 0) return;
    event.preventDefault();
    this.focus({ preventScroll: true });
    this.#pointer = event.pointerId;
    this.setPointerCapture(event.pointerId);
    this.classList.add("held");
    this.#move(event);
  }

  #move(event) {
    const box = this.getBoundingClientRect();
    const reach = box.width * 0.36;
    const x = (event.clientX - box.left - box.width / 2) / reach;
    const y = (event.clientY - box.top - box.height / 2) / reach;
    const length = Math.max(1, Math.hypot(x, y));
    this.at = [x / length, y / length];
    const [pan, tilt] = shape(this.at[0], -this.at[1]);
    this.motion.input("stick", [pan, tilt, 0]);
    this.draw();
  }

  #up() {
    this.#pointer = -1;
    this.at = null;
    this.classList.remove("held");
    this.motion.input("stick", [0, 0, 0]);
    this.draw();
  }

  draw() {
    if (!this.knob) return;
    const { speed, vector, blocked } = this.motion;
    const full = Math.max(speed, 0.05);
    // The finger's own place while it is down, else what the other inputs ask for.
    const [x, y] = this.at ?? [vector[0] / full, -vector[1] / full];
    const length = Math.min(1, Math.hypot(x, y));
    const angle = Math.atan2(y, x);
    const reach = this.clientWidth * 0.36 * length;
    this.knob.style.translate = `${Math.cos(angle) * reach}px ${Math.sin(angle) * reach}px`;
    this.vec.style.width = `${reach}px`;
    this.vec.style.rotate = `${angle}rad`;
    this.classList.toggle("rearm", blocked);
    const percent = Math.round(Math.min(1, Math.hypot(vector[0], vector[1])) * 100);
    this.setAttribute("aria-valuenow", String(percent));
    this.setAttribute("aria-valuetext", percent ? `${direction(vector)} ${percent}%` : t("stick.rest"));
  }
}

function direction([pan, tilt]) {
  const names = [];
  if (tilt > 0.02) names.push(t("dir.up"));
  if (tilt < -0.02) names.push(t("dir.down"));
  if (pan < -0.02) names.push(t("dir.left"));
  if (pan > 0.02) names.push(t("dir.right"));
  return names.join(" ");
}

customElements.define("nvr-stick", Stick);
