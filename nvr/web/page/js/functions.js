// What one head can be told beside motions and presets: menus, scans, a restart.

import * as api from "./api.js";
import { el } from "./dom.js";
import { spoken, t } from "./i18n.js";
import { button, confirmLoss, dialog } from "./ui.js";

/** @param {any} app @param {string} camera */
export async function functionsDialog(app, camera) {
  const path = `${api.cameraPath(camera)}/function`;
  let found;
  try {
    found = await api.get(path);
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const perform = async (one) => {
    const what = spoken(one, "title");
    if (one.risk && !(await confirmLoss({ title: t("fn.risk", { what }), lost: [t("fn.risk.lost")], kept: [t("fn.risk.kept")], act: what }))) return;
    try {
      await app.box.ask({ op: "function", cam: camera, function: one.name });
      app.notes.say(t("fn.sent", { what }), "ok");
    } catch (error) {
      app.notes.problem(error);
    }
  };
  const row = (one) => {
    const it = button("", spoken(one, "title"), () => perform(one), { cls: one.risk ? "danger" : "" });
    if (one.runs) it.append(el("small.sub", {}, t("fn.runs")));
    return it;
  };
  const list = found.functions.filter((one) => !one.risk || app.box.may(camera, "config")).map(row);
  dialog({ title: t("fn.title"), body: [el("p.sub", {}, t("fn.note")), el("div.menu", {}, ...list)], actions: [] });
}
