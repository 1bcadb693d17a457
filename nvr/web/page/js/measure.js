// What a dome sees and how well it finds its presets, measured by its pictures: begun here, shown here.

import * as api from "./api.js";
import { Problem, sentence } from "./api.js";
import { el, show } from "./dom.js";
import { clock, t, unit } from "./i18n.js";
import { button, dialog } from "./ui.js";

const AGAIN_MS = 1000;

/** How far off a preset was, in words. @param {any} one */
function off(one) {
  if (one.said) return t(`measure.${one.said}`);
  const parts = [t("measure.off", { percent: one.off_percent.toFixed(1) })];
  if (one.off_deg !== null) parts.push(`${one.off_deg.toFixed(2)}°`);
  if (Math.abs(one.zoom_percent) >= 1) parts.push(t("measure.zoom", { percent: one.zoom_percent.toFixed(1) }));
  return parts.join(" · ");
}

/** @param {any} app @param {string} camera */
export function measureDialog(app, camera) {
  const path = api.cameraPath(camera, "/sight");
  const may = app.box.camera(camera)?.rights.includes("config");
  const names = new Map((app.box.camera(camera)?.ptz?.presets ?? []).map((/** @type {any} */ one) => [one.number, one.name]));
  const body = el("div.measure", { "aria-live": "polite" });
  let timer = 0;
  const act = async (/** @type {string} */ what) => {
    try {
      draw(await api.post(path, { do: what }));
    } catch (error) {
      app.notes.problem(error);
    }
  };
  const look = async () => {
    if (!body.isConnected) return;
    try {
      draw(await api.get(path));
    } catch (error) {
      app.notes.problem(error);
    }
  };
  const draw = (/** @type {any} */ now) => {
    clearTimeout(timer);
    const at = now.measuring;
    const busy = at && !at.done;
    show(body,
      el("p", {}, t(`measure.aim.${now.aim || "none"}`), now.at_us ? ` ${t("measure.at", { time: clock(now.at_us) })}` : "",
        now.angles.length ? ` ${t("measure.sees", { wide: now.angles[0][1].toFixed(0), tele: now.angles.at(-1)[1].toFixed(1) })}` : ""),
      busy ? el("p.b", {}, t(`measure.busy.${at.what}`), at.of ? ` ${at.step}/${at.of}` : "") : at?.code ? el("p.warn", {}, sentence(new Problem(0, at.code, ""))) : "",
      ...now.presets.map((/** @type {any} */ one) => el("div.row", {}, el("b", {}, `${one.number} ${names.get(one.number) ?? ""}`), el("span", {}, off(one)))),
      may ? el("div.acts", {}, ...(busy ? [button("", t("measure.end"), () => act("end"))]
        : [button("", t("measure.sight"), () => act("sight")), button("", t("measure.presets"), () => act("presets"))])) : "",
      el("p.sub", {}, t("measure.how")),
    );
    timer = setTimeout(look, AGAIN_MS);
  };
  dialog({ title: t("measure"), body: [body], actions: [] });
  look();
}
