// What stands where a picture of playback would be: a gap with its cause, or nothing recorded at all.

import { Problem, sentence } from "./api.js";
import { el } from "./dom.js";
import { clock, t } from "./i18n.js";
import { icon } from "./icons.js";
import { causeWords } from "./timeline-draw.js";

export class Blank {
  #key = "";

  /** @param {any} app @param {(t_us: number) => void} seek */
  constructor(app, seek) {
    this.app = app;
    this.seek = seek;
    this.node = el("div.msg", { hidden: true });
  }

  #say(key, ...content) {
    this.node.hidden = false;
    if (this.#key === key) return;
    this.#key = key;
    this.node.replaceChildren(...content);
  }

  none() {
    this.node.hidden = true;
    this.#key = "";
  }

  #live(name) {
    return el("button.jump", { type: "button", on: { click: () => this.app.go("live", { cam: name }) } }, t("goLive"), icon("right", "s"));
  }

  /** Nothing is recorded at all: says so, and why as far as the box knows. @param {string} name */
  nothing(name) {
    const camera = this.app.box.camera(name);
    const { fault } = this.app.box.info;
    const why = fault ? sentence(new Problem(0, fault.code, fault.detail))
      : camera?.state === "live" ? t("playback.empty.soon")
        : camera?.code ? sentence(new Problem(0, camera.code, camera.detail)) : t("playback.empty.camera");
    this.#say(`empty|${name}|${why}`, icon("disk", "xl"), el("span.b", {}, t("playback.empty")), el("small", {}, why), this.#live(name));
  }

  /** The box does not convert it: why, and once more. @param {any} error @param {() => void} again */
  refused(error, again) {
    const why = sentence(error);
    this.#say(`refused|${why}`, el("span.b", {}, why), el("button.jump", { type: "button", on: { click: again } }, t("convert.again")));
  }

  /** @param {{t_us: number, next_us: number | null}} hole @param {import("./footage.js").Footage} archive */
  hole(hole, archive) {
    const gap = archive.gapAt(hole.t_us);
    const later = hole.t_us > archive.recordedUntil_us;
    const { next_us } = hole;
    this.#say(`${archive.camera}|${gap?.from_us}|${next_us}|${later}`,
      el("span.b", {}, t(later ? "hole.future" : "hole")),
      gap && !later ? el("small", {}, `${causeWords(gap)} ${clock(gap.from_us)}–${clock(gap.to_us)}`) : "",
      gap?.fetch?.code && !later ? el("small", {}, t("fetched.not", { why: sentence(new Problem(0, gap.fetch.code, gap.fetch.code)) })) : "",
      next_us ? el("button.jump", { type: "button", on: { click: () => this.seek(next_us + 1000) } }, t("hole.next", { time: clock(next_us) }), icon("right", "s"))
        : this.#live(archive.camera));
  }
}
