// From how a joystick stands to how fast a dome goes, as `nvr/ptz/stick.py` does it for those at
// the box; and the teaching of one. Profiles are the same JSON, see `nvr/media/joystick.py`.

export const STEPS = 63;
export const WAYS = ["pan", "tilt", "zoom"];
const REST = { dead: 0.1, expo: 0.5, zoom_dead: 0.15, zoom_expo: 0.5, slow_at_tele: 0.8 };
const STANDARD = ["snapshot", "stop", "replay", "full", "prev", "next", "zoom out", "zoom in", "release", "take", "wiper", "lamp", "preset 1", "preset 2", "preset 3", "preset 4"];
const FAR = 0.4;
const STEADY_MS = 400;
const clamp = (value) => Math.max(-1, Math.min(1, value));

/** What a gamepad does that nobody taught. @param {string} device @param {boolean} [standard] */
export const plain = (device, standard = true) => ({
  schema: 1, device, title: "", pan: { axis: 0 }, tilt: { axis: 1, invert: true }, zoom: null, camera: "", ...REST,
  buttons: standard ? Object.fromEntries(STANDARD.map((action, n) => [n, action])) : { 1: "stop" },
});

function stretched(axes, axis) {
  if (!axis || axis.axis >= axes.length) return 0;
  const { centre = 0, least = -1, most = 1 } = axis;
  const off = axes[axis.axis] - centre;
  return clamp((axis.invert ? -off : off) / (off > 0 ? most - centre : centre - least));
}

function curve(share, dead, expo) {
  const u = Math.min(1, Math.max(0, (share - dead) / (1 - dead)));
  return (1 - expo) * u + expo * u ** 3;
}

const step = (speed) => Math.round(clamp(speed) * STEPS) / STEPS || 0;

/**
 * Pan right, tilt up, zoom in: -1 to 1.
 * @param {readonly number[]} axes @param {number[]} buttons 0 to 1. @param {any} profile
 * @param {number} [zoom] Of the dome, 0 wide to 1 tele. @returns {number[]}
 */
export function speeds(axes, buttons, profile, zoom = 0) {
  const its = { ...REST, ...profile };
  const [pan, tilt, twist] = WAYS.map((way) => stretched(axes, its[way]));
  const length = Math.hypot(pan, tilt);
  const share = length && (curve(length, its.dead, its.expo) * (1 - its.slow_at_tele * zoom)) / length;
  const drive = Math.sign(twist) * curve(Math.abs(twist), its.zoom_dead, its.zoom_expo);
  return [pan * share, tilt * share, drive + held(buttons, its, "zoom in", "zoom out")].map(step);
}

function held(buttons, profile, plus, minus) {
  const most = (action) => Math.max(0, ...Object.entries(profile.buttons ?? {}).map(([n, does]) => (does === action ? buttons[n] ?? 0 : 0)));
  return most(plus) - most(minus);
}

/** Focus far and iris open: -1, 0 or 1. @returns {number[]} */
export const lens = (buttons, profile) => [held(buttons, profile, "focus far", "focus near"), held(buttons, profile, "iris open", "iris close")].map(Math.sign);

/** Asks a hand for one thing after the other, and makes a profile of what it did. */
export class Lesson {
  /** What is asked for: "rest", "pan", "tilt", "zoom", "ends", "done". */
  asks = "rest";
  /** @type {number[]} */
  #rest = [];
  /** @type {[number, number][]} */
  #ends = [];
  #still = { at: -1, since_ms: 0 };

  /** @param {any} profile */
  constructor(profile) {
    this.profile = { ...profile, pan: null, tilt: null, zoom: null };
  }

  /** Take how it stands; true when something else is asked for. @param {readonly number[]} axes @param {number} now_ms */
  feed(axes, now_ms) {
    axes.forEach((value, n) => {
      const [least, most] = this.#ends[n] ?? [value, value];
      this.#ends[n] = [Math.min(least, value), Math.max(most, value)];
    });
    if (!WAYS.includes(this.asks)) return false;
    const used = WAYS.map((way) => this.profile[way]?.axis);
    const off = axes.map((value, n) => (used.includes(n) ? 0 : value - this.#rest[n]));
    const at = off.reduce((best, value, n) => (Math.abs(value) > Math.abs(off[best]) ? n : best), 0);
    if (Math.abs(off[at] ?? 0) < FAR) this.#still.at = -1;
    else if (at !== this.#still.at) this.#still = { at, since_ms: now_ms };
    else if (now_ms - this.#still.since_ms >= STEADY_MS) {
      this.profile[this.asks] = { axis: at, invert: off[at] < 0 };
      return this.next(axes);
    }
    return false;
  }

  /** What was asked for is done, or is not there. @param {readonly number[]} axes */
  next(axes) {
    if (this.asks === "rest") this.#rest = [...axes];
    if (this.asks === "ends") {
      for (const way of WAYS) {
        const axis = this.profile[way];
        if (!axis) continue;
        const [least, most] = this.#ends[axis.axis];
        const centre = this.#rest[axis.axis];
        // An end that the hand never went to is where it is of most joysticks.
        Object.assign(axis, { centre, least: least < centre - FAR ? least : -1, most: most > centre + FAR ? most : 1 });
      }
    }
    const order = ["rest", ...WAYS, "ends", "done"];
    this.asks = order[order.indexOf(this.asks) + 1];
    this.#still = { at: -1, since_ms: 0 };
    return true;
  }
}
