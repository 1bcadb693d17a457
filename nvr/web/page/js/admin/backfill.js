// What was missed is fetched from the camera's own storage, or not.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { field } from "../ui.js";

/** Fields of a camera's dialog. @param {any} now As the box has it. */
export function backfillFields(now) {
  const on = el("input", { type: "checkbox", prop: { checked: now.on } });
  const rate = field(t("backfill.rate"), { value: String(now.mbit_s), pattern: "[0-9]{1,4}(\\.[0-9]{1,2})?", required: true, max: 7 });
  const back = field(t("backfill.back"), { value: String(now.back_h), pattern: "[1-9][0-9]{0,2}", required: true, max: 3 });
  const more = el("div.two", { hidden: !now.on }, rate.row, back.row);
  on.addEventListener("change", () => (more.hidden = !on.checked));
  return {
    row: el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("backfill.title")), el("label.check", {}, on, t("backfill.on")), el("p.s.sub", {}, t("backfill.hint")), more),
    /** What is to be otherwise, null for nothing. */
    read() {
      const next = { ...now, on: on.checked, mbit_s: Number(rate.input.value), back_h: Number(back.input.value) };
      return ["on", "mbit_s", "back_h"].some((key) => next[key] !== now[key]) ? next : null;
    },
  };
}

/** Fetch otherwise, if that is a change; where its services are is taken from its address unless it is known. */
export async function saveBackfill(name, next) {
  if (!next) return;
  const services = api.cameraPath(name, "/onvif");
  const { onvif, suggested } = await api.get(services);
  if (next.on && !onvif) await api.put(services, { address: suggested });
  await api.put(api.cameraPath(name, "/backfill"), next);
}
