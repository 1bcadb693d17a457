// Which stream is played back: a choice where there are two, and a word where it is the smaller one,
// or not as it was recorded.

import { el, put } from "./dom.js";
import { t } from "./i18n.js";
import { hidden } from "./overlay.js";
import { STEP_RATE } from "./replay.js";
import { causeWords } from "./timeline-draw.js";

/** Whether the box could not convert a picture. An error of the browser's own may have a number. @param {any} error */
export const unconverted = (error) => String(error?.code).startsWith("recode.");

export class StreamChoice {
  /** @type {import("./footage.js").Choice} */
  value = "best";

  /** @param {() => void} changed @param {() => any} camera What the box says of it. */
  constructor(changed, camera) {
    this.camera = camera;
    this.select = el("select.field-in.stream", { "aria-label": t("stream.choose"), hidden: true },
      ...["best", "main", "sub"].map((one) => el("option", { value: one }, t(`stream.${one}`))));
    this.why = el("span.only-desk", {});
    this.sub = el("span", {}, t("stream.sub"), this.why);
    this.made = el("span", {});
    this.chip = el("span.st.small", { hidden: true }, this.sub, this.made);
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
    this.sub.hidden = replay.stream !== "sub";
    this.made.hidden = !footage.converted;
    this.chip.hidden = (this.sub.hidden && this.made.hidden) || replay.late || Boolean(replay.hole || replay.trouble);
    if (this.chip.hidden) return;
    put(this.made, `${this.sub.hidden ? "" : " · "}${t(hidden(this.camera()) ? "convert.masked" : "convert.small")}${footage.speed ? ` · ${t("convert.most", { speed: footage.speed.toFixed(1) })}` : ""}`);
    const gap = this.value === "best" ? footage.main.gapAt(at_us) : null;
    put(this.why, gap ? ` · ${causeWords(gap)}` : "");
  }

  /**
   * Where the browser cannot show the main stream, the other one may do; else the box converts it, as
   * it does what may not be seen as it is: the smaller one, which is less work.
   * @param {any} error @param {import("./footage.js").Footage} footage
   */
  rescue(error, footage) {
    if (unconverted(error)) return true;  // said in place of the picture
    const masked = error?.code === "auth.masked";
    if (!masked && error?.code !== "page.codec") return false;
    const smaller = this.value === "best" && footage.hasSub;
    if ((masked || !smaller) && !footage.convert()) return false;
    if (smaller) this.take("sub");
    else this.changed();
    return true;
  }

  /**
   * Whether a rate is more than the box converts; key frames alone, of the high rates, are not many.
   * @param {number} rate @param {import("./footage.js").Footage} footage @param {any} notes
   */
  refuses(rate, footage, notes) {
    const most = Math.max(1, footage.speed);
    if (!footage.speed || Math.abs(rate) <= most || Math.abs(rate) >= STEP_RATE) return false;
    notes.say(t("convert.slow", { speed: most.toFixed(1) }), "warn");
    return true;
  }
}
