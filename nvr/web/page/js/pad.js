// Joysticks. Polled every 33 ms by a timer: animation frames stop in a hidden tab. Which axis pans
// is learned once and kept by the pad's own id, because industrial sticks report no standard layout.

import { t } from "./i18n.js";
import { shape } from "./stick.js";

const POLL_MS = 33;
const key = (id) => `nvr.pad.${id}`;

/**
 * @typedef {{pan: number, tilt: number, zoom: number, zoomIn: number, zoomOut: number,
 *   invert: {pan: boolean, tilt: boolean, zoom: boolean}, dead: number,
 *   buttons: Record<string, number>}} Map
 */

/** What the standard layout has; -1 is "not there". @returns {Map} */
export const standard = () => ({
  pan: 0, tilt: 1, zoom: -1, zoomIn: 7, zoomOut: 6, invert: { pan: false, tilt: true, zoom: false }, dead: 0.12,
  buttons: { stop: 1, snapshot: 0, replay: 2, full: 3, prev: 4, next: 5, release: 8, take: 9, wiper: 10, lamp: 11, preset1: 12, preset2: 13, preset3: 14, preset4: 15 },
});

/** @param {string} id @returns {Map} */
export function padMap(id) {
  try {
    return { ...standard(), ...JSON.parse(localStorage.getItem(key(id)) ?? "{}") };
  } catch {
    return standard();
  }
}

/** @param {string} id @param {Map} map */
export const keepPadMap = (id, map) => localStorage.setItem(key(id), JSON.stringify(map));

/** Vector of a pad's state under a map. @param {Gamepad} pad @param {Map} map @returns {[number, number, number]} */
export function padVector(pad, map) {
  const axis = (index, invert) => (index < 0 ? 0 : (pad.axes[index] ?? 0) * (invert ? -1 : 1));
  const [pan, tilt] = shape(axis(map.pan, map.invert.pan), axis(map.tilt, map.invert.tilt), map.dead);
  const press = (index) => (index < 0 ? 0 : pad.buttons[index]?.value ?? 0);
  const [twist] = shape(axis(map.zoom, map.invert.zoom), 0, map.dead);
  const zoom = Math.max(-1, Math.min(1, twist + press(map.zoomIn) - press(map.zoomOut)));
  return [pan, tilt, Math.abs(zoom) < 0.05 ? 0 : zoom];
}

/** Events: "pads" when one came or went, "press" (detail: action name). */
export class Pads extends EventTarget {
  /** Set while the learn page reads the raw pad: nothing moves meanwhile. */
  learning = false;
  #ids = "";
  #down = new Set();
  #moved = false;

  /** @param {import("./motion.js").Motion} motion */
  constructor(motion) {
    super();
    this.motion = motion;
    setInterval(() => this.poll(), POLL_MS);
  }

  /** @returns {Gamepad[]} */
  list() {
    return [...(navigator.getGamepads?.() ?? [])].filter((pad) => pad !== null && pad.connected);
  }

  poll() {
    const pads = this.list();
    const ids = pads.map((pad) => `${pad.index}:${pad.id}`).join("|");
    if (ids !== this.#ids) {
      const lost = this.#ids && ids.length < this.#ids.length;
      this.#ids = ids;
      if (lost) {
        // An unplugged stick has no centre: stop, and forget what it asked for.
        this.motion.halt();
        this.motion.input("pad", [0, 0, 0]);
        this.#moved = false;
      }
      this.dispatchEvent(new CustomEvent("pads", { detail: pads.length ? pads[0].id : t("pad.none") }));
    }
    if (this.learning || document.hidden || !document.hasFocus()) return;
    const sum = [0, 0, 0];
    for (const pad of pads) {
      const map = padMap(pad.id);
      padVector(pad, map).forEach((value, index) => (sum[index] += value));
      for (const [action, index] of Object.entries(map.buttons)) this.#button(`${pad.index}/${action}`, action, pad.buttons[index]?.pressed ?? false);
    }
    if (this.#moved || sum.some(Boolean)) this.motion.input("pad", sum);
    this.#moved = sum.some(Boolean);
  }

  #button(id, action, down) {
    if (down && !this.#down.has(id)) this.dispatchEvent(new CustomEvent("press", { detail: action }));
    if (down) this.#down.add(id);
    else this.#down.delete(id);
  }
}
