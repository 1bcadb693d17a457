// The cameras, grabbers and microphones of the box itself: one tap fills the form in.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t, unit } from "../i18n.js";
import { icon } from "../icons.js";
import { field } from "../ui.js";

const NAMES = { MJPG: "MJPEG", H264: "H.264", YU12: "YUV", GREY: "GREY" };
const USABLE = ["MJPG", "YUYV", "UYVY", "NV12", "YU12", "GREY", "H264"];

/** @param {any} format */
const best = ({ fourcc, sizes: [size] }) => [NAMES[fourcc] ?? fourcc, size ? `${size.width_px}×${size.height_px}` : "", size?.rates_fps[0] ? unit(size.rates_fps[0], "fps") : ""].filter(Boolean).join(" ");

/** What a device is, in a few words: what is on its line, and the most it offers. @param {any} device */
export function deviceWords(device) {
  if (device.fault) return api.sentence(new api.Problem(0, device.fault, ""));
  const now = device.inputs.find((input) => input.number === device.input);
  const signal = now && ["none", "unpowered"].includes(now.signal) ? t(`device.${now.signal}`) : "";
  const line = now?.standards.length ? device.standard : "";
  const formats = device.formats.filter(({ fourcc }) => USABLE.includes(fourcc)).slice(0, 3).map(best);
  return [signal, line, ...formats].filter(Boolean).join(" · ");
}

/**
 * Rows of a form: the devices there are, and what to choose of the one that is chosen.
 * @param {(url: string, title: string) => void} chosen
 */
export function deviceFields(chosen) {
  const list = el("div.devices", {});
  const more = el("div.two", {});
  const row = el("fieldset.sub-stream", { hidden: true }, el("legend.s.sub", {}, t("device.title")), list, more);
  let input = null;
  let sound = null;
  let url = "";
  const pick = (node, device, sounds) => {
    for (const one of list.children) one.setAttribute("aria-pressed", String(one === node));
    url = `v4l2:${device.path}`;
    input = device.inputs.length > 1 ? field(t("device.input"), { value: String(device.input), options: device.inputs.map((one) => [String(one.number), one.title]) }) : null;
    sound = sounds.length ? field(t("device.sound"), { value: "", options: [["", t("device.sound.none")], ...sounds.map((one) => [one.name, one.title])] }) : null;
    more.replaceChildren(...[input, sound].filter(Boolean).map((one) => one.row));
    chosen(url, device.title);
  };
  api.get("/api/device").then(({ video, sound: sounds }) => {
    row.hidden = !video.length;
    list.replaceChildren(...video.map((device) => el("button.btn.device", { type: "button", "aria-pressed": "false", disabled: Boolean(device.fault), on: { click: (event) => pick(event.currentTarget, device, sounds) } },
      icon("cam"), el("span.grow", {}, el("b", {}, device.title), " ", el("span.s.sub", {}, deviceWords(device))))));
  }, () => {});
  /** What goes with the address, if it is still that of a device. @param {string} address */
  const read = (address) => (address === url ? { capture: { input: input?.input.value ?? "", alsa: sound?.input.value ?? "" } } : {});
  return { row, read };
}
