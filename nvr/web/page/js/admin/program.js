// Editor of what a dome does by itself: guard position, tours, scans, the week.

import * as api from "../api.js";
import { el } from "../dom.js";
import { locale, t } from "../i18n.js";
import { whatWords } from "../auto.js";
import { dialog, field, form, iconButton, button } from "../ui.js";

const DAYS = { every: [0, 1, 2, 3, 4, 5, 6], work: [0, 1, 2, 3, 4], rest: [5, 6] };
const TIME = "([01][0-9]|2[0-3]):[0-5][0-9]|24:00";

const dayName = (day) => new Intl.DateTimeFormat(locale(), { weekday: "short", timeZone: "UTC" }).format(new Date(Date.UTC(2024, 0, 1 + day)));
const number = (label, value, min, max, hint = "") => {
  const made = field(label, { type: "number", value: String(value), required: true, hint });
  Object.assign(made.input, { min: String(min), max: String(max), step: "any" });
  return made;
};

/** @param {any} app @param {string} camera @param {() => void} back */
export async function programDialog(app, camera, back) {
  const path = api.cameraPath(camera, "/program");
  let program;
  try {
    program = await api.get(path);
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const about = app.box.camera(camera);
  const presets = about?.ptz?.presets ?? [];
  const options = presets.map((one) => [String(one.number), `${one.number} ${one.name}`]);
  const pick = (label, value) => {
    const known = options.some(([key]) => key === String(value)) || !value;
    return field(label, { options: known ? options : [[String(value), `${value} ?`], ...options], value: String(value) });
  };
  const guard = field(t("prog.guard"), { options: [["0", t("prog.none")], ...options], value: String(program.guard.preset) });
  const idle = number(t("prog.idle"), program.guard.idle_s, 15, 3600);
  const resume = number(t("prog.resume"), program.resume_s, 5, 3600);
  const tours = el("div.progs", {});
  const scans = el("div.progs", {});
  const patterns = el("div.progs", {});
  const week = el("div.progs", {});

  const stepRow = (list, step) => {
    const preset = pick(t("prog.preset"), step.preset);
    const dwell = number(t("prog.dwell"), step.dwell_s ?? 10, 1, 3600);
    const row = el("div.prog-step", { prop: { read: () => ({ preset: Number(preset.input.value), dwell_s: Number(dwell.input.value) }) } }, preset.row, dwell.row,
      iconButton("up", t("prog.up"), () => row.previousElementSibling?.before(row), "q"), iconButton("bin", t("prog.remove"), () => row.remove(), "q"));
    list.append(row);
  };
  const tourCard = (tour) => {
    const name = field(t("auto.name"), { value: tour.name, required: true, max: 32 });
    const order = field(t("prog.order"), { options: ["forward", "shuffle"].map((key) => [key, t(`prog.order.${key}`)]), value: tour.order ?? "forward" });
    const steps = el("div.prog-steps", {});
    for (const step of tour.steps) stepRow(steps, step);
    const card = el("div.prog", { prop: { read: () => ({ name: name.input.value.trim(), order: order.input.value, steps: [...steps.children].map((row) => /** @type {any} */ (row).read()) }) } },
      el("div.two", {}, name.row, order.row), steps,
      el("div.row", {}, button("plus", t("prog.add.step"), () => stepRow(steps, { preset: presets[0].number })), button("bin", t("prog.remove"), () => card.remove())));
    tours.append(card);
  };
  const scanCard = (scan) => {
    const name = field(t("auto.name"), { value: scan.name, required: true, max: 32 });
    const left = pick(t("prog.left"), scan.left);
    const right = pick(t("prog.right"), scan.right);
    const speed = number(t("prog.speed"), Math.round((scan.speed ?? 0.2) * 100), 1, 100);
    const span = number(t("prog.span"), scan.span_s ?? 0, 0, 300, t("prog.span.hint"));
    const card = el("div.prog", { prop: { read: () => ({ name: name.input.value.trim(), left: Number(left.input.value), right: Number(right.input.value), speed: Number(speed.input.value) / 100, span_s: Number(span.input.value) }) } },
      name.row, el("div.two", {}, left.row, right.row), el("div.two", {}, speed.row, span.row), el("div.row", {}, button("bin", t("prog.remove"), () => card.remove())));
    scans.append(card);
  };
  const patternCard = (pattern) => {
    const card = el("div.auto-row", { prop: { read: () => pattern } }, el("b.grow", {}, pattern.name), iconButton("bin", t("prog.remove"), () => card.remove(), "q"));
    patterns.append(card);
  };
  const read = (host) => [...host.children].filter((card) => /** @type {any} */ (card).read).map((card) => /** @type {any} */ (card).read());
  const weekRow = (day, text) => {
    const [times, ...rest] = text.split(" ");
    const row = el("div.auto-row", { prop: { read: () => [day, text] } }, el("span.grow", {}, el("b", {}, dayName(day)), ` ${times} `, whatWords(rest.join(" "))), iconButton("bin", t("prog.remove"), () => row.remove(), "q"));
    const after = [...week.children].find((other) => {
      const [at, said] = /** @type {any} */ (other).read();
      return at > day || (at === day && said > text);
    });
    week.insertBefore(row, after ?? null);
  };
  const days = field(t("plan.days"), { value: "every", options: [...Object.keys(DAYS).map((key) => [key, t(`plan.days.${key}`)]), ...DAYS.every.map((day) => [String(day), dayName(day)])] });
  const from = field(t("lock.from"), { value: "08:00", pattern: TIME, max: 5 });
  const to = field(t("lock.to"), { value: "18:00", pattern: TIME, max: 5 });
  const what = field(t("prog.what"), { options: [] });
  const choices = () => [
    ...read(tours).map((one) => `tour ${one.name}`), ...read(scans).map((one) => `scan ${one.name}`), ...read(patterns).map((one) => `pattern ${one.name}`),
    ...(guard.input.value === "0" ? [] : ["home"]), ...presets.map((one) => `preset ${one.number}`)];
  what.input.addEventListener("focus", () => {
    const before = what.input.value;
    what.input.replaceChildren(...choices().map((key) => el("option", { value: key, selected: key === before }, whatWords(key))));
  });
  program.tours.forEach(tourCard);
  program.scans.forEach(scanCard);
  program.patterns.forEach(patternCard);
  program.week.forEach((day, n) => day.forEach((text) => weekRow(n, text)));
  what.input.dispatchEvent(new Event("focus"));
  const add = () => {
    if (!from.input.checkValidity() || !to.input.checkValidity() || from.input.value >= to.input.value || !what.input.value) {
      app.notes.say(t("plan.times"), "warn");
      return;
    }
    for (const day of DAYS[days.input.value] ?? [Number(days.input.value)]) weekRow(day, `${from.input.value}-${to.input.value} ${what.input.value}`);
  };
  const first = presets[0]?.number ?? 0;
  const part = (title, host, ...more) => el("section.prog-part", {}, el("h3", {}, title), host, ...more);
  const box = dialog({
    title: t("prog.title", { title: about?.title || camera }), wide: true, onClose: back,
    body: [presets.length < 2 ? el("p.hint", {}, t("prog.need")) : null, form({
      rows: [
        el("div.two", {}, guard.row, idle.row), resume.row,
        part(t("prog.tours"), tours, first ? button("plus", t("prog.add.tour"), () => tourCard({ name: "", steps: presets.slice(0, 8).map((one) => ({ preset: one.number })) })) : null),
        part(t("prog.scans"), scans, presets.length > 1 ? button("plus", t("prog.add.scan"), () => scanCard({ name: "", left: presets[0].number, right: presets[1].number })) : null),
        program.patterns.length ? part(t("prog.patterns"), patterns) : null,
        part(t("prog.week"), week, el("div.two", {}, days.row, what.row), el("div.two", {}, from.row, to.row), button("plus", t("prog.add.week"), add)),
      ].filter((row) => row !== null),
      act: t("save"),
      onSubmit: async () => {
        const stretches = read(week);
        await api.put(path, {
          guard: { preset: Number(guard.input.value), idle_s: Number(idle.input.value), on: program.guard.on },
          tours: read(tours), scans: read(scans), patterns: read(patterns), resume_s: Number(resume.input.value),
          week: DAYS.every.map((day) => stretches.filter(([at]) => at === day).map(([, text]) => text)),
        });
        app.notes.say(t("prog.saved"), "ok");
        box.close();
      },
    })],
    actions: [],
  });
}
