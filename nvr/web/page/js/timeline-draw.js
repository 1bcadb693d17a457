// Draws the timeline: time runs along one axis, lanes stand across it. On a desk time runs to the
// right, on a phone upwards.

import { isObject, isTrouble } from "./happened.js";
import { clock, dayName, span, t, unsure } from "./i18n.js";

const SECOND = 1e6;
const STEPS_S = [0.04, 0.2, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 259200, 604800];

/** @typedef {{from_us: number, to_us: number}} View */

/** Words for the cause of a gap, and for who caused it. @param {{cause: string, by?: string}} gap */
export function causeWords({ cause, by }) {
  const key = `cause.${cause}`;
  const words = t(key);
  const known = words === key ? t("cause.other") : words;
  return by ? t(cause === "away" ? "cause.on" : "cause.by", { cause: known, by }) : known;
}

/** Colours of the theme in use. @param {Element} node */
export function palette(node) {
  const style = getComputedStyle(node);
  const names = ["bg0", "bg1", "bg2", "bg3", "line", "edge", "t1", "t2", "t3", "accent", "accent-ink", "accent-bg", "warn", "warn-bg", "rec", "rec-hi", "gap", "other"];
  /** @type {Record<string, string>} */
  const out = {};
  for (const name of names) out[name] = style.getPropertyValue(`--${name}`).trim();
  out.font = style.fontFamily;
  return out;
}

/** Distance of the ticks: at least `room` pixels apart. */
export function tickStep(view, length_px, room = 84) {
  const per_px = (view.to_us - view.from_us) / length_px;
  return STEPS_S.find((step) => (step * SECOND) / per_px >= room) ?? STEPS_S[STEPS_S.length - 1];
}

/** Ticks of the local clock in a view. @returns {Generator<number>} */
export function* ticks(view, step_s) {
  const step = step_s * SECOND;
  const zone = new Date(view.from_us / 1000).getTimezoneOffset() * 60 * SECOND;
  for (let at = Math.ceil((view.from_us - zone) / step) * step + zone; at <= view.to_us; at += step) yield at;
}

/** @param {number} us @param {number} step_s */
export function tickText(us, step_s) {
  if (step_s >= 86400) return dayName(us);
  if (step_s < 1) return clock(us, true).slice(3, step_s < 0.1 ? 12 : 11);
  const text = clock(us);
  if (step_s >= 60) return text.startsWith("00:00") && step_s >= 3600 ? dayName(us) : text.slice(0, 5);
  return text;
}

const patterns = new WeakMap();

/** Hatch and checkerboard, made once a context and colour. */
function pattern(ctx, kind, colour, back) {
  const known = patterns.get(ctx) ?? new Map();
  patterns.set(ctx, known);
  const key = `${kind}${colour}${back}`;
  if (known.has(key)) return known.get(key);
  const tile = document.createElement("canvas");
  const size = kind === "hatch" ? 8 : 10;
  tile.width = size;
  tile.height = size;
  const p = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  p.fillStyle = back;
  p.fillRect(0, 0, size, size);
  if (kind === "hatch") {
    p.strokeStyle = colour;
    p.lineWidth = 1;
    p.beginPath();
    for (const shift of [-size, 0, size]) {
      p.moveTo(shift, size);
      p.lineTo(shift + size, 0);
    }
    p.stroke();
  } else {
    p.fillStyle = colour;
    p.fillRect(0, 0, 5, 5);
    p.fillRect(5, 5, 5, 5);
  }
  const made = ctx.createPattern(tile, "repeat");
  known.set(key, made);
  return made;
}

/** One axis of time on a canvas. */
export class Axis {
  /** @param {CanvasRenderingContext2D} ctx @param {View} view @param {{length: number, vertical: boolean}} shape */
  constructor(ctx, view, { length, vertical }) {
    this.ctx = ctx;
    this.view = view;
    this.length = length;
    this.vertical = vertical;
    this.k = length / (view.to_us - view.from_us);
  }

  /** Pixels along the axis. @param {number} us */
  at(us) {
    const along = (us - this.view.from_us) * this.k;
    return this.vertical ? this.length - along : along;
  }

  /** Fill from one time to another, between two places across. */
  band(from_us, to_us, across, width, fill) {
    const [a, b] = [this.at(Math.max(from_us, this.view.from_us)), this.at(Math.min(to_us, this.view.to_us))];
    const [low, size] = [Math.min(a, b), Math.max(1, Math.abs(b - a))];
    this.ctx.fillStyle = fill;
    if (this.vertical) this.ctx.fillRect(across, low, width, size);
    else this.ctx.fillRect(low, across, size, width);
  }

  /** A line across the axis. */
  mark(us, across, width, fill, thick = 1) {
    const at = this.at(us) - thick / 2;
    this.ctx.fillStyle = fill;
    if (this.vertical) this.ctx.fillRect(across, at, width, thick);
    else this.ctx.fillRect(at, across, thick, width);
  }

  sees(from_us, to_us) {
    return to_us > this.view.from_us && from_us < this.view.to_us;
  }
}

