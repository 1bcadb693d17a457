// Objects at a camera: which, what for, for whom and until when; without all of that none are looked for.

import { Problem, sentence } from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { field } from "../ui.js";

const YEAR_MS = 365 * 86_400_000;
const day = (/** @type {number} */ ms) => new Date(ms).toISOString().slice(0, 10);

/**
 * A part of a form, and what was chosen in it.
 * @param {any} set As it is now. @param {{code: string, detail: string, labels: string[]}} has What finds objects.
 * @param {boolean} records Whether they are events.
 */
export function objectsPart(set, has, records) {
  const check = (label, checked) => {
    const input = el("input", { type: "checkbox", prop: { checked } });
    return { input, row: el("label.check", {}, input, el("span", {}, label)) };
  };
  const on = check(t("look.objects.on"), Boolean(set?.on));
  const record = check(t("look.objects.record"), records);
  const purpose = field(t("look.purpose"), { value: set?.purpose ?? "", max: 200 });
  const who = field(t("look.objects.who"), { value: set?.who ?? "", max: 100 });
  const until = field(t("look.objects.until"), { type: "date", value: set?.until ?? day(Date.now() + YEAR_MS) });
  const classes = field(t("look.objects.classes"), { value: (set?.classes ?? []).join(" "), hint: has.labels.slice(0, 40).join(" ") });
  const sure = el("input", { type: "range", min: "100", max: "950", step: "10", "aria-label": t("look.objects.sure"), prop: { value: String(set?.sure_permille ?? 500) } });
  const keys = field(t("look.objects.keys"), { type: "number", value: String(set?.every_keys ?? 0) });
  const asked = [purpose, who, until, classes];
  const more = el("div.sub-times", {}, el("p.hint", {}, t("look.objects.hint")), purpose.row, el("div.two", {}, who.row, until.row), classes.row,
    el("div.two", {}, el("div.field", {}, el("label", {}, t("look.objects.sure")), sure), keys.row), record.row);
  const show = () => {
    more.hidden = !on.input.checked;
    for (const one of asked) one.input.required = on.input.checked;
  };
  // What cannot work can still be turned off.
  on.input.disabled = Boolean(has.code) && !set?.on;
  on.input.addEventListener("change", show);
  show();
  const wrong = has.code ? sentence(new Problem(0, has.code, has.detail, has)) : set?.on && set.until < day(Date.now()) ? t("look.objects.over") : "";
  return {
    row: el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("look.objects")), on.row, wrong && el("p.hint", {}, wrong), more),
    get records() { return on.input.checked && record.input.checked; },
    get value() {
      const words = classes.input.value.split(/[\s,，、]+/).filter(Boolean);
      if (!on.input.checked && !set) return null;
      return { on: on.input.checked, purpose: purpose.input.value.trim(), who: who.input.value.trim(), until: until.input.value, classes: words, sure_permille: Number(sure.value), every_keys: Math.max(0, Number(keys.input.value)) };
    },
  };
}
