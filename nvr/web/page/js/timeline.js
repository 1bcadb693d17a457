// The timeline: a canvas with the manners of a slider. On a desk it drags to pan and its ruler
// scrubs; on a phone it stands upright, the playhead stays in the middle and dragging scrubs.

import { el, Part, put } from "./dom.js";
import { clock, dayName, span, stamp, t } from "./i18n.js";
import { Axis, causeWords, flag, lane, palette, tickStep, tickText, ticks } from "./timeline-draw.js";

const SECOND = 1e6;
const SHORTEST_US = 0.5 * SECOND;
const LONGEST_US = 31 * 86400 * SECOND;
const RULER = 46;
const DAY_LANE = 30;
const GRAB = 10;

/** Events: "seek" (detail: {t_us, done}), "view", "marks", "camera" (detail: name). */
export class Timeline extends Part {
  /** @type {{name: string, title: string, archive: import("./footage.js").Footage}[]} */
  lanes = [];
  selected = "";
  playhead_us = 0;
  /** @type {{in_us: number | null, out_us: number | null}} */
  marks = { in_us: null, out_us: null };
  /** @type {import("./timeline-draw.js").View} */
  view = { from_us: 0, to_us: 1 };
  /** The box's clock. */
  now_us = () => Date.now() * 1000;
  vertical = false;
  #pointers = new Map();
  #drag = /** @type {any} */ (null);
  #hover_px = /** @type {number | null} */ (null);
  #frame = 0;
  #colours = /** @type {Record<string, string> | null} */ (null);

