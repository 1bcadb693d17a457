// The marked range: what it holds, what is missing in it, and the way to a file of it.

import { el, Part, put } from "./dom.js";
import { bytes, clock, span, t } from "./i18n.js";
import { icon } from "./icons.js";
import { exportDialog } from "./exports.js";
import { linkDialog } from "./links.js";
import { causeWords } from "./timeline-draw.js";
import { button } from "./ui.js";

const SECOND = 1e6;

export class Export extends Part {
  /** @type {any} */
  app;
  /** @type {any} */
  playback;

  start() {
    this.className = "panel exp";
    this.from = el("b", {});
    this.to = el("b", {});
    this.size = el("span", {});
    this.gaps = el("ul.gaps", {});
    this.act = button("exp", t("export.do"), () => this.send(), { cls: "p grow", kbd: "E" });
    this.keep = button("lock", t("lock.do"), () => this.playback.lock());
    this.link = button("link", t("link.do"), () => linkDialog(this.app, this.playback.camera, this.#range, this.playback.archive.hasSub));
    this.clear = button("", t("mark.clear"), () => this.#clear());
    this.hint = el("p.s.sub", {});
    this.replaceChildren(
      el("h2", {}, icon("exp"), el("span", {}, t("export"))),
      el("div.pb", {},
        el("div.io", {}, el("span.sub", {}, t("mark.in")), this.from, el("kbd", {}, "["), el("span.sub", {}, t("mark.out")), this.to, el("kbd", {}, "]"), el("span.sub", {}, t("export.length")), this.size, el("span", {})),
        this.gaps, this.hint, el("div.row", {}, this.clear, this.keep, this.link, this.act),
        el("nvr-exports", { prop: { app: this.app, most: 3 } })));
    this.draw();
  }

  get #range() {
    const { in_us, out_us } = this.playback.timeline?.marks ?? {};
    return in_us !== null && out_us !== null && out_us > in_us ? { from_us: Math.round(in_us), to_us: Math.round(out_us) } : null;
  }

  #clear() {
    this.playback.timeline.marks = { in_us: null, out_us: null };
    this.playback.timeline.draw();
    this.draw();
  }

  draw() {
    if (!this.act || !this.playback.timeline) return;
    const { in_us, out_us } = this.playback.timeline.marks;
    const { archive: footage, camera: name } = this.playback;
    const archive = footage.choice === "sub" ? footage.sub : footage.main;
    const camera = this.app.box.camera(name);
    const show = (us) => (us === null ? "–" : clock(us, true));
    put(this.from, show(in_us));
    put(this.to, show(out_us));
    const range = this.#range;
    const gaps = range ? archive.gaps.filter((gap) => gap.to_us > range.from_us && gap.from_us < range.to_us) : [];
    const missing_us = gaps.reduce((sum, gap) => sum + Math.min(gap.to_us, range.to_us) - Math.max(gap.from_us, range.from_us), 0);
    const length_s = range ? (range.to_us - range.from_us) / SECOND : 0;
    const rate_bps = (footage.choice === "sub" ? camera?.sub : camera)?.bitrate_bps || 0;
    const about = ((length_s - missing_us / SECOND) * rate_bps) / 8;
    put(this.size, range ? `${span(length_s)}${about > 0 ? ` · ≈ ${bytes(about)}` : ""}` : "–");
    this.gaps.replaceChildren(...gaps.slice(0, 4).map((gap) => el("li", {}, icon("event", "s"), `${causeWords(gap)} ${span((gap.to_us - gap.from_us) / SECOND)} · ${clock(gap.from_us)}`)));
    const allowed = camera?.rights.includes("export") ?? false;
    put(this.hint, !allowed ? t("export.denied") : range ? (range.to_us > archive.recordedUntil_us ? t("export.future") : "") : t("export.how"));
    this.act.disabled = !allowed;
    this.keep.disabled = this.link.disabled = !allowed;
    this.clear.hidden = in_us === null && out_us === null;
  }

  /** Ask in which form, and have the box make it: of what is marked, else of what the timeline shows. */
  async send() {
    const { app } = this;
    const { archive, camera: name, timeline } = this.playback;
    if (!app.box.may(name, "export")) {
      app.notes.say(t("export.denied"), "warn");
      return;
    }
    if (!timeline) return;
    const { from_us, to_us } = timeline.view;
    // Whoever is quick asks before it is known which streams there are.
    if (!archive.main.loaded.to_us) await archive.cover(from_us, to_us).catch(() => {});
    const now_us = app.box.now_us;
    const range = this.#range ?? { from_us: Math.min(from_us, now_us - SECOND), to_us: Math.min(to_us, now_us) };
    const has = (one) => one.runs.some((run) => run.to_us > range.from_us && run.from_us < range.to_us);
    const streams = !archive.hasSub ? null : archive.choice === "sub" || (!has(archive.main) && has(archive.sub)) ? "sub" : "main";
    exportDialog(app, name, range, streams);
  }
}

customElements.define("nvr-export", Export);
