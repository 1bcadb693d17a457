// Joysticks at the page. Polled every 33 ms by a timer: animation frames stop in a hidden tab. What
// axes and buttons do is a profile: taught here and kept by this browser, else the box's for such a
// one, else the standard layout.

import { t } from "./i18n.js";
import { lens, plain, speeds } from "./profile.js";

const POLL_MS = 33;
const RENEW_MS = 150;
const key = (id) => `nvr.joystick.${id}`;

/** Events: "pads" when one came or went, "press" (detail: action). */
export class Pads extends EventTarget {
  /** Set while one is being taught: nothing moves meanwhile. */
  learning = false;
  /** What the box keeps, by device. @type {Map<string, any>} */
  kept = new Map();
  /** @type {Map<string, any>} */
  #profiles = new Map();
  #ids = "";
  #down = new Set();
  #moved = false;
  #lens = { said: "0,0", at_ms: 0 };

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

  /** Take over what the box keeps. @param {any[]} profiles */
  take(profiles) {
    this.kept = new Map(profiles.map((one) => [one.device, one]));
    this.#profiles.clear();
  }

  /** @param {Gamepad} pad */
  profile(pad) {
    if (!this.#profiles.has(pad.id)) {
      let own = null;
      try {
        own = JSON.parse(localStorage.getItem(key(pad.id)) ?? "null");
      } catch {
        // Not ours any more.
      }
      this.#profiles.set(pad.id, own?.schema === 1 ? own : this.kept.get(pad.id) ?? plain(pad.id, pad.mapping === "standard"));
    }
    return this.#profiles.get(pad.id);
  }

  /** Keep what was taught; null forgets it. @param {Gamepad} pad @param {any} profile */
  keep(pad, profile) {
    if (profile) localStorage.setItem(key(pad.id), JSON.stringify(profile));
    else localStorage.removeItem(key(pad.id));
    this.#profiles.delete(pad.id);
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
    const zoom = this.motion.box.domes?.get(this.motion.camera)?.position?.zoom ?? 0;
    const sum = [0, 0, 0];
    const focus = [0, 0];
    for (const pad of pads) {
      const profile = this.profile(pad);
      const values = pad.buttons.map((button) => (button.pressed ? Math.max(button.value, 0.1) : 0));
      speeds(pad.axes, values, profile, zoom).forEach((value, n) => (sum[n] += value));
      lens(values, profile).forEach((value, n) => (focus[n] += value));
      for (const [n, action] of Object.entries(profile.buttons)) this.#button(`${pad.index}/${n}`, action, pad.buttons[Number(n)]?.pressed ?? false);
    }
    if (this.#moved || sum.some(Boolean)) this.motion.input("pad", sum);
    this.#moved = sum.some(Boolean);
    this.#focus(focus.map(Math.sign));
  }

  /** The box forgets a held lens as it forgets a stick: say it again. @param {number[]} focus */
  #focus(focus) {
    const said = focus.join();
    const now_ms = performance.now();
    if (said === this.#lens.said && (said === "0,0" || now_ms - this.#lens.at_ms < RENEW_MS)) return;
    this.#lens = { said, at_ms: now_ms };
    this.motion.lens(focus[0], focus[1]);
  }

  #button(id, action, down) {
    if (down && !this.#down.has(id)) this.dispatchEvent(new CustomEvent("press", { detail: action }));
    if (down) this.#down.add(id);
    else this.#down.delete(id);
  }
}
