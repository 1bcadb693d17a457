// What happened at a camera: motion, reports, and what was wrong with its picture.

import { cameraPath, get } from "./api.js";
import { el } from "./dom.js";
import { clock, knows, span, t } from "./i18n.js";
import { icon } from "./icons.js";
import { dialog } from "./ui.js";

const FRESH_MS = 5000;
const SLACK_US = 1_000_000;

/** @typedef {{number: number, kind: string, zone: string, from_us: number, to_us: number | null, strength: number, picture: boolean, source: string}} Happening */

/** What it was, in words; of an object that has none here the model's own. @param {string} kind */
export const named = (kind) => (knows(`look.${kind}`) ? t(`look.${kind}`) : kind.replace("object.", "").replaceAll("_", " "));

/** The same, where, and who says so if it is the camera. @param {{kind: string, zone: string, source?: string}} one */
export const kindWords = ({ kind, zone, source }) => [named(kind), zone, source ? t(`look.source.${source}`) : ""].filter(Boolean).join(" · ");

/** @param {string} kind */
export const isObject = (kind) => kind.startsWith("object.");

const CALM = ["motion", "reported", "input", "output", "line"];

/** Everything else, but objects, is a picture that is no good. @param {string} kind */
export const isTrouble = (kind) => !CALM.includes(kind) && !isObject(kind);

export class Happened {
  /** @type {Happening[]} */
  list = [];
  #loaded = { from_us: 0, to_us: 0 };
  #fetched_ms = 0;

  /** @param {string} camera */
  constructor(camera) {
    this.camera = camera;
  }

  /** Have what happened in a stretch; asks again now and then while it may grow. @returns {Promise<boolean>} */
  async cover(from_us, to_us) {
    const { from_us: from, to_us: to } = this.#loaded;
    const inside = from <= from_us && to_us <= to;
    if (performance.now() - this.#fetched_ms < FRESH_MS && inside) return false;
    if (inside && to_us < (Date.now() - 60_000) * 1000 && this.#fetched_ms) return false;
    this.#fetched_ms = performance.now();
    this.#loaded = { from_us, to_us };
    const found = await get(cameraPath(this.camera, `/event?from_us=${Math.max(0, Math.round(from_us))}&to_us=${Math.round(to_us)}`));
    const before = JSON.stringify(this.list);
    this.list = found.happenings;
    return JSON.stringify(this.list) !== before;
  }

  /** Begin of the next one, or the one before. @param {number} t_us @param {number} by @returns {number | null} */
  beside(t_us, by) {
    if (by > 0) return this.list.find((one) => one.from_us > t_us + SLACK_US)?.from_us ?? null;
    return this.list.findLast((one) => one.from_us < t_us - SLACK_US)?.from_us ?? null;
  }
}

/** All of the last day, the newest first, with pictures; whoever taps one goes there. @param {string} camera @param {number} now_us @param {(t_us: number) => void} go */
export async function happenedDialog(app, camera, now_us, go) {
  let found;
  try {
    found = await get(cameraPath(camera, `/event?from_us=${Math.round(now_us - 86400e6)}&to_us=${Math.round(now_us)}&most=200`));
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const row = (one) => el("button.hap", { type: "button", on: { click: () => { box.close(); go(one.from_us); } } },
    one.picture ? el("img", { loading: "lazy", alt: "", src: cameraPath(camera, `/event/${one.number}/picture.jpg`) }) : el("span.nopic", {}, icon(isTrouble(one.kind) ? "event" : "cam")),
    el("b", { class: isTrouble(one.kind) ? "warn" : null }, kindWords(one)),
    el("small.sub", {}, `${clock(one.from_us)} · ${one.to_us === null ? t("look.now") : span(Math.max(1, (one.to_us - one.from_us) / 1e6))}${isObject(one.kind) ? ` · ${Math.round(one.strength / 10)} %` : ""}`));
  const rows = found.happenings.toReversed().map(row);
  const box = dialog({
    title: t("look.list"), wide: true, actions: [],
    body: [rows.length ? el("div.haps", {}, ...rows) : el("p.sub", {}, t(app.box.camera(camera)?.looked_at ? "look.none" : "look.off"))],
  });
}
