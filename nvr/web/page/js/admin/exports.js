// What was exported: how far it is, and the files to fetch.

import { el } from "../dom.js";
import { t } from "../i18n.js";
import "../exports.js";

/** @param {any} app @param {HTMLElement} host */
export async function exportsPage(app, host) {
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.exports"))),
    el("p.s.sub", {}, t("exports.list")),
    el("nvr-exports", { prop: { app } }));
}
