// A camera's sub stream: the fields of a form, and what they say.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { field } from "../ui.js";

/** What a main stream may also have: a device of the box, a test picture of our own. */
export const LOCAL = /^v4l2:\/dev\/[\w.:+@=,/-]+$|^test:([1-9]\d{1,2}[02468]x[1-9]\d{1,2}[02468])?(@[1-9]\d?)?$/;
export const ADDRESS = /^rtsps?:\/\/[^/\s@]+(\/\S*)?$/i;
const NUMBERS = { retain_h: "[0-9]{1,4}", guaranteed_h: "[0-9]{1,4}", limit_h: "[0-9]{1,5}", limit_gb: "[0-9]{1,6}(\\.[0-9]{1,2})?" };

/** Take an address apart that was pasted with its log-in: it must not stay in it. @param {string} text */
export function apart(text) {
  const found = /^(rtsps?:\/\/)([^:@/\s]+):?([^/\s]*)@(.+)$/i.exec(text.trim());
  return found ? { url: found[1] + found[4], user: plain(found[2]), password: plain(found[3]) } : null;
}

/** Text of a part of an address; a bare % in a password is no code of a letter. @param {string} text */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const SIZES = ["320x180", "480x270", "640x360", "704x576", "960x540"];

/** How this box makes a second stream of a local camera's pictures. @param {any} sub */
function makingFields(sub) {
  const made = field(t("sub.made"), { value: sub ? "yes" : "", options: [["", t("sub.made.no")], ["yes", t("sub.made.yes")]], hint: t("sub.made.hint") });
  const now = sub?.size?.join("x") ?? "640x360";
  const size = field(t("sub.size"), { value: now, options: [...new Set([...SIZES, now])].map((one) => [one, one.replace("x", " × ")]), hint: t("sub.size.hint") });
  const number = (key, pattern, hint) => field(t(`enc.${key}`), { value: sub?.[key] ? String(sub[key]) : "", pattern, max: 6, hint });
  const fps = number("fps", "[1-9][0-9]?", t("sub.fps.hint"));
  const rate = number("kbit_s", "[1-9][0-9]{1,5}", t("enc.kbit_s.hint"));
  const codec = field(t("enc.codec"), { value: sub?.codec || "h264", options: [["h264", "H.264"], ["h265", "H.265"]] });
  return {
    made,
    more: el("div.sub-made", {}, el("div.two", {}, size.row, codec.row), el("div.two", {}, fps.row, rate.row)),
    read: () => ({
      url: "", fps: Number(fps.input.value), kbit_s: Number(rate.input.value), codec: codec.input.value === "h264" ? "" : codec.input.value,
      size: size.input.value === "640x360" ? null : size.input.value.split("x").map(Number),
    }),
  };
}

/**
 * Where it is from, whether it is recorded, and for how long; the rest shows once there is one.
 * @param {any} [sub] As the box has it.
 */
export function subFields(sub = null, { long = false, local = false } = {}) {
  const making = makingFields(sub);
  const url = field(t("sub.url"), { value: sub?.url ?? "", hint: t("sub.url.hint"), placeholder: "rtsp://192.168.1.65:554/…" });
  const record = field(t("sub.record"), { value: String(sub?.record ?? true), options: ["true", "false"].map((key) => [key, t(`sub.record.${key}`)]) });
  const number = (key) => field(t(`camera.${key === "retain_h" ? "retain" : key}`), { value: sub?.[key] ? String(sub[key]) : "", pattern: NUMBERS[key], max: 8, hint: t(`sub.${key}.hint`) });
  const numbers = Object.fromEntries(Object.keys(NUMBERS).map((key) => [key, number(key)]));
  const times = el("div.sub-times", {}, el("div.two", {}, numbers.retain_h.row, numbers.guaranteed_h.row), el("div.two", {}, numbers.limit_h.row, numbers.limit_gb.row));
  const row = el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("stream.sub")));
  const draw = () => {
    const given = Boolean((local ? making.made.input : url.input).value.trim());
    (local ? url : making.made).row.remove();
    row.insertBefore((local ? making.made : url).row, row.children[1] ?? null);
    if (local && given) making.made.row.after(making.more);
    else making.more.remove();
    if (given) row.append(record.row);
    else record.row.remove();
    if (given && long && record.input.value === "true") row.append(times);
    else times.remove();
  };
  url.input.addEventListener("input", () => {
    const found = apart(url.input.value);
    if (found) url.input.value = found.url;
    draw();
  });
  record.input.addEventListener("change", draw);
  making.made.input.addEventListener("change", draw);
  draw();
  return {
    row,
    /** It is of a camera of this box, or it is not. @param {boolean} now */
    of(now) {
      if (now === local) return;
      local = now;
      draw();
    },
    /** What is to be, null for no sub stream. */
    read() {
      const address = url.input.value.trim();
      if (!(local ? making.made.input.value : address)) return null;
      if (!local && !ADDRESS.test(address)) throw new api.Problem(0, "page.address", "");
      const from = local ? making.read() : { url: address, size: null, fps: 0, kbit_s: 0, codec: "" };
      const said = { ...from, record: record.input.value === "true" };
      return { ...said, ...Object.fromEntries(Object.entries(numbers).map(([key, one]) => [key, Number(one.input.value)])) };
    },
  };
}

/** Give a camera the sub stream, another one, or none, if that is a change. */
export async function saveSub(name, before, now) {
  const same = before && now && Object.keys(before).every((key) => JSON.stringify(before[key]) === JSON.stringify(now[key]));
  if (same || (!before && !now)) return;
  if (now) await api.put(api.cameraPath(name, "/sub"), now);
  else await api.remove(api.cameraPath(name, "/sub"));
}
