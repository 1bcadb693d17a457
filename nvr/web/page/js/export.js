// The marked range as a file: what it holds, what is missing in it, and the download.

import { cameraPath, get } from "./api.js";
import { el, Part, put } from "./dom.js";
import { bytes, clock, day, fileStamp, span, t } from "./i18n.js";
import { icon } from "./icons.js";
import { causeWords } from "./timeline-draw.js";
import { button, fileName } from "./ui.js";

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
    this.clear = button("", t("mark.clear"), () => this.#clear());
    this.hint = el("p.s.sub", {});
    this.replaceChildren(
      el("h2", {}, icon("exp"), el("span", {}, t("export"))),
      el("div.pb", {},
        el("div.io", {}, el("span.sub", {}, t("mark.in")), this.from, el("kbd", {}, "["), el("span.sub", {}, t("mark.out")), this.to, el("kbd", {}, "]"), el("span.sub", {}, t("export.length")), this.size, el("span", {})),
        this.gaps, this.hint, el("div.row", {}, this.clear, this.act)));
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
    const { archive, camera: name } = this.playback;
    const camera = this.app.box.camera(name);
    const show = (us) => (us === null ? "–" : clock(us, true));
    put(this.from, show(in_us));
    put(this.to, show(out_us));
    const range = this.#range;
    const gaps = range ? archive.gaps.filter((gap) => gap.to_us > range.from_us && gap.from_us < range.to_us) : [];
    const missing_us = gaps.reduce((sum, gap) => sum + Math.min(gap.to_us, range.to_us) - Math.max(gap.from_us, range.from_us), 0);
    const length_s = range ? (range.to_us - range.from_us) / SECOND : 0;
    const about = ((length_s - missing_us / SECOND) * (camera?.bitrate_bps || 0)) / 8;
    put(this.size, range ? `${span(length_s)}${about > 0 ? ` · ≈ ${bytes(about)}` : ""}` : "–");
    this.gaps.replaceChildren(...gaps.slice(0, 4).map((gap) => el("li", {}, icon("event", "s"), `${causeWords(gap)} ${span((gap.to_us - gap.from_us) / SECOND)} · ${clock(gap.from_us)}`)));
    const allowed = camera?.rights.includes("export") ?? false;
    put(this.hint, !allowed ? t("export.denied") : range ? (range.to_us > archive.recordedUntil_us ? t("export.future") : t("export.what")) : t("export.how"));
    this.act.disabled = !allowed || !range;
    this.clear.hidden = in_us === null && out_us === null;
  }

  /** Ask the box for the range; the browser saves what comes. */
  async send() {
    const range = this.#range;
    const { camera: name } = this.playback;
    const camera = this.app.box.camera(name);
    if (!range || !camera?.rights.includes("export")) {
      this.app.notes.say(t(range ? "export.denied" : "export.how"), "warn");
      return;
    }
    try {
      // A download cannot show the box's refusal: ask first whether anything is there.
      const found = await get(cameraPath(name, `/ranges?from_us=${range.from_us}&to_us=${range.to_us}`));
      if (!found.runs.length) {
        this.app.notes.say(t("export.nothing"), "warn");
        return;
      }
    } catch (error) {
      this.app.notes.problem(error);
      return;
    }
    const link = el("a", {
      href: cameraPath(name, `/export?from_us=${range.from_us}&to_us=${range.to_us}`),
      download: `${fileName(camera.title || name)}-${fileStamp(range.from_us)}.mp4`,
    });
    document.body.append(link);
    link.click();
    link.remove();
    this.app.notes.say(t("export.started", { day: day(range.from_us), from: clock(range.from_us), to: clock(range.to_us) }), "ok");
  }
}

customElements.define("nvr-export", Export);
