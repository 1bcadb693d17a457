// Captions: lines, place, size, mode, shown on the real picture. Changes go out while you type; what
// is too long and what the font cannot draw is said at once.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { lengthOf } from "../overlay.js";
import { problemBox } from "../ui.js";
import { toldBox } from "./told.js";

const MODES = ["plain", "outline", "box", "blink", "inverse", "scroll"];
const LINES = 8;
const LONG = 32;
const WAIT_MS = 350;

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function captionPage(app, host, part) {
  const cameras = app.box.cameras.filter((camera) => camera.rights.includes("config"));
  if (!cameras.length) {
    host.replaceChildren(el("div.blank", {}, icon("doc", "xl"), el("h2", {}, t("caption.none")), el("p.sub", {}, t("caption.none.why"))));
    return;
  }
  const name = cameras.some((camera) => camera.name === app.query.cam) ? app.query.cam : cameras[0].name;
  const value = await api.get(api.cameraPath(name, "/caption"));
  const tile = el("nvr-tile", { prop: { app, camera: name, focused: true } });
  tile.classList.add("focus");
  const seen = app.box.camera(name);
  // A camera that is told the caption shows it a moment later: until then it is drawn here.
  const told = Boolean(seen?.caption_drawn) || value.burn === "none";
  const burned = (seen?.caption_burned ?? true) && !seen?.caption_drawn;
  let burn = value.burn ?? "auto";
  const warning = el("p.s.warn", { role: "status", hidden: true });
  const state = el("p.s.sub", { role: "status" });
  const missing = el("div.place", {});
  let timer = 0;
  let newest = 0;

  const lines = el("textarea.field-in", { rows: "4", id: "cap-lines", maxlength: LINES * (LONG + 60), spellcheck: "false", on: { input: changed } });
  lines.value = value.lines.join("\n");
  const range = (min, max, now) => el("input", { type: "range", min: String(min), max: String(max), value: String(now), on: { input: changed } });
  const x = range(0, 1000, value.position_permille[0]);
  const y = range(0, 1000, value.position_permille[1]);
  const size = range(20, 200, value.size_permille);
  const modes = el("div.seg.wrap", { role: "group", "aria-label": t("caption.mode") }, ...MODES.map((mode) =>
    el("button.btn", { type: "button", data: { mode }, "aria-pressed": String(mode === value.mode), on: { click: () => { value.mode = mode; mark(); changed(); } } }, t(`caption.mode.${mode}`))));
  const mark = () => modes.childNodes.forEach((node) => node.setAttribute("aria-pressed", String(node.dataset.mode === value.mode)));

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(send, WAIT_MS);
    const typed = lines.value.split("\n");
    warn(typed);
    // Drawn here it need not wait for the box.
    const camera = app.box.camera(name);
    if (camera && !burned) tile.shown = { ...camera, caption: { lines: typed.slice(0, LINES).map(fitting), position_permille: [Number(x.value), Number(y.value)], size_permille: Number(size.value), mode: value.mode } };
    state.textContent = t("caption.changing");
  }

  /** As much of a line as there is room for; fields do not count. @param {string} line */
  function fitting(line) {
    let some = [...line];
    while (lengthOf(some.join("")) > LONG) some = some.slice(0, -1);
    return some.join("");
  }

  /** Say what is too much; true if something is. @param {string[]} typed */
  function warn(typed) {
    const at = typed.findIndex((line) => lengthOf(line) > LONG);
    const many = typed.length > LINES;
    warning.hidden = !many && at < 0;
    warning.textContent = many ? t("caption.many", { count: typed.length, lines: LINES }) : at >= 0 ? t("caption.long", { line: at + 1, count: lengthOf(typed[at]), long: LONG }) : "";
    return many || at >= 0;
  }

  async function send() {
    newest += 1;
    const mine = newest;
    const typed = lines.value.split("\n");
    const cut = warn(typed);
    const body = {
      lines: typed.slice(0, LINES).map(fitting),
      position_permille: [Number(x.value), Number(y.value)], size_permille: Number(size.value), mode: value.mode, burn,
    };
    try {
      const answer = await api.put(api.cameraPath(name, "/caption"), body);
      if (mine !== newest) return;
      state.textContent = cut ? t("caption.cut", { lines: LINES, long: LONG }) : t(burned ? "caption.live" : "caption.drawn");
      state.className = `s ${cut ? "warn" : "sub"}`;
      const camera = app.box.camera(name);
      if (camera) camera.caption = answer;
      tile.shown = null;
      const glyphs = answer.missing ?? [];
      missing.replaceChildren(...(glyphs.length ? [el("p.problem.soft", {}, icon("event"), el("span", {}, t("caption.missing", { glyphs: glyphs.join(" ") }), " ", el("span.code.mono", {}, "caption.glyph")))] : []));
    } catch (error) {
      if (mine === newest) {
        state.textContent = "";
        missing.replaceChildren(problemBox(error));
      }
    }
  }

  part.life.addEventListener("abort", () => clearTimeout(timer));
  const row = (label, input) => el("label.field", {}, el("span.s.sub", {}, label), input);
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.captions")), el("span.grow", {}),
      el("select.field-in.chooser", { "aria-label": t("camera"), on: { change: (event) => app.go("manage/captions", { cam: event.target.value }) } },
        ...cameras.map((camera) => el("option", { value: camera.name, selected: camera.name === name }, camera.title || camera.name)))),
    el("div.caption-grid", {}, tile,
      el("section.panel", {}, el("div.pb", {},
        el("div.field", {}, el("label", { for: "cap-lines" }, t("caption.lines")), lines, el("p.hint", {}, t("caption.lines.hint", { lines: LINES, long: LONG, stamp: "{time}" })), el("p.hint", {}, t("caption.fields"))),
        warning, missing,
        el("div.two", {}, row(t("caption.x"), x), row(t("caption.y"), y)), row(t("caption.size"), size),
        el("div.field", {}, el("span.s.sub", {}, t("caption.mode")), modes), state,
        toldBox(app, part, name, "caption", () => { burn = burn === "none" ? "auto" : "none"; send(); }), burned || told ? null : el("p.hint", {}, t("caption.own"))))));
}
