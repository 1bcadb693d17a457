// Beside a camera that has no dome, or that this person may not move: what is known about it.

import { el, Part, put } from "./dom.js";
import { bitrate, clock, span, t, unit } from "./i18n.js";
import { icon } from "./icons.js";
import { codecName } from "./tile.js";

export class Watch extends Part {
  /** @type {any} */
  app;
  camera = "";
  /** @type {any} */
  live;

  start() {
    this.className = "panel watch";
    this.head = el("span", {});
    this.rows = {};
    const list = el("dl.kv", {});
    for (const key of ["state", "since", "picture", "codec", "rate", "delay", "disk", "sub"]) {
      this.rows[key] = el("dd", {});
      list.append(el("dt", {}, t(`watch.${key}`)), this.rows[key]);
    }
    this.why = el("p.s.sub", {});
    this.replaceChildren(el("h2", {}, icon("cam"), this.head), el("div.pb", {}, list, this.why));
    this.listen(this.app.box, "cameras", () => this.draw());
    this.every(500, () => this.draw());
    this.draw();
  }

  draw() {
    const camera = this.app.box.camera(this.camera);
    if (!camera) return;
    const { box } = this.app;
    const stats = this.live.tile?.player?.stats ?? { fps: 0, bps: 0, delay_ms: 0 };
    const live = camera.state === "live" && this.live.tile?.player?.which !== "sub";
    put(this.head, `${this.app.number(camera.name)} ${camera.title || camera.name}`);
    put(this.rows.state, t(`state.${camera.state}`));
    put(this.rows.since, camera.since_us ? clock(camera.since_us) : "–");
    put(this.rows.picture, camera.width_px ? `${camera.width_px} × ${camera.height_px}${live ? ` · ${unit((stats.fps || camera.fps || 0).toFixed(0), "fps")}` : ""}` : "–");
    put(this.rows.codec, codecName(camera.codec) || "–");
    put(this.rows.rate, (live && bitrate(stats.bps || camera.bitrate_bps)) || "–");
    put(this.rows.delay, live && stats.delay_ms ? unit(Math.round(stats.delay_ms), "ms") : "–");
    put(this.rows.disk, camera.recorded_until_us ? t("ago", { span: span((box.now_us - camera.recorded_until_us) / 1e6) }) : "–");
    const { sub } = camera;
    this.rows.sub.hidden = this.rows.sub.previousElementSibling.hidden = !sub;
    if (sub) put(this.rows.sub, [t(`state.${sub.state}`), sub.width_px ? `${sub.width_px} × ${sub.height_px}` : "", bitrate(sub.bitrate_bps)].filter(Boolean).join(" · "));
    put(this.why, camera.ptz ? t("watch.noright") : t("watch.fixed"));
  }
}

customElements.define("nvr-watch", Watch);
