// When a camera is recorded: a mode for all the time, and stretches of the week with another.

import * as api from "../api.js";
import { el } from "../dom.js";
import { locale, t } from "../i18n.js";
import { button, dialog, field, form } from "../ui.js";

const MODES = ["continuous", "event", "off"];
const DAYS = { every: [0, 1, 2, 3, 4, 5, 6], work: [0, 1, 2, 3, 4], rest: [5, 6] };
const MOST = 8;
const TIME = "([01][0-9]|2[0-3]):[0-5][0-9]|24:00";

/** @typedef {{from: number, to: number, mode: string}} Segment Minutes of a day. */

const minutes = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
const time = (at) => `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;

/** @param {string} text "08:00-18:00 event" @returns {Segment} */
function parse(text) {
  const [times, mode] = text.split(" ");
  const [from, to] = times.split("-").map(minutes);
  return { from, to, mode };
}

/** Put a stretch over a day: it cuts what it covers, and joins what it touches. @param {Segment[]} day @param {Segment} one @returns {Segment[]} */
export function paint(day, one) {
  const kept = day.flatMap((old) => [
    { ...old, to: Math.min(old.to, one.from) },
    { ...old, from: Math.max(old.from, one.to) },
  ]).filter((piece) => piece.from < piece.to);
  const out = [];
  for (const next of [...kept, one].sort((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last && last.to === next.from && last.mode === next.mode) last.to = next.to;
    else out.push({ ...next });
  }
  return out;
}

/** @param {number} day Monday is 0. */
const dayName = (day) => new Intl.DateTimeFormat(locale(), { weekday: "short", timeZone: "UTC" }).format(new Date(Date.UTC(2024, 0, 1 + day)));

/** @param {any} app @param {string} name @param {string} stream */
export async function planDialog(app, name, stream = "main") {
  const path = api.cameraPath(name, `/plan?stream=${stream}`);
  const sub = app.box.camera(name)?.sub;
  let plan;
  try {
    plan = await api.get(path);
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  let week = plan.week.map((day) => day.map(parse));
  const streams = field(t("plan.stream"), { value: stream, options: ["main", "sub"].map((key) => [key, t(`stream.${key}`)]) });
  streams.input.addEventListener("change", () => {
    box.close();
    planDialog(app, name, streams.input.value);
  });
  const options = MODES.map((mode) => [mode, t(`plan.${mode}`)]);
  const mode = field(t("plan.mode"), { value: plan.mode, options });
  const pre = field(t("plan.pre"), { value: String(plan.pre_s), required: true, pattern: "[0-9]{1,2}(\\.[0-9])?", max: 4 });
  const post = field(t("plan.post"), { value: String(plan.post_s), required: true, pattern: "[1-9][0-9]{0,3}", max: 4 });
  const days = field(t("plan.days"), { value: "every", options: [...Object.keys(DAYS).map((key) => [key, t(`plan.days.${key}`)]), ...DAYS.every.map((day) => [String(day), dayName(day)])] });
  const then = field(t("plan.then"), { value: "continuous", options });
  const from = field(t("lock.from"), { value: "08:00", pattern: TIME, max: 5 });
  const to = field(t("lock.to"), { value: "18:00", pattern: TIME, max: 5 });
  const rows = el("div.week", {});
  const draw = () => rows.replaceChildren(...week.map((day, n) => el("div.week-day", {},
    el("b", {}, dayName(n)),
    el("div.week-bar", { data: { mode: mode.input.value } }, ...day.map((one) => el("i", {
      data: { mode: one.mode }, title: `${time(one.from)}–${time(one.to)} ${t(`plan.${one.mode}`)}`,
      style: { left: `${one.from / 14.4}%`, width: `${(one.to - one.from) / 14.4}%` } }))),
    el("small.sub", {}, day.map((one) => `${time(one.from)}–${time(one.to)} ${t(`plan.${one.mode}`)}`).join(t("comma")) || t(`plan.${mode.input.value}`)))));
  const chosen = () => DAYS[days.input.value] ?? [Number(days.input.value)];
  const set = () => {
    const one = { from: minutes(from.input.value), to: minutes(to.input.value), mode: then.input.value };
    if (!from.input.checkValidity() || !to.input.checkValidity() || one.from >= one.to) {
      app.notes.say(t("plan.times"), "warn");
      return;
    }
    const next = week.map((day, n) => (chosen().includes(n) ? paint(day, one) : day));
    if (next.some((day) => day.length > MOST)) {
      app.notes.say(t("plan.many", { n: MOST }), "warn");
      return;
    }
    week = next;
    draw();
  };
  const clear = () => {
    week = week.map((day, n) => (chosen().includes(n) ? [] : day));
    draw();
  };
  mode.input.addEventListener("change", draw);
  draw();
  const box = dialog({
    title: t("plan.title", { title: app.box.camera(name)?.title || name }), wide: true,
    body: [form({
      rows: [
        sub ? streams.row : null, sub && !sub.recorded && stream === "sub" ? el("p.hint", {}, t("sub.watched")) : null,
        mode.row, el("div.two", {}, pre.row, post.row), rows,
        el("div.two", {}, days.row, then.row), el("div.two", {}, from.row, to.row),
        el("div.row", {}, button("plus", t("plan.set"), set), button("", t("plan.clear"), clear))],
      act: t("save"),
      onSubmit: async () => {
        await api.put(path, {
          mode: mode.input.value, pre_s: Number(pre.input.value), post_s: Number(post.input.value),
          week: week.map((day) => day.map((one) => `${time(one.from)}-${time(one.to)} ${one.mode}`)),
        });
        box.close();
        app.notes.say(t("plan.saved"), "ok");
      },
    })],
    actions: [],
  });
}

/** Record now, with what was just before. @param {any} app @param {string} name */
export async function reportEvent(app, name) {
  try {
    await api.post(api.cameraPath(name, "/event"), { what: t("plan.now") });
    app.notes.say(t("plan.now.done"), "ok");
  } catch (error) {
    app.notes.problem(error);
  }
}