  start() {
    if (!this.canvas) {
      this.className = "tl";
      this.labels = el("div.labs", {});
      this.canvas = el("canvas", {});
      this.host = el("div.tl-canvas", { tabindex: "0", role: "slider", "aria-label": t("timeline"), "aria-orientation": this.vertical ? "vertical" : "horizontal" }, this.canvas);
      this.append(this.labels, this.host);
    }
    this.classList.toggle("v", this.vertical);
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(this.host);
    this.life.addEventListener("abort", () => sizes.disconnect());
    const theme = new MutationObserver(() => { this.#colours = null; this.draw(); });
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    this.life.addEventListener("abort", () => theme.disconnect());
    this.listen(this.host, "wheel", (event) => this.#wheel(event), { passive: false });
    this.listen(this.host, "pointerdown", (event) => this.#down(event));
    this.listen(this.host, "pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) this.listen(this.host, type, (event) => this.#up(event, type === "pointerup"));
    this.listen(this.host, "pointerleave", () => { this.#hover_px = null; this.draw(); });
    this.listen(this.host, "keydown", (event) => this.#key(event));
    this.relabel();
  }

  relabel() {
    if (!this.labels) return;
    this.labels.replaceChildren(el("div.lab.dim.day", {}), ...this.lanes.map((item, index) =>
      el("button.lab", { type: "button", "aria-pressed": String(item.name === this.selected), on: { click: () => this.#tell("camera", item.name) } },
        el("b", {}, String(index + 1).padStart(2, "0")), el("span", {}, item.title))),
      el("div.lab.dim.mini", {}, t("tl.day")));
    this.draw();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  get length_px() {
    return this.vertical ? this.host.clientHeight : this.host.clientWidth;
  }

  get #per_px() {
    return (this.view.to_us - this.view.from_us) / Math.max(1, this.length_px);
  }

  get laneHeight() {
    return innerWidth >= 1700 ? 48 : 36;
  }

  /** Time at a place along the canvas. */
  #time(px) {
    return this.vertical ? this.view.to_us - px * this.#per_px : this.view.from_us + px * this.#per_px;
  }

  #along(event) {
    const box = this.host.getBoundingClientRect();
    return this.vertical ? event.clientY - box.top : event.clientX - box.left;
  }

  /** Show a span of time around a middle. */
  show(middle_us, span_us) {
    const span = Math.max(SHORTEST_US, Math.min(LONGEST_US, span_us));
    this.view = { from_us: middle_us - span / 2, to_us: middle_us + span / 2 };
    this.#tell("view");
    this.draw();
  }

  get span_us() {
    return this.view.to_us - this.view.from_us;
  }

  zoom(ratio, about_us = this.playhead_us) {
    const span = Math.max(SHORTEST_US, Math.min(LONGEST_US, this.span_us * ratio));
    const inside = about_us >= this.view.from_us && about_us <= this.view.to_us;
    const part = inside ? (about_us - this.view.from_us) / this.span_us : 0.5;
    const from = (inside ? about_us : (this.view.from_us + this.view.to_us) / 2) - span * part;
    this.view = { from_us: from, to_us: from + span };
    if (this.vertical) this.show(this.playhead_us, span);
    else {
      this.#tell("view");
      this.draw();
    }
  }

  /** Move the playhead; the view follows when it would leave. */
  place(t_us) {
    this.playhead_us = t_us;
    if (this.vertical) {
      const half = this.span_us / 2;
      this.view = { from_us: t_us - half, to_us: t_us + half };
      if (!this.#drag) this.#tell("view");
    } else if (!this.#drag && (t_us < this.view.from_us || t_us > this.view.to_us - this.span_us * 0.02)) {
      const from = t_us - this.span_us * 0.12;
      this.view = { from_us: from, to_us: from + this.span_us };
      this.#tell("view");
    }
    this.draw();
  }

  // -- hands ----------------------------------------------------------------------------------

  #wheel(event) {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      const by = (event.deltaX || event.deltaY) * this.#per_px;
      this.view = { from_us: this.view.from_us + by, to_us: this.view.to_us + by };
      this.#tell("view");
      this.draw();
    } else this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.#time(this.#along(event)));
  }

  #markAt(px) {
    for (const name of ["in_us", "out_us"]) {
      const mark = this.marks[name];
      if (mark !== null && Math.abs((mark - this.view.from_us) / this.#per_px - px) < GRAB) return name;
    }
    return null;
  }

  #down(event) {
    if (event.button !== 0) return;
    this.host.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    const px = this.#along(event);
    const y = event.clientY - this.host.getBoundingClientRect().top;
    if (this.#pointers.size === 2) {
      this.#drag = { kind: "pinch", distance: this.#pinch() };
      return;
    }
    const mini = !this.vertical && y > this.host.clientHeight - DAY_LANE;
    const mark = this.vertical ? null : this.#markAt(px);
    const kind = this.vertical ? "upright" : mini ? "day" : mark && y > RULER / 2 ? mark : y < RULER ? "scrub" : "pan";
    this.#drag = { kind, from_px: px, view: this.view, moved: false, at_us: this.playhead_us };
    if (kind === "scrub") this.#tell("seek", { t_us: this.#time(px), done: false });
    if (kind === "day") this.#dayJump(px);
  }

  #pinch() {
    const [a, b] = [...this.#pointers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  }

  #move(event) {
    const px = this.#along(event);
    const drag = this.#drag;
    if (!drag || !this.#pointers.has(event.pointerId)) {
      this.#hover_px = event.pointerType === "touch" ? null : px;
      const y = event.clientY - this.host.getBoundingClientRect().top;
      this.host.style.cursor = this.vertical ? "grab" : this.#markAt(px) ? "ew-resize" : y < RULER ? "col-resize" : "grab";
      this.draw();
      return;
    }
    this.#pointers.set(event.pointerId, event);
    if (drag.kind === "pinch") {
      if (this.#pointers.size < 2) return;
      const distance = this.#pinch();
      this.zoom(drag.distance / distance, this.vertical ? this.playhead_us : this.#time(px));
      drag.distance = distance;
      return;
    }
    if (Math.abs(px - drag.from_px) > 3) drag.moved = true;
    const by_us = (px - drag.from_px) * this.#per_px;
    if (drag.kind === "scrub") this.#tell("seek", { t_us: this.#time(px), done: false });
    else if (drag.kind === "day") this.#dayJump(px);
    else if (drag.kind === "upright") {
      const to = Math.min(drag.at_us + by_us, this.now_us());
      this.place(to);
      this.#tell("seek", { t_us: to, done: false });
    } else if (drag.kind === "pan" && drag.moved) {
      this.view = { from_us: drag.view.from_us - by_us, to_us: drag.view.to_us - by_us };
      this.#tell("view");
    } else if (drag.kind === "in_us" || drag.kind === "out_us") {
      this.marks = { ...this.marks, [drag.kind]: this.#time(px) };
      this.#tell("marks");
    }
    this.draw();
  }

  #up(event, good) {
    this.#pointers.delete(event.pointerId);
    const drag = this.#drag;
    if (this.#pointers.size) return;
    this.#drag = null;
    if (!drag || !good) return;
    const px = this.#along(event);
    if (drag.kind === "pan" && !drag.moved) {
      const y = event.clientY - this.host.getBoundingClientRect().top;
      const hit = this.lanes[Math.floor((y - RULER) / this.laneHeight)];
      if (hit && hit.name !== this.selected) this.#tell("camera", hit.name);
      this.#tell("seek", { t_us: this.#time(px), done: true });
    } else if (drag.kind === "scrub") this.#tell("seek", { t_us: this.#time(px), done: true });
    else if (drag.kind === "upright") {
      const to = drag.moved ? this.playhead_us : Math.min(this.#time(px), this.now_us());
      this.#tell("seek", { t_us: to, done: true });
    } else if (drag.kind === "day") this.#dayJump(px, true);
    this.#tell("view");
  }

  #day() {
    const d = new Date((this.view.from_us + this.view.to_us) / 2000);
    d.setHours(0, 0, 0, 0);
    return { from_us: d.getTime() * 1000, to_us: d.getTime() * 1000 + 86400 * SECOND };
  }

  #dayJump(px, done = false) {
    const day = this.#day();
    const t_us = day.from_us + (px / this.length_px) * (day.to_us - day.from_us);
    const half = Math.min(this.span_us, 7200 * SECOND) / 2;
    this.view = { from_us: t_us - half, to_us: t_us + half };
    this.#tell("seek", { t_us, done });
    this.#tell("view");
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
    if (event.key === "Home" || event.key === "End") {
      this.#tell("seek", { t_us: event.key === "Home" ? this.view.from_us : this.view.to_us, done: true });
    } else if (event.key === "PageUp" || event.key === "PageDown") {
      this.#tell("seek", { t_us: this.playhead_us + (event.key === "PageUp" ? -1 : 1) * this.span_us / 10, done: true });
    } else if (step && !event.shiftKey && this.span_us > 30 * SECOND) {
      this.#tell("seek", { t_us: this.playhead_us + (step * this.span_us) / 100, done: true });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // -- drawing --------------------------------------------------------------------------------

  draw() {
    if (this.#frame || !this.isConnected) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (this.isConnected) this.#draw();
    });
  }

  #draw() {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    if (!width || !height) return;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    this.#colours ??= palette(this);
    const c = this.#colours;
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    const axis = new Axis(ctx, this.view, { length: this.vertical ? height : width, vertical: this.vertical });
    if (this.vertical) this.#upright(ctx, axis, width, height, c);
    else this.#flat(ctx, axis, width, height, c);
    const day = this.labels.querySelector(".day");
    if (day) put(day, dayName(this.playhead_us || this.view.from_us));
    this.host.setAttribute("aria-valuemin", String(Math.round(this.view.from_us / SECOND)));
    this.host.setAttribute("aria-valuemax", String(Math.round(this.view.to_us / SECOND)));
    this.host.setAttribute("aria-valuenow", String(Math.round(this.playhead_us / SECOND)));
    this.host.setAttribute("aria-valuetext", stamp(this.playhead_us));
  }

  #flat(ctx, axis, width, height, c) {
    const step = tickStep(this.view, width);
    ctx.font = `12px ${c.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (const minor of ticks(this.view, step / 5)) axis.mark(minor, RULER - 4, 4, c.line);
    for (const at of ticks(this.view, step)) {
      axis.mark(at, RULER - 6, 6, c.edge);
      ctx.fillStyle = c.t2;
      ctx.fillText(tickText(at, step), axis.at(at), 32);
    }
    const tall = this.laneHeight;
    this.lanes.forEach((item, index) => {
      const y = RULER + index * tall;
      lane(axis, item.archive, y, tall, c, this.now_us());
      if (item.name === this.selected) {
        ctx.fillStyle = c.accent;
        ctx.fillRect(0, y, 2, tall);
      }
      ctx.fillStyle = c.line;
      ctx.fillRect(0, y + tall - 1, width, 1);
    });
    this.#daily(ctx, width, height, c);
    const bottom = height - DAY_LANE;
    this.#marks(ctx, axis, width, bottom, c);
    if (this.#hover_px !== null && !this.#drag) {
      ctx.fillStyle = c.t3;
      ctx.fillRect(this.#hover_px, RULER, 1, bottom - RULER);
      flag(ctx, clock(this.#time(this.#hover_px), this.span_us < 60 * SECOND), this.#hover_px, bottom - 22, { fill: c.bg3, ink: c.t1, font: c.font, limit: width, weight: 400 });
    }
    const x = axis.at(this.playhead_us);
    if (x < -60 || x > width + 60) return;
    ctx.fillStyle = c.t1;
    ctx.fillRect(x - 1, 0, 2, bottom);
    flag(ctx, clock(this.playhead_us, true), x, 1, { fill: c.t1, ink: c.bg0, font: c.font, limit: width });
  }

  #marks(ctx, axis, width, bottom, c) {
    const { in_us, out_us } = this.marks;
    if (in_us !== null && out_us !== null) {
      ctx.globalAlpha = 0.15;
      axis.band(in_us, out_us, 22, bottom - 22, c.accent);
      ctx.globalAlpha = 1;
    }
    for (const [mark, word] of [[in_us, t("mark.in.short")], [out_us, t("mark.out.short")]]) {
      if (mark === null) continue;
      const x = axis.at(mark);
      if (x < -20 || x > width + 20) continue;
      ctx.fillStyle = c.accent;
      ctx.fillRect(x - 1.5, 4, 3, bottom - 4);
      ctx.beginPath();
      ctx.roundRect(x - 3, bottom / 2 - 2, 6, 26, 3);
      ctx.fill();
      flag(ctx, word, x, 2, { fill: c.accent, ink: c["accent-ink"], font: c.font, limit: width, height: 18 });
    }
  }

  /** The whole day below, with the view as a window. */
  #daily(ctx, width, height, c) {
    const day = this.#day();
    const y = height - DAY_LANE;
    const axis = new Axis(ctx, day, { length: width, vertical: false });
    ctx.fillStyle = c.gap;
    ctx.fillRect(0, y, width, DAY_LANE);
    const item = this.lanes.find((one) => one.name === this.selected);
    if (item) {
      for (const run of item.archive.runs) if (axis.sees(run.from_us, run.to_us)) axis.band(run.from_us, run.to_us, y + 15, 11, c.rec);
      for (const gap of item.archive.gaps) if (gap.cause !== "plan" && axis.sees(gap.from_us, gap.to_us)) axis.band(gap.from_us, gap.to_us, y + 15, 11, c.warn);
    }
    ctx.font = `11px ${c.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillStyle = c.t3;
    const every = width < 700 ? 6 : 3;
    for (let hour = every; hour < 24; hour += every) ctx.fillText(`${String(hour).padStart(2, "0")}:00`, (width * hour) / 24, y + 7);
    const [a, b] = [Math.max(0, axis.at(this.view.from_us)), Math.min(width, axis.at(this.view.to_us))];
    ctx.strokeStyle = c.t1;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.roundRect(Math.min(a, width - 8), y + 2, Math.max(8, b - a), DAY_LANE - 4, 3);
    ctx.stroke();
    axis.mark(this.playhead_us, y + 12, DAY_LANE - 12, c.t1, 2);
  }

  #upright(ctx, axis, width, height, c) {
    const step = tickStep(this.view, height, 64);
    ctx.font = `12px ${c.font}`;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    ctx.fillStyle = c.t2;
    for (const at of ticks(this.view, step)) {
      axis.mark(at, 48, width - 48, c.line);
      ctx.fillStyle = c.t2;
      ctx.fillText(tickText(at, step), 44, axis.at(at));
    }
    const left = 57;
    this.lanes.forEach((item, index) => lane(axis, item.archive, left + index * 24, 18, c, this.now_us()));
    const text = left + this.lanes.length * 24 + 10;
    this.#gapNotes(ctx, axis, text, height, c);
    const { in_us, out_us } = this.marks;
    if (in_us !== null && out_us !== null) {
      ctx.globalAlpha = 0.16;
      axis.band(in_us, out_us, left - 3, this.lanes.length * 24, c.accent);
      ctx.globalAlpha = 1;
    }
    for (const mark of [in_us, out_us]) if (mark !== null) axis.mark(mark, left - 3, this.lanes.length * 24, c.accent, 3);
    const y = axis.at(this.playhead_us);
    ctx.fillStyle = c.t1;
    ctx.fillRect(0, y - 1, width, 2);
    flag(ctx, clock(this.playhead_us), 46, y - 13, { fill: c.t1, ink: c.bg0, font: c.font, limit: width, height: 26 });
  }

  /** Gaps of the selected camera, in words beside its lane. */
  #gapNotes(ctx, axis, left, height, c) {
    const item = this.lanes.find((one) => one.name === this.selected);
    let taken = Infinity;
    for (const gap of item?.archive.gaps ?? []) {
      if (gap.cause === "plan" || !axis.sees(gap.from_us, gap.to_us)) continue;
      const y = Math.max(20, Math.min(height - 20, axis.at((gap.from_us + gap.to_us) / 2)));
      if (Math.abs(taken - y) < 40) continue;
      taken = y;
      ctx.fillStyle = c.warn;
      ctx.fillRect(left, y - 18, 3, 36);
      ctx.textAlign = "left";
      ctx.font = `13px ${c.font}`;
      ctx.fillText(gapWords(gap), left + 12, y - 8);
      ctx.fillStyle = c.t2;
      ctx.font = `12px ${c.font}`;
      ctx.fillText(`${clock(gap.from_us)}–${clock(gap.to_us)}`, left + 12, y + 10);
    }
  }
}

/** @param {import("./archive.js").Gap} gap */
export const gapWords = (gap) => `${causeWords(gap)} ${span((gap.to_us - gap.from_us) / SECOND)}`;

/** What the colours of a lane mean. */
export function legend() {
  const item = (cls, key) => el("span", {}, el(`i.${cls}`, {}), t(key));
  return el("div.leg.only-desk", {}, item("l-rec", "leg.rec"), item("l-sub", "leg.sub"), item("l-gap", "leg.gap"), item("l-fet", "leg.fetched"), item("l-edge", "leg.edge"), item("l-lock", "leg.lock"), item("l-nyl", "leg.nyl"), item("l-mot", "leg.motion"), el("span.grow", {}), el("span.dim", {}, t("leg.how")));
}

customElements.define("nvr-timeline", Timeline);
