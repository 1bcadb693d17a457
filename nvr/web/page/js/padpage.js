// Learn a joystick: move the axis you mean, press the button you mean.

import { el } from "./dom.js";
import { t } from "./i18n.js";
import { keepPadMap, padMap, standard } from "./pad.js";
import { button, dialog } from "./ui.js";

const AXES = ["pan", "tilt", "zoom"];
const ACTIONS = ["stop", "snapshot", "replay", "full", "prev", "next", "take", "release", "wiper", "lamp", "preset1", "preset2", "preset3", "preset4"];

/** @param {any} app */
export function learnPad(app) {
  const { pads } = app;
  pads.learning = true;
  let waiting = /** @type {{kind: string, name: string, rest: number[], button: HTMLElement} | null} */ (null);
  const body = el("div.padpage", {});
  const box = dialog({
    title: t("pad.title"), wide: true, body: [body],
    actions: [
      button("", t("pad.reset"), () => { const pad = pads.list()[0]; if (pad) { keepPadMap(pad.id, standard()); build(); } }),
      button("", t("done"), () => box.close(), { cls: "p wide" }),
    ],
    onClose: () => { pads.learning = false; clearInterval(timer); },
  });
  let shown = "";
  /** @type {HTMLElement[]} */
  let meters = [];

  function wait(kind, name, pad, node) {
    waiting?.button.classList.remove("arm");
    waiting = { kind, name, rest: [...pad.axes], button: node };
    node.classList.add("arm");
  }

  function build() {
    const pad = pads.list()[0];
    shown = pad ? pad.id : "";
    if (!pad) {
      body.replaceChildren(el("p", {}, t("pad.none")), el("p.sub", {}, t("pad.none.do")));
      meters = [];
      return;
    }
    const map = padMap(pad.id);
    meters = pad.axes.map((_, index) => el("span.axis", {}, el("i", {}), el("b", {}, String(index))));
    const set = (change) => { change(map); keepPadMap(pad.id, map); build(); };
    const axisRow = (name) => {
      const learn = button("", map[name] < 0 ? t("pad.learn") : t("pad.axis", { n: map[name] }), () => wait("axis", name, pad, learn));
      const flip = button("sync", t("pad.invert"), () => set((m) => { m.invert = { ...m.invert, [name]: !m.invert[name] }; }), { press: map.invert[name] });
      return el("div.padrow", {}, el("span.grow", {}, t(`pad.${name}`)), learn, flip);
    };
    const buttonRow = (name) => {
      const at = name === "zoomIn" || name === "zoomOut" ? map[name] : map.buttons[name] ?? -1;
      const learn = button("", at < 0 ? t("pad.learn") : t("pad.button", { n: at }), () => wait("button", name, pad, learn));
      return el("div.padrow", {}, el("span.grow", {}, t(`pad.${name}`)), learn);
    };
    const dead = el("input", { type: "range", min: "2", max: "40", value: String(Math.round(map.dead * 100)), "aria-label": t("pad.dead"), on: { change: (event) => set((m) => { m.dead = event.target.value / 100; }) } });
    body.replaceChildren(el("p.mono.s", {}, pad.id), el("div.axes", {}, ...meters), ...AXES.map(axisRow),
      el("label.padrow", {}, el("span.grow", {}, `${t("pad.dead")} ${Math.round(map.dead * 100)} %`), dead),
      el("div.padgrid", {}, ...["zoomIn", "zoomOut", ...ACTIONS].map(buttonRow)));
  }

  function tick() {
    const pad = pads.list()[0];
    if ((pad?.id ?? "") !== shown) build();
    if (!pad) return;
    pad.axes.forEach((value, index) => meters[index] && (meters[index].firstElementChild.style.left = `${50 + value * 46}%`));
    if (!waiting) return;
    const map = padMap(pad.id);
    if (waiting.kind === "axis") {
      const at = pad.axes.findIndex((value, index) => Math.abs(value - waiting.rest[index]) > 0.6);
      if (at < 0) return;
      map[waiting.name] = at;
    } else {
      const at = pad.buttons.findIndex((item) => item.pressed);
      if (at < 0) return;
      if (waiting.name === "zoomIn" || waiting.name === "zoomOut") map[waiting.name] = at;
      else map.buttons = { ...map.buttons, [waiting.name]: at };
    }
    keepPadMap(pad.id, map);
    waiting = null;
    build();
  }

  build();
  const timer = setInterval(tick, 33);
}
