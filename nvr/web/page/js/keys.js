// The keyboard. Single keys can be turned off (WCAG 2.1.4); Esc always stops.

import { el } from "./dom.js";
import { t } from "./i18n.js";
import { button, dialog } from "./ui.js";

/** Rows of the key map: key, word on the wall, word in playback, gamepad. */
const ROWS = [
  ["Esc", "key.stop", "key.stop", "B"],
  ["Space", "key.stop", "key.playpause", ""],
  ["← → ↑ ↓", "key.move", "key.frame", "key.stickLeft"],
  ["Shift + ← → ↑ ↓", "key.moveSlow", "key.ten", ""],
  ["+  −", "key.zoom", "key.tlzoom", "key.triggers"],
  ["1 – 9", "key.preset", "key.speed", "key.dpad"],
  ["Shift + 1 – 9", "key.presetSave", "", ""],
  ["PageUp  PageDown", "key.camera", "key.segment", "key.bumpers"],
  ["F", "key.full", "key.full", "Y"],
  ["B", "key.replay", "key.back30", "X"],
  ["S", "key.snapshot", "key.snapshot", "A"],
  ["T  R", "key.take", "", "Start / Back"],
  ["W  I", "key.outputs", "", "key.sticks"],
  ["[  ]  E", "", "key.marks", ""],
  ["J  K  L", "", "key.shuttle", ""],
  [",  .", "", "key.frame", ""],
  ["G  V", "", "key.golive", ""],
  ["M  W", "", "key.soundbeside", ""],
  ["?", "key.help", "key.help", ""],
];

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const typing = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));

export const keysOn = () => localStorage.getItem("nvr.keys") !== "off";

/** Routes keys to STOP, to the dome and to the screen on show. */
export class Keys {
  #held = new Set();

  /** @param {any} app */
  constructor(app) {
    this.app = app;
    document.addEventListener("keydown", (event) => this.down(event));
    document.addEventListener("keyup", (event) => this.up(event));
    window.addEventListener("blur", () => {
      // The release of a key goes to whoever has the focus now.
      this.#held.clear();
      this.#move(false);
    });
  }

  down(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.app.box.info.user) return;
    if (event.key === "Escape") {
      if (this.app.live) this.app.motion.stop();
      else this.app.motion.stopAll();
      if (document.body.classList.contains("full")) this.app.full(false);
      return;
    }
    if (typing(event.target) || document.querySelector(".veil")) return;
    if (!keysOn() && event.key !== "?") return;
    const used = event.key === "?" ? (help(), true) : this.app.live ? this.#live(event) : this.app.playback?.key(event);
    if (used) event.preventDefault();
  }

  up(event) {
    if (this.#held.delete(event.code)) this.#move(event.shiftKey);
  }

  /** @returns {boolean} Whether the key meant something. */
  #live(event) {
    const { app } = this;
    const panel = app.live.panel;
    const dome = app.motion.camera !== null;
    if (event.key in ARROWS || "+=-_".includes(event.key)) {
      if (!dome) return false;
      // A focused slider has its own arrows.
      if (event.target instanceof HTMLInputElement) return false;
      // Still down from before the window lost the focus: it must be let go first.
      if (event.repeat && !this.#held.has(event.code)) return true;
      this.#held.add(event.code);
      this.#move(event.shiftKey);
      return true;
    }
    const digit = /^Digit([1-9])$/.exec(event.code) ?? /^Numpad([1-9])$/.exec(event.code);
    if (digit && dome && !event.repeat) {
      const presets = app.live.querySelector("nvr-presets");
      if (event.shiftKey) presets?.save(Number(digit[1]));
      else presets?.call(Number(digit[1]));
      return true;
    }
    if (event.repeat) return false;
    switch (event.key.toLowerCase()) {
      case " ": app.motion.stop(); return true;
      case "pageup": app.live.step(-1); return true;
      case "pagedown": app.live.step(1); return true;
      case "f": app.full(); return true;
      case "s": app.live.tile?.snapshot(); return true;
      case "b": app.go("playback", { cam: app.live.selected, back: "30" }); return true;
      case "t": panel?.take?.(); return true;
      case "r": panel?.release?.(); return true;
      case "w": panel?.toggle?.("wiper"); return true;
      case "i": panel?.toggle?.("lamp"); return true;
      default: return false;
    }
  }

  #move(slow) {
    const v = [0, 0, 0];
    for (const code of this.#held) {
      const [x, y] = ARROWS[code] ?? [0, 0];
      v[0] += x;
      v[1] += y;
      if (code === "Equal" || code === "NumpadAdd") v[2] += 1;
      if (code === "Minus" || code === "NumpadSubtract") v[2] -= 1;
    }
    const factor = slow ? 0.25 : 1;
    this.app.motion.input("keys", [v[0] * factor, v[1] * factor, v[2]]);
  }

  /** A gamepad button does what its key does. @param {string} action */
  pad(action) {
    const { app } = this;
    if (!app.box.info.user) return;
    if (action === "stop") { app.motion.stop(); return; }
    const { live } = app;
    if (!live) return;
    const [verb, what] = action.split(" ");
    if (verb === "preset") live.querySelector("nvr-presets")?.call(Number(what));
    else if (verb === "camera") { if (app.box.camera(what)) live.select(what); }
    else if (["zoom", "focus", "iris"].includes(verb)) return; // as long as it is held: `Pads`
    else if (action === "prev" || action === "next") live.step(action === "next" ? 1 : -1);
    else if (action === "full") app.full();
    else if (action === "snapshot") live.tile?.snapshot();
    else if (action === "replay") app.go("playback", { cam: live.selected, back: "30" });
    else if (action === "take" || action === "release") live.panel?.[action]?.();
    else live.panel?.toggle?.(action);
  }
}

/** The key map. */
export function help() {
  const word = (text) => (text.includes(".") ? t(text) : text);
  const toggle = button("key", t(keysOn() ? "keys.on" : "keys.off"), () => {
    localStorage.setItem("nvr.keys", keysOn() ? "off" : "on");
    toggle.lastElementChild.textContent = t(keysOn() ? "keys.on" : "keys.off");
    toggle.setAttribute("aria-pressed", String(keysOn()));
  }, { press: keysOn() });
  const box = dialog({
    title: t("keys.title"), wide: true,
    body: [
      el("div.scroll", { tabindex: "0", role: "region", "aria-label": t("keys.title") }, el("table.keys", {},
        el("thead", {}, el("tr", {}, el("th", {}, t("keys.key")), el("th", {}, t("nav.live")), el("th", {}, t("nav.playback")), el("th", {}, t("pad")))),
        el("tbody", {}, ...ROWS.map(([key, live, playback, pad]) => el("tr", {},
          el("td", {}, ...key.split("  ").map((one) => el("kbd", {}, one))),
          el("td", {}, live && word(live)), el("td", {}, playback && word(playback)), el("td.sub", {}, pad && word(pad))))))),
      el("p.s.sub", {}, t("keys.rest")),
    ],
    actions: [toggle, button("", t("done"), () => box.close(), { cls: "p wide" })],
  });
}
