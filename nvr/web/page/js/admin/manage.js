// Manage: cameras, captions, outputs, locks, exports, keys, users, machines, audit, box. One page each, one address each.

import { el, Part } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { problemBox } from "../ui.js";
import { auditPage } from "./audit.js";
import { boxPage } from "./box.js";
import { camerasPage } from "./cameras.js";
import { captionPage } from "./caption.js";
import { exportsPage } from "./exports.js";
import { keysPage } from "./keys.js";
import { linesPage } from "./lines.js";
import { locksPage } from "./locks.js";
import { machinesPage } from "./machines.js";
import { maskPage } from "./mask.js";
import { usersPage } from "./users.js";

/** Name, picture, page, and whether only an administrator sees it. */
const PAGES = [
  ["cameras", "cam", camerasPage, false],
  ["captions", "doc", captionPage, false],
  ["masks", "eyeoff", maskPage, false],
  ["lines", "relay", linesPage, false],
  ["locks", "lock", locksPage, false],
  ["exports", "exp", exportsPage, false],
  ["keys", "seal", keysPage, true],
  ["users", "user", usersPage, true],
  ["machines", "link", machinesPage, true],
  ["audit", "shield", auditPage, true],
  ["box", "chip", boxPage, false],
];

export class Manage extends Part {
  /** @type {any} */
  app;

  start() {
    const role = this.app.box.info.user?.role;
    const pages = PAGES.filter(([name, , , admin]) => !admin || role === "admin" || (name === "audit" && role === "auditor"));
    const [path] = this.app.path.split("/");
    const [name, , page] = pages.find(([one]) => one === path) ?? pages[0];
    this.className = "manage";
    this.body = el("div.manage-body", {});
    this.replaceChildren(
      el("nav.tabs", { "aria-label": t("nav.manage") }, ...pages.map(([one, picture]) =>
        el("a", { href: `#/manage/${one}`, "aria-current": one === name ? "page" : null }, icon(picture), el("span", {}, t(`manage.${one}`))))),
      this.body);
    this.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    this.#open(page);
  }

  async #open(page) {
    try {
      await page(this.app, this.body, this);
    } catch (error) {
      this.body.replaceChildren(problemBox(error));
    }
  }
}

customElements.define("nvr-manage", Manage);
