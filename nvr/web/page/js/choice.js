// Which stream is played back: a choice where there are two, and a word where it is the smaller one.

import { el, put } from "./dom.js";
import { t } from "./i18n.js";
import { causeWords } from "./timeline-draw.js";

export class StreamChoice {
  /** @type {import("./footage.js").Choice} */
  value = "best";

  /** @param {() => void} changed */
  constructor(changed) {
    this.select = el("select.field-in.stream", { "aria-label": t("stream.choose"), hidden: true },
      ...["best", "main", "sub"].map((one) => el("option", { value: one }, t(`stream.${one}`))));
    this.why = el("span.only-desk", {});
    this.chip = el("span.st.small", { hidden: true }, t("stream.sub"), this.why);
    this.changed = changed;
    this.select.addEventListener("change", () => this.take(this.select.value));
  }

  /** @param {import("./footage.js").Choice} value */
  take(value) {
    this.value = value;
    this.changed();
  }

  /** @param {import("./replay.js").Replay} replay @param {import("./footage.js").Footage} footage @param {number} at_us */
  draw(replay, footage, at_us) {
    this.select.hidden = !footage.hasSub;
    this.select.value = this.value;
    this.chip.hidden = replay.stream !== "sub" || replay.late;
    if (this.chip.hidden) return;
    const gap = this.value === "best" ? footage.main.gapAt(at_us) : null;
    put(this.why, gap ? ` · ${causeWords(gap)}` : "");
  }

  /** Where the browser cannot show the main stream, the other one may do. @param {any} error @param {import("./footage.js").Footage} footage */
  rescue(error, footage) {
    const helps = error?.code === "page.codec" && this.value === "best" && footage.hasSub;
    if (helps) this.take("sub");
    return helps;
  }
}
