// Outputs and alarm inputs of the box: what they do now, what happened, and switching them.

import * as api from "../api.js";
import { el, show } from "../dom.js";
import { clock, language, span, t } from "../i18n.js";
import { icon } from "../icons.js";
import { button, dialog, field, form, iconButton } from "../ui.js";

/** What its owner calls it, else what it is. @param {any} one @param {string} what */
export const lineName = (one, what) => (language() === "en" ? one.title_en || one.title : one.title || one.title_en) || `${t(what)} ${one.name}`;
const outputName = (one) => lineName(one, `line.${one.kind}`);

/** Whether a person means it: a siren is heard, a door opens. */
function sure(one, act) {
  return new Promise((resolve) => {
    let yes = false;
    const box = dialog({
      title: outputName(one), body: [el("p", {}, t(`line.sure.${one.kind}`))], onClose: () => resolve(yes),
      actions: [button("", act, () => { yes = true; box.close(); }, { cls: "danger" }), button("", t("cancel"), () => box.close(), { cls: "p wide" })],
    });
  });
}

/** How to wipe. */
function wipe(one, send) {
  const program = field(t("line.wipe"), { value: "single", options: ["single", "intermittent", ...(one.washes ? ["wash"] : [])].map((name) => [name, t(`line.${name}`)]) });
  const strokes = field(t("line.strokes"), { value: "1", pattern: "[1-9]|1[0-9]|20" });
  const every = field(t("line.every"), { value: "15", pattern: "[0-9]{1,3}" });
  const wash = field(t("line.wash_s"), { value: "2", pattern: "[0-9]{1,2}" });
  const box = dialog({
    title: outputName(one), actions: [],
    body: [form({
      act: t("line.begin"), rows: [program.row, strokes.row, every.row, one.washes ? wash.row : null].filter(Boolean),
      onSubmit: async () => {
        await send({ program: program.input.value, strokes: Number(strokes.input.value), every_s: Number(every.input.value), wash_s: Number(wash.input.value) });
        box.close();
      },
    })],
  });
}

/** What follows an input: who records it, and which head looks where. */
function follow(app, one, done) {
  const cameras = app.box.cameras.map((camera) => [camera.name, camera.title || camera.name]);
  const boxes = cameras.map(([name, title]) => el("label.check", {}, el("input", { type: "checkbox", value: name, prop: { checked: one.cameras.includes(name) } }), title));
  const heads = [["", "–"], ...cameras.filter(([name]) => app.box.camera(name).ptz)];
  const calls = [...one.call, { camera: "", preset: 1 }].map((call) => [field(t("line.head"), { value: call.camera, options: heads }), field(t("line.preset"), { value: String(call.preset), pattern: "[0-9]{1,3}" })]);
  const box = dialog({
    title: lineName(one, "line.input"), actions: [],
    body: [form({
      act: t("save"), rows: [el("div.field", {}, el("label", {}, t("line.record")), el("div.checks", {}, ...boxes)), ...calls.map((pair) => el("div.two", {}, ...pair.map(({ row }) => row)))],
      onSubmit: async () => {
        await api.put(`/api/input/${one.name}`, {
          cameras: boxes.map((label) => label.firstChild).filter((input) => input.checked).map((input) => input.value),
          call: calls.filter(([head]) => head.input.value).map(([head, preset]) => ({ camera: head.input.value, preset: Number(preset.input.value) })),
        });
        box.close();
        await done();
      },
    })],
  });
}

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function linesPage(app, host, part) {
  const list = el("div.cards", {});
  const past = el("table.log", {});
  let shown = "";

  async function act(path, body) {
    try {
      await api.post(path, body);
    } catch (error) {
      app.notes.problem(error);
    }
    await look();
  }

  function output({ output: one, may }) {
    const path = `/api/output/${one.name}`;
    const says = [one.wiping && t(`line.${one.wiping}`), one.left_s !== null && t("line.left", { n: Math.ceil(one.left_s) }), one.wait_s > 0 && t("line.rests", { n: Math.ceil(one.wait_s) }), one.blocked_by && t("line.blocked", { name: one.blocked_by })].filter(Boolean);
    const does = (name, label, cls = "") => may.includes(name) && button("", label, async () => {
      if (name !== "off" && ["siren", "door"].includes(one.kind) && !(await sure(one, label))) return;
      await act(path, { do: name });
    }, { cls, key: name === "pulse" ? name : "switch" });
    return el("article.cam-card.panel", { key: `output ${one.name}`, data: { line: one.name } }, icon(one.kind === "wiper" ? "wiper" : one.kind === "lamp" ? "lamp" : "relay"),
      el("div.grow", {}, el("b", {}, outputName(one)), el("p.s.sub", {}, says.join(" · ") || `${one.name} · ${t(`line.${one.kind}`)}`)),
      el(`span.chip${one.online ? (one.on ? ".oth" : "") : ".alarm"}`, {}, t(one.online ? (one.on ? "line.on" : "line.off") : "line.gone")),
      el("div.row.end", {}, may.includes("wipe") && button("", t("line.wipe"), () => wipe(one, (body) => api.post(`${path}/wipe`, body))),
        one.on || one.wiping ? does("off", t("line.off.do"), "p") : [does("pulse", t("line.pulse")), one.pulse_ms === null && does("on", t("line.on.do"))]));
  }

  function input(one) {
    const state = one.storm ? "storm" : one.state ?? "gone";
    const since = one.since_us ? ` · ${t("line.since", { span: span((app.box.now_us - one.since_us) / 1e6) })}` : "";
    return el("article.cam-card.panel", { key: `input ${one.name}`, data: { line: one.name } }, icon("inp"),
      el("div.grow", {}, el("b", {}, lineName(one, "line.input")), el("p.s.sub", {}, `${one.name} · ${t(`line.${one.contact}`)}${since}`)),
      el(`span.chip${state === "normal" ? "" : state === "alarm" ? ".alarm" : ".warn"}`, {}, t(`line.is.${state}`)),
      app.box.admin ? el("div.row.acts", {}, iconButton("gear", t("line.follow"), () => follow(app, one, look), "q")) : null);
  }

  async function look() {
    const { outputs, inputs } = await api.get("/api/line", part.life);
    const now = JSON.stringify([outputs, inputs, Math.floor(app.box.now_us / 3e7)]);
    if (now === shown) return;
    shown = now;
    show(list, ...outputs.map(output), ...inputs.map(input), ...(outputs.length + inputs.length ? [] : [el("p.sub", {}, t("line.none"))]));
    const names = Object.fromEntries([...outputs.map((one) => [one.output.name, outputName(one.output)]), ...inputs.map((one) => [one.name, lineName(one, "line.input")])]);
    const { happenings } = await api.get(`/api/line/event?from_us=${Math.round(app.box.now_us - 86400e6)}&to_us=${Math.round(app.box.now_us)}`, part.life);
    const rows = happenings.slice(-50).reverse().map((one) => el("tr", {}, el("td", {}, clock(one.from_us)), el("td", {}, names[one.name] ?? one.name), el("td", {}, t(`look.${one.kind}`)), el("td", {}, one.to_us === null ? t("look.now") : span((one.to_us - one.from_us) / 1e6))));
    show(past, ...(rows.length ? rows : [el("tr", {}, el("td.sub", {}, t("look.none")))]));
  }

  host.replaceChildren(el("div.head", {}, el("h2", {}, t("manage.lines"))), list, el("section.panel", {}, el("h2", {}, icon("clock"), t("line.past")), el("div.pb.scroll-x", {}, past)));
  await look();
  part.every(1000, () => look().catch(() => {}));
}
