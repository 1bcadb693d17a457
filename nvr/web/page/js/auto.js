// What a dome does by itself: the guard position, tours, patterns and scans; begun, ended and taken down here.

import * as api from "./api.js";
import { el, show } from "./dom.js";
import { clock, t } from "./i18n.js";
import { button, confirmLoss, dialog, field, form, problemBox } from "./ui.js";

/** "tour Yard" in words. @param {string} what */
export function whatWords(what) {
  const [word, ...rest] = what.split(" ");
  return t(`auto.what.${word}`, { name: rest.join(" ") });
}

/** One line of what it does, empty if it does nothing. @param {any} auto @param {number} now_us */
export function autoWords(auto, now_us) {
  if (!auto) return "";
  const left_s = Math.ceil((auto.until_us - now_us) / 1e6);
  const state = auto.until_us && left_s > 0 ? `${auto.state}.left` : auto.state;
  return t(`auto.${auto.what === "home" && auto.state !== "running" ? "home." : ""}${state}`, { what: whatWords(auto.what), s: left_s > 20 ? Math.ceil(left_s / 5) * 5 : left_s });
}

/** @param {any} app @param {string} camera */
export async function autoDialog(app, camera) {
  let program;
  try {
    program = await api.get(api.cameraPath(camera, "/program"));
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const presets = app.box.camera(camera)?.ptz?.presets ?? [];
  const named = (number) => presets.find((one) => one.number === number)?.name || String(number);
  const place = el("div.place", {});
  const list = el("div.autos", {});
  const ask = async (message) => {
    place.replaceChildren();
    try {
      await app.box.ask({ cam: camera, ...message });
    } catch (error) {
      place.replaceChildren(problemBox(error));
    }
    draw();
  };
  const row = (what, sub) => {
    const now = app.box.domes.get(camera)?.auto;
    const on = now?.what === what && now.state !== "recording" && !(what === "home" && now.state === "waiting");
    return el("div.auto-row", { key: what },
      el("div.grow", {}, el("b", {}, whatWords(what)), el("div.xs.sub", {}, on ? autoWords(now, app.box.now_us) : sub)),
      button("", t(on ? "auto.end" : "auto.start"), () => ask({ op: "run", what: on ? "" : what }), { key: "run" }));
  };
  const home = () => {
    const { preset, idle_s, on } = program.guard;
    if (!preset) return el("p.hint", {}, t("auto.guard.none"));
    return el("div.auto-row", {}, el("div.grow", {}, el("b", {}, t("auto.what.home")),
      el("div.xs.sub", {}, t(on ? "auto.guard.on" : "auto.guard.off", { name: named(preset), min: Number((idle_s / 60).toFixed(1)) }))),
      button("", t("auto.guard"), async () => {
        program.guard.on = !on;
        await ask({ op: "guard", on: !on });
      }, { press: on }),
      button("home", t("auto.go"), () => ask({ op: "run", what: "home" })));
  };
  const record = () => {
    const auto = app.box.domes.get(camera)?.auto;
    if (auto?.state === "recording") {
      const wait = auto.until_us > app.box.now_us;
      return el("div.auto-row", {}, el("div.grow", {}, el("b", {}, whatWords(auto.what)), el("div.xs.sub", {}, t(wait ? "auto.recording.wait" : "auto.recording.do"))),
        button("", t("auto.drop"), () => ask({ op: "pattern", act: "drop" })),
        button("ok", t("auto.keep"), async () => {
          await ask({ op: "pattern", act: "keep" });
          program = await api.get(api.cameraPath(camera, "/program"));
          draw();
        }, { cls: "p" }));
    }
    return presets.length ? button("rec", t("auto.record"), () => recordDialog()) : null;
  };
  const recordDialog = () => {
    const name = field(t("auto.name"), { required: true, max: 32 });
    const from = field(t("auto.from"), { options: presets.map((one) => [String(one.number), `${one.number} ${one.name}`]), value: String(presets[0].number), hint: t("auto.from.hint") });
    const inner = dialog({
      title: t("auto.record"),
      body: [form({
        rows: [name.row, from.row], act: t("auto.begin"),
        onSubmit: async () => {
          await app.box.ask({ op: "pattern", cam: camera, act: "begin", name: name.input.value.trim(), preset: Number(from.input.value) });
          inner.close();
          // The stick is under the dialogs.
          box.close();
          app.notes.say(t("auto.recording.wait"), "ok");
        },
      })],
      actions: [],
    });
  };
  const minutes = (s) => (s < 60 ? t("auto.s", { s }) : t("auto.min", { min: Number((s / 60).toFixed(1)) }));
  function draw() {
    const stored = [
      ...program.tours.map((one) => [`tour ${one.name}`, t(`auto.tour.${one.order ?? "forward"}`, { n: one.steps.length })]),
      ...program.scans.map((one) => [`scan ${one.name}`, `${named(one.left)} ↔ ${named(one.right)}`]),
      ...program.patterns.map((one) => [`pattern ${one.name}`, t("auto.pattern.of", { time: minutes(Math.round(one.lasts_s)), name: named(one.preset) })]),
    ];
    show(list, ...[home(), ...stored.map(([what, sub]) => row(what, sub)), stored.length ? null : el("p.hint", {}, t("auto.none")), record()]);
  }
  draw();
  const told = (event) => event.detail === camera && draw();
  app.box.addEventListener("dome", told);
  const may = app.box.may(camera, "config");
  const box = dialog({
    title: t("auto.title"), wide: true,
    body: [list, place],
    actions: may ? [button("gear", t("auto.edit"), async () => {
      box.close();
      const { programDialog } = await import("./admin/program.js");
      programDialog(app, camera, () => autoDialog(app, camera));
    })] : [],
    onClose: () => app.box.removeEventListener("dome", told),
  });
}

const HOURS = [0.25, 1, 4, 12];

/** Keep everybody else off a dome, or end that. @param {any} app @param {string} camera @param {any} lock */
export async function lockDialog(app, camera, lock) {
  if (lock) {
    const sure = await confirmLoss({
      title: t("lock.ptz.end.title"), lost: [t("hold.lock", { name: lock.name, time: clock(lock.until_us) }), lock.reason],
      kept: [], act: t("lock.ptz.end"),
    });
    if (!sure) return;
    try {
      await app.box.ask({ op: "unlock", cam: camera });
    } catch (error) {
      app.notes.problem(error);
    }
    return;
  }
  const reason = field(t("lock.ptz.why"), { required: true, max: 100, placeholder: t("lock.ptz.why.like") });
  const lasts = field(t("lock.ptz.lasts"), { options: HOURS.map((h) => [String(h), h < 1 ? t("auto.min", { min: h * 60 }) : t("lock.ptz.hours", { h })]), value: "1" });
  const box = dialog({
    title: t("lock.ptz.title"),
    body: [el("p.sub", {}, t("lock.ptz.what")), form({
      rows: [reason.row, lasts.row], act: t("lock.ptz"),
      onSubmit: async () => {
        await app.box.ask({ op: "lock", cam: camera, lasts_s: Number(lasts.input.value) * 3600, reason: reason.input.value });
        box.close();
      },
    })],
    actions: [],
  });
}
