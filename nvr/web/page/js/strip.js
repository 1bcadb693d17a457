// The last hour of the camera under its picture: a tap plays from there.

import { el, Part } from "./dom.js";
import { clock, t } from "./i18n.js";
import { Footage } from "./footage.js";
import { icon } from "./icons.js";
import { Axis, flag, lane, palette, ticks } from "./timeline-draw.js";
import { button } from "./ui.js";

const HOUR_US = 3600e6;

export class Strip extends Part {
  /** @type {any} */
  app;
  camera = "";
  #hover_px = /** @type {number | null} */ (null);

  start() {
    const { app } = this;
    this.className = "panel rp";
    this.archive = new Footage(this.camera);
    this.canvas = el("canvas", {});
    this.area = el("div.replay", { on: {
      pointermove: (event) => { this.#hover_px = event.offsetX; this.draw(); },
      pointerleave: () => { this.#hover_px = null; this.draw(); },
      click: (event) => app.go("playback", { cam: this.camera, t: String(Math.round(this.#time(event.offsetX))), play: "1" }),
    } }, this.canvas);
    this.replaceChildren(
      el("h2", {}, icon("back", "s"), el("span", {}, t("strip.title")), el("span.dim.xs", {}, t("strip.hint")), el("span.grow", {}),
        button("", t("replay30"), () => app.go("playback", { cam: this.camera, back: "30" }), { cls: "q s", kbd: "B" })),
      this.area);
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(this.area);
    this.life.addEventListener("abort", () => sizes.disconnect());
    const refresh = async () => {
      const { from_us, to_us } = this.#view();
      // The strip is a convenience: while the box is away it stays as it was.
      await this.archive.cover(from_us, to_us).catch(() => false);
      this.draw();
    };
    this.every(2000, refresh);
    refresh();
  }

  #view() {
    const to_us = this.app.box.now_us;
    return { from_us: to_us - HOUR_US, to_us };
  }

  #time(px) {
    const { from_us, to_us } = this.#view();
    return from_us + (px / Math.max(1, this.area.clientWidth)) * (to_us - from_us);
  }

  draw() {
    const [width, height] = [this.area.clientWidth, this.area.clientHeight];
    if (!width || !this.isConnected) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const c = palette(this);
    const axis = new Axis(ctx, this.#view(), { length: width, vertical: false });
    lane(axis, this.archive, 14, height - 14, c, this.app.box.now_us);
    ctx.fillStyle = c.bg1;
    ctx.fillRect(0, 0, width, 14);
    ctx.font = `11px ${c.font}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (const at of ticks(axis.view, 600)) {
      ctx.fillStyle = c.t3;
      ctx.fillText(clock(at).slice(0, 5), axis.at(at), 6);
    }
    if (this.#hover_px === null) return;
    ctx.fillStyle = c.t1;
    ctx.fillRect(this.#hover_px, 14, 1, height);
    flag(ctx, clock(this.#time(this.#hover_px)), this.#hover_px, height - 20, { fill: c.t1, ink: c.bg0, font: c.font, limit: width, height: 18 });
  }
}

customElements.define("nvr-strip", Strip);