/**
 * One camera's lane: its main stream, and its sub stream as a thin line.
 * @param {Axis} axis @param {import("./footage.js").Footage} footage
 * @param {number} across @param {number} width @param {Record<string, string>} c @param {number} now_us
 */
export function lane(axis, footage, across, width, c, now_us) {
  const archive = footage.main;
  const { view, ctx } = axis;
  axis.band(view.from_us, view.to_us, across, width, c.gap);
  const [inset, thick] = axis.vertical ? [0, width] : [Math.round(width * 0.25), Math.round(width * 0.58)];
  for (const run of archive.runs) if (axis.sees(run.from_us, run.to_us)) axis.band(run.from_us, run.to_us, across + inset, thick, c.rec);
  for (const run of archive.runs) if (run.fetch && axis.sees(run.from_us, run.to_us)) axis.band(run.from_us, run.to_us, across + inset, thick, pattern(ctx, "hatch", c["rec-hi"], c.rec));
  // Where the clock was not set the place on the timeline is in doubt.
  for (const run of archive.runs) if (unsure(run) && axis.sees(run.from_us, run.to_us)) axis.band(run.from_us, run.to_us, across + (axis.vertical ? width - 4 : 0), 4, pattern(ctx, "hatch", c.other, c.gap));
  for (const gap of archive.gaps) {
    if (!axis.sees(gap.from_us, gap.to_us)) continue;
    // What was not to be recorded is nothing to worry about: it stays as empty as it is.
    const ink = gap.cause === "plan" ? c.t3 : c.warn;
    if (gap.cause !== "plan") {
      axis.band(gap.from_us, gap.to_us, across, width, pattern(ctx, "hatch", c.warn, c.gap));
      axis.mark(gap.from_us, across, width, c.warn);
      axis.mark(gap.to_us, across, width, c.warn);
    }
    if (!axis.vertical) gapLabel(axis, gap, across, width, c, ink);
  }
  if (footage.hasSub) {
    const [place, thin] = axis.vertical ? [across + width - 9, 4] : [across + 3, 4];
    for (const run of footage.sub.runs) if (axis.sees(run.from_us, run.to_us)) axis.band(run.from_us, run.to_us, place, thin, c["rec-hi"]);
  }
  for (const one of footage.happened.list) {
    const to_us = one.to_us ?? now_us;
    if (!axis.sees(one.from_us, to_us)) continue;
    if (isTrouble(one.kind)) axis.band(one.from_us, to_us, axis.vertical ? across + width - 3 : across, 3, c.warn);
    else axis.band(one.from_us, to_us, across + (axis.vertical ? width - 4 : 1), axis.vertical ? 4 : 6, isObject(one.kind) ? c.t1 : c.t2);
    if (isTrouble(one.kind)) axis.mark(one.from_us, across, width, c.warn, 2);
  }
  for (const lock of footage.locks) {
    if (axis.sees(lock.from_us, lock.to_us)) axis.band(lock.from_us, lock.to_us, across + (axis.vertical ? 0 : width - 6), axis.vertical ? 4 : 5, c.other);
  }
  const { loaded } = archive;
  const checks = pattern(ctx, "check", c.bg3, c.gap);
  if (view.from_us < loaded.from_us) axis.band(view.from_us, Math.min(loaded.from_us, view.to_us), across, width, checks);
  if (view.to_us > loaded.to_us && loaded.to_us < now_us) axis.band(Math.max(loaded.to_us, view.from_us), Math.min(view.to_us, now_us), across, width, checks);
  const edge = archive.recordedUntil_us;
  if (edge > view.from_us && edge < view.to_us) axis.mark(edge, across + inset - 3, thick + 6, c["rec-hi"], 2);
}

function gapLabel(axis, gap, across, width, c, ink) {
  const { ctx } = axis;
  const [a, b] = [Math.max(0, axis.at(gap.from_us)), Math.min(axis.length, axis.at(gap.to_us))];
  const long = `${causeWords(gap)} ${span((gap.to_us - gap.from_us) / SECOND)}`;
  const short = causeWords({ cause: gap.cause });
  ctx.font = `12px ${c.font}`;
  const text = [long, short].find((words) => ctx.measureText(words).width + 16 < b - a);
  if (!text) return;
  const size = ctx.measureText(text).width;
  const middle = (a + b) / 2;
  ctx.fillStyle = c.gap;
  ctx.beginPath();
  ctx.roundRect(middle - size / 2 - 6, across + width / 2 - 9, size + 12, 18, 3);
  ctx.fill();
  ctx.fillStyle = ink;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.fillText(text, middle, across + width / 2 + 1);
}

/** A rounded flag with words, kept inside the canvas. */
export function flag(ctx, text, x, y, { fill, ink, font, limit, height = 20, weight = 600 }) {
  ctx.font = `${weight} 13px ${font}`;
  const width = ctx.measureText(text).width + 14;
  const left = Math.max(0, Math.min(limit - width, x - width / 2));
  ctx.fillStyle = fill;
  ctx.beginPath();
  ctx.roundRect(left, y, width, height, 3);
  ctx.fill();
  ctx.fillStyle = ink;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(text, left + 7, y + height / 2 + 1);
}
