// Recorders below this box, as a GB/T 28181 platform knows them: whose cameras some of ours are.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import { button } from "../ui.js";

/** @typedef {{id: string, title: string}} Below */

/**
 * The list of them, to be changed.
 * @param {Below[]} had @param {(boxes: Below[]) => void} changed @param {() => string} device
 */
export function belowList(had, changed, device) {
  const list = el("div", {});
  const rows = new Map();
  const value = () => [...rows.values()].map((row) => ({ id: row.id.value.trim(), title: row.title.value.trim() })).filter((it) => it.id);
  const tell = () => changed(value());
  const add = (it) => {
    const title = el("input.field-in", { maxlength: 64, required: true, "aria-label": t("gb.below.name"), placeholder: t("gb.below.name"), prop: { value: it.title }, on: { input: tell } });
    const id = el("input.field-in.mono", { maxlength: 20, pattern: "[0-9]{20}", required: true, "aria-label": t("gb.below.id"), placeholder: t("gb.below.id"), prop: { value: it.id }, on: { input: tell } });
    const node = el("div.field.channel", {}, title, id, button("", t("gb.remove"), () => {
      rows.delete(node);
      node.remove();
      tell();
    }));
    rows.set(node, { id, title });
    list.append(node);
  };
  had.forEach(add);
  const next = () => {
    if (!/^\d{20}$/.test(device())) return "";
    const [head, network] = [device().slice(0, 10), device().slice(13, 14)];
    const taken = new Set([device(), ...value().map((it) => it.id)]);
    for (let n = 1; ; n += 1) {
      const id = `${head}118${network}${String(n).padStart(6, "0")}`;
      if (!taken.has(id)) return id;
    }
  };
  return {
    value,
    node: el("div", {}, el("h3", {}, t("gb.below")), el("p.hint", {}, t("gb.below.what")), list, el("p", {}, button("plus", t("gb.below.add"), () => {
      add({ id: next(), title: "" });
      tell();
    }))),
  };
}
