// Locks: stretches of recordings that stay, whatever else is overwritten.

import { cameraPath, get, post, Problem, remove } from "./api.js";
import { el } from "./dom.js";
import { bytes, clock, day, parseTime, stamp, t } from "./i18n.js";
import { confirmLoss, dialog, field, form } from "./ui.js";

const DAY_US = 86_400_000_000;
const KINDS = ["evidence", "alarm", "legal"];

/**
 * @typedef {{number: number, camera: string, kind: string, from_us: number, to_us: number,
 *   until_us: number | null, by: string, why: string, made_us: number, used_bytes: number}} Lock
 */

/** @returns {Promise<Lock[]>} */
export const loadLocks = () => get("/api/lock");

/** From when to when, the day once where it is one day. @param {{from_us: number, to_us: number}} lock */
export function stretch({ from_us, to_us }) {
  return `${stamp(from_us)} – ${day(from_us) === day(to_us) ? clock(to_us) : stamp(to_us)}`;
}

/** Until when. @param {Lock} lock */
export const untilWords = (lock) => (lock.until_us ? t("lock.until", { time: stamp(lock.until_us) }) : t("lock.forever"));

/** Ask why and until when, and lock. @param {any} app @param {string} name @param {{from_us: number, to_us: number}} range @param {() => any} done */
export function lockDialog(app, name, range, done) {
  const camera = app.box.camera(name);
  const times = [range.from_us, range.to_us].map((us) => stamp(us));
  const from = field(t("lock.from"), { required: true, value: times[0], hint: t("lock.time.hint") });
  const to = field(t("lock.to"), { required: true, value: times[1] });
  const kind = field(t("lock.kind"), { value: "evidence", options: KINDS.map((one) => [one, t(`lock.kind.${one}`)]) });
  const days = field(t("lock.days"), { value: "90", required: true, pattern: "[1-9][0-9]{0,3}", max: 4 });
  const why = field(t("lock.why"), { required: true, max: 200, hint: t("lock.why.hint") });
  kind.input.addEventListener("change", () => {
    days.row.hidden = days.input.disabled = kind.input.value === "legal";
  });
  /** A time that was not touched keeps its microseconds. */
  const read = (input, at) => (input.value === times[at] ? [range.from_us, range.to_us][at] : parseTime(input.value, range.from_us));
  const box = dialog({
    title: t("lock.title", { title: camera?.title || name }),
    body: [el("p.s.sub", {}, t("lock.what")), form({
      rows: [el("div.two", {}, from.row, to.row), el("div.two", {}, kind.row, days.row), why.row], act: t("lock.do"),
      onSubmit: async () => {
        const [from_us, to_us] = [read(from.input, 0), read(to.input, 1)];
        if (from_us === null || to_us === null) throw new Problem(0, "page.format", "", { label: t(from_us === null ? "lock.from" : "lock.to") });
        const body = { kind: kind.input.value, from_us: Math.floor(from_us), to_us: Math.ceil(to_us), why: why.input.value.trim() };
        if (body.kind !== "legal") body.until_us = Math.round(app.box.now_us + Number(days.input.value) * DAY_US);
        const made = await post(cameraPath(name, "/lock"), body);
        box.close();
        app.notes.say(t("lock.done", { size: bytes(made.used_bytes) }), "ok");
        await done();
      },
    })],
    actions: [],
  });
  why.input.focus();
}

/** @param {any} app @param {Lock} lock @param {() => any} done */
export async function unlock(app, lock, done) {
  const title = app.box.camera(lock.camera)?.title || lock.camera;
  const sure = await confirmLoss({
    title: t("lock.remove.title", { title }),
    lost: [t("lock.remove.lost", { size: bytes(lock.used_bytes), stretch: stretch(lock) })],
    kept: [t("lock.remove.kept")],
    act: t("lock.remove"),
  });
  if (!sure) return;
  try {
    await remove(cameraPath(lock.camera, `/lock/${lock.number}`));
    app.notes.say(t("lock.removed"), "ok");
  } catch (error) {
    app.notes.problem(error);
  }
  await done();
}

/** Lock what is marked on a timeline, else what it shows. @param {any} app @param {string} camera @param {any} timeline @param {() => void} done */
export function lockMarked(app, camera, timeline, done) {
  if (!app.box.may(camera, "export")) {
    app.notes.say(t("lock.denied"), "warn");
    return;
  }
  const { in_us, out_us } = timeline.marks;
  const marked = in_us !== null && out_us !== null && out_us > in_us;
  const { from_us, to_us } = timeline.view;
  lockDialog(app, camera, marked ? { from_us: in_us, to_us: out_us } : { from_us: Math.min(from_us, app.box.now_us - 1e6), to_us: Math.min(to_us, app.box.now_us) }, done);
}
