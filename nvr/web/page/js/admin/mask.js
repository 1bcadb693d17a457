// Privacy masks: polygons drawn on the real picture, by mouse, finger or keyboard. A tap sets a corner,
// a tap on the first one closes the area; corners are dragged. Nothing is in force before it is saved.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { outline } from "../overlay.js";
import { button, problemBox } from "../ui.js";
import { toldBox } from "./told.js";

const MOST = 8;
const CORNERS = 16;
const NEAR_PX = 22;
const STEP = 10;

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function maskPage(app, host, part) {
  const cameras = app.box.cameras.filter((camera) => camera.rights.includes("config"));
  if (!cameras.length) {
    host.replaceChildren(el("div.blank", {}, icon("eyeoff", "xl"), el("h2", {}, t("mask.none")), el("p.sub", {}, t("caption.none.why"))));
    return;
  }
  const name = cameras.some((camera) => camera.name === app.query.cam) ? app.query.cam : cameras[0].name;
  const seen = app.box.camera(name);
  /** @type {{points_permille: number[][], kind: string}[]} */
  let masks = structuredClone(seen.masks ?? []);
  /** Corners of the area being drawn. @type {number[][]} */
  let drawing = [];
  /** What undo goes back to. @type {string[]} */
  const past = [];
  let kind = "solid";
  /** The corner under the finger: which mask (-1: the one being drawn), which corner. @type {[number, number] | null} */
  let held = null;
  let cursor = [500, 500];
  let keyed = false;

  const tile = el("nvr-tile", { prop: { app, camera: name, focused: true } });
  tile.classList.add("focus");
  // What is under the masks must be seen to draw them.
  tile.shown = { ...seen, masks: [] };
  const pad = el("canvas.maskpad", { tabindex: "0", role: "application", "aria-label": t("mask.pad") });
  const list = el("ul.plain", {});
  const state = el("p.s.sub", { role: "status" });
  const trouble = el("div.place", {});
  const undo = button("back", t("mask.undo"), () => { const was = past.pop(); if (was) ({ masks, drawing } = JSON.parse(was)); changed(); });
  const close = button("", t("mask.close"), finish);
  const save = button("", t("save"), () => send(), { cls: "p" });
  const kinds = el("div.seg", { role: "group", "aria-label": t("mask.kind") }, ...["solid", "mosaic"].map((one) =>
    el("button.btn", { type: "button", data: { kind: one }, "aria-pressed": String(one === kind), on: { click: () => { kind = one; mark(); } } }, t(`mask.kind.${one}`))));
  const mark = () => kinds.childNodes.forEach((node) => node.setAttribute("aria-pressed", String(node.dataset.kind === kind)));

  const remember = () => { past.push(JSON.stringify({ masks, drawing })); if (past.length > 100) past.shift(); };

  function finish() {
    if (drawing.length < 3 || masks.length >= MOST) return;
    remember();
    masks.push({ points_permille: drawing, kind });
    drawing = [];
    changed();
  }

  function changed() {
    undo.disabled = !past.length;
    close.disabled = drawing.length < 3;
    save.disabled = drawing.length > 0;
    state.textContent = drawing.length ? t("mask.drawing", { count: drawing.length }) : masks.length >= MOST ? t("mask.full", { count: MOST }) : t("mask.start");
    list.replaceChildren(...masks.map((mask, index) => el("li.row", {}, el("span.grow", {}, `${index + 1} · ${t(`mask.kind.${mask.kind}`)}`),
      button("", t("mask.other"), () => { remember(); mask.kind = mask.kind === "solid" ? "mosaic" : "solid"; changed(); }, { cls: "q" }),
      button("bin", t("mask.remove"), () => { remember(); masks = masks.filter((one) => one !== mask); changed(); }, { cls: "q" }))));
    draw();
  }

  /** Where the picture is on the pad: it may have bars beside it. */
  function frame() {
    const [w, h] = [pad.clientWidth, pad.clientHeight];
    const ratio = (seen.width_px || 16) / (seen.height_px || 9);
    const width = Math.min(w, h * ratio);
    const height = width / ratio;
    return { x: (w - width) / 2, y: (h - height) / 2, width, height };
  }

  function draw() {
    const scale = devicePixelRatio || 1;
    if (pad.width !== Math.round(pad.clientWidth * scale)) Object.assign(pad, { width: Math.round(pad.clientWidth * scale), height: Math.round(pad.clientHeight * scale) });
    const ctx = /** @type {CanvasRenderingContext2D} */ (pad.getContext("2d"));
    const box = frame();
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.clearRect(0, 0, pad.clientWidth, pad.clientHeight);
    ctx.translate(box.x, box.y);
    const dot = (/** @type {number[]} */ [x, y], first = false) => {
      ctx.beginPath();
      ctx.arc((x * box.width) / 1000, (y * box.height) / 1000, first ? 8 : 5, 0, 7);
      ctx.fillStyle = first ? "#f4ba45" : "#58c4f0";
      ctx.fill();
      ctx.strokeStyle = "#05080a";
      ctx.stroke();
    };
    for (const { points_permille, kind: one } of masks) {
      outline(ctx, points_permille, box.width, box.height);
      ctx.fillStyle = one === "solid" ? "rgb(16 16 16/.72)" : "rgb(120 130 140/.6)";
      ctx.fill();
      ctx.lineWidth = 2;
      ctx.strokeStyle = "#58c4f0";
      ctx.setLineDash(one === "solid" ? [] : [8, 5]);
      ctx.stroke();
      ctx.setLineDash([]);
      points_permille.forEach((point) => dot(point));
    }
    if (drawing.length) {
      ctx.beginPath();
      for (const [x, y] of drawing) ctx.lineTo((x * box.width) / 1000, (y * box.height) / 1000);
      ctx.strokeStyle = "#f4ba45";
      ctx.lineWidth = 2;
      ctx.stroke();
      drawing.forEach((point, index) => dot(point, index === 0));
    }
    if (keyed) {
      const [x, y] = [(cursor[0] * box.width) / 1000, (cursor[1] * box.height) / 1000];
      ctx.strokeStyle = "#fff";
      ctx.lineWidth = 2;
      ctx.strokeRect(x - 9, y - 9, 18, 18);
    }
  }

  /** @param {PointerEvent} event */
  function at(event) {
    const box = frame();
    const edge = pad.getBoundingClientRect();
    const clamp = (/** @type {number} */ value) => Math.max(0, Math.min(1000, Math.round(value)));
    return [clamp(((event.clientX - edge.left - box.x) / box.width) * 1000), clamp(((event.clientY - edge.top - box.y) / box.height) * 1000)];
  }

  /** The corner at a place. @param {number[]} place @returns {[number, number] | null} */
  function cornerAt([x, y]) {
    const box = frame();
    const far = ([px, py]) => Math.hypot(((px - x) * box.width) / 1000, ((py - y) * box.height) / 1000);
    for (const [which, points] of [[-1, drawing], ...masks.map((mask, index) => [index, mask.points_permille])]) {
      const corner = points.findIndex((point) => far(point) < NEAR_PX);
      if (corner >= 0) return [which, corner];
    }
    return null;
  }

  /** Set a corner, or close the area at its first one. @param {number[]} place */
  function set(place) {
    const found = cornerAt(place);
    if (found?.[0] === -1 && found[1] === 0 && drawing.length >= 3) finish();
    else if (!found && drawing.length < CORNERS && masks.length < MOST) {
      remember();
      drawing.push(place);
      changed();
    }
  }

  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.focus();
    keyed = false;
    const place = at(event);
    const found = cornerAt(place);
    if (found && !(found[0] === -1 && found[1] === 0 && drawing.length >= 3)) {
      remember();
      held = found;
      pad.setPointerCapture(event.pointerId);
    } else set(place);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [which, corner] = held;
    (which < 0 ? drawing : masks[which].points_permille)[corner] = at(event);
    draw();
  });
  for (const type of ["pointerup", "pointercancel"]) pad.addEventListener(type, () => { held = null; changed(); });
  pad.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (by) cursor = cursor.map((one, axis) => Math.max(0, Math.min(1000, one + by[axis] * (event.shiftKey ? 5 : 1))));
    else if (event.key === "Enter") set([...cursor]);
    else if (event.key === "Backspace" || ((event.ctrlKey || event.metaKey) && event.key === "z")) undo.click();
    else return;
    keyed = true;
    event.preventDefault();
    event.stopPropagation();
    draw();
  });

  async function send(more = {}) {
    save.disabled = true;
    try {
      const body = { masks, ...more };
      await api.put(api.cameraPath(name, "/mask"), body);
      const camera = app.box.camera(name);
      if (camera) Object.assign(camera, { masks: structuredClone(body.masks), mask_burn: body.burn ?? camera.mask_burn });
      trouble.replaceChildren();
      state.textContent = t("mask.saved");
      app.notes.say(t("mask.saved"), "ok");
    } catch (error) {
      trouble.replaceChildren(problemBox(error));
    } finally {
      save.disabled = false;
    }
  }

  const watcher = new ResizeObserver(draw);
  watcher.observe(pad);
  part.life.addEventListener("abort", () => watcher.disconnect());
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.masks")), el("span.grow", {}),
      el("select.field-in.chooser", { "aria-label": t("camera"), on: { change: (event) => app.go("manage/masks", { cam: event.target.value }) } },
        ...cameras.map((camera) => el("option", { value: camera.name, selected: camera.name === name }, camera.title || camera.name)))),
    el("div.caption-grid", {}, el("div.maskbox", {}, tile, pad),
      el("section.panel", {}, el("div.pb", {},
        el("p.hint", {}, t("mask.how")), el("div.field", {}, el("span.s.sub", {}, t("mask.kind")), kinds),
        el("div.row", {}, close, undo), list, state, trouble, el("div.row", {}, save),
        toldBox(app, part, name, "masks", () => {
          const { masks: saved, mask_burn } = app.box.camera(name) ?? seen;
          send({ masks: saved, burn: mask_burn === "none" ? "auto" : "none" });
        }),
        el("p.hint", {}, t(seen.masks_burned ? "mask.burned" : "mask.over"))))));
  changed();
}
