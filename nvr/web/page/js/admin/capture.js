// How a device of this box is used: there is to choose from what it offers.

import * as api from "../api.js";
import { el } from "../dom.js";
import { knows, t } from "../i18n.js";
import { field } from "../ui.js";

const FORMATS = { MJPG: "mjpeg", JPEG: "mjpeg", YUYV: "yuyv", UYVY: "uyvy", NV12: "nv12", YU12: "yu12", GREY: "grey", H264: "h264" };
const by = (size) => (size ? size.join("x") : "");

/** A choice; what is set now is among them whatever the device says. */
function choice(key, value, options) {
  const all = [["", t("enc.auto")], ...options].map(([at, text]) => [at, text || (knows(`cap.${key}.${at}`) ? t(`cap.${key}.${at}`) : at.toUpperCase())]);
  if (!all.some(([at]) => at === value)) all.push([value, value]);
  return field(t(`cap.${key}`), { value, options: all });
}

/** A control of the device: a slider, a switch or a menu; set only once it is touched. */
function control(one, set) {
  let value = set;
  const now = set ?? one.value;
  const shown = el("output.mono.s", {}, String(now));
  const turned = (to) => {
    value = to;
    shown.textContent = String(to);
  };
  const made = one.kind === "number"
    ? el("input", { type: "range", min: String(one.least), max: String(one.most), step: String(one.step), prop: { value: String(now) }, "aria-label": one.title, on: { input: (event) => turned(Number(event.currentTarget.value)) } })
    : el("select.field-in", { "aria-label": one.title, on: { change: (event) => turned(Number(event.currentTarget.value)) } },
      ...(one.kind === "menu" ? one.choices : [[0, t("cap.off")], [1, t("cap.on")]]).map(([at, text]) => el("option", { value: String(at), selected: at === now }, text)));
  const word = `cap.control.${one.name}`;
  return { row: el("div.field", {}, el("label", {}, knows(word) ? t(word) : one.title, " ", one.kind === "number" ? shown : null, one.held ? el("small", {}, t("cap.held")) : null), made), read: () => value };
}

/** Fields of a camera's dialog; nothing of one that is no device. @param {any} view As the box answers. */
export function captureFields({ capture, device, sound }) {
  if (!capture) return { row: null, read: () => null };
  const auto = (value) => (value === "auto" ? "" : value);
  const formats = (device?.formats ?? []).filter(({ fourcc }) => FORMATS[fourcc]);
  const entry = device?.inputs.find((one) => [String(one.number), one.title].includes(capture.input)) ?? device?.inputs.find((one) => one.number === device.input);
  const analogue = Boolean(entry?.standards.length);
  const sizes = [...new Set(formats.flatMap((form) => form.sizes.map((size) => by([size.width_px, size.height_px]))))];
  const rates = [...new Set(formats.flatMap((form) => form.sizes.flatMap((size) => size.rates_fps)))].sort((a, b) => b - a);
  const of = {
    input: choice("input", capture.input, (device?.inputs ?? []).map((one) => [String(one.number), one.title])),
    format: choice("format", auto(capture.format), [...new Set(formats.map(({ fourcc }) => FORMATS[fourcc]))].map((one) => [one])),
    size: choice("size", by(capture.size), sizes.map((one) => [one, one.replace("x", " × ")])),
    rate_fps: choice("rate_fps", capture.rate_fps ? String(capture.rate_fps) : "", rates.map((one) => [String(one)])),
    standard: choice("standard", auto(capture.standard), (entry?.standards ?? []).map((one) => [one.toLowerCase()])),
    deinterlace: choice("deinterlace", auto(capture.deinterlace), [["off"], ["frames"], ["fields"]]),
    aspect: choice("aspect", auto(capture.aspect), [["4:3"], ["16:9"], ["square"]]),
    alsa: choice("alsa", capture.alsa, sound.map((one) => [one.name, one.title])),
  };
  of.alsa.input.options[0].textContent = t("device.sound.none");
  const turns = (device?.controls ?? []).map((one) => [one.name, control(one, capture.controls[one.name])]);
  const usual = el("button.btn", { type: "button", on: { click: () => {
    for (const [, one] of turns) one.row.hidden = true;
    turns.length = 0;
    usual.hidden = true;
  } } }, t("cap.usual"));
  const rows = ["input", "format", "size", "rate_fps", ...(analogue ? ["standard", "deinterlace"] : []), "aspect", "alsa"];
  return {
    row: el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("cap.title")), device ? null : el("p.s", {}, t("code.device.missing")),
      el("div.two", {}, ...rows.map((key) => of[key].row)),
      turns.length ? el("details", {}, el("summary", {}, t("cap.controls")), el("div.sub-made", {}, el("div.two", {}, ...turns.map(([, one]) => one.row)), usual)) : null),
    read: () => {
      const said = (key) => of[key].input.value;
      const controls = device?.controls.length ? {} : capture.controls;
      for (const [name, one] of turns) if (one.read() !== undefined) controls[name] = one.read();
      return {
        ...capture, controls, input: said("input"), alsa: said("alsa"), size: said("size") ? said("size").split("x").map(Number) : null, rate_fps: Number(said("rate_fps")),
        format: said("format") || "auto", standard: said("standard") || "auto", deinterlace: said("deinterlace") || "auto", aspect: said("aspect") || "auto",
      };
    },
  };
}

/** Use the device otherwise, if that is a change. */
export async function saveCapture(name, before, now) {
  if (now && JSON.stringify(now) !== JSON.stringify(before)) await api.put(api.cameraPath(name, "/capture"), now);
}
