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

/**
 * Address, whether it is recorded, and for how long; the rest shows once there is an address.
 * @param {any} [sub] As the box has it.
 */
export function subFields(sub = null, { long = false } = {}) {
  const url = field(t("sub.url"), { value: sub?.url ?? "", hint: t("sub.url.hint"), placeholder: "rtsp://192.168.1.65:554/…" });
  const record = field(t("sub.record"), { value: String(sub?.record ?? true), options: ["true", "false"].map((key) => [key, t(`sub.record.${key}`)]) });
  const number = (key) => field(t(`camera.${key === "retain_h" ? "retain" : key}`), { value: sub?.[key] ? String(sub[key]) : "", pattern: NUMBERS[key], max: 8, hint: t(`sub.${key}.hint`) });
  const numbers = Object.fromEntries(Object.keys(NUMBERS).map((key) => [key, number(key)]));
  const times = el("div.sub-times", {}, el("div.two", {}, numbers.retain_h.row, numbers.guaranteed_h.row), el("div.two", {}, numbers.limit_h.row, numbers.limit_gb.row));
  const row = el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("stream.sub")), url.row);
  const draw = () => {
    const given = Boolean(url.input.value.trim());
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
  draw();
  return {
    row,
    /** What is to be, null for no sub stream. */
    read() {
      const address = url.input.value.trim();
      if (!address) return null;
      if (!ADDRESS.test(address)) throw new api.Problem(0, "page.address", "");
      const said = { url: address, record: record.input.value === "true" };
      return { ...said, ...Object.fromEntries(Object.entries(numbers).map(([key, one]) => [key, Number(one.input.value)])) };
    },
  };
}

/** Give a camera the sub stream, another one, or none, if that is a change. */
export async function saveSub(name, before, now) {
  if (JSON.stringify(before) === JSON.stringify(now)) return;
  if (now) await api.put(api.cameraPath(name, "/sub"), now);
  else await api.remove(api.cameraPath(name, "/sub"));
}
