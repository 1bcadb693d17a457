// Which rights on which cameras: one row a camera, `*` for every camera without a row of its own.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { lineName } from "./lines.js";

const RIGHTS = ["live", "playback", "export", "ptz", "relay", "config", "unmasked"];
/** The most a role can have; the box enforces it, the page only does not offer more. */
const CEILING = {
  viewer: ["live", "playback", "unmasked"], operator: ["live", "playback", "export", "ptz", "relay", "unmasked"],
  auditor: ["live", "playback", "export"], machine: ["live", "playback", "export", "ptz", "relay", "unmasked"],
};
const START = { viewer: ["live"], operator: ["live", "playback", "ptz", "relay"], auditor: ["playback"], machine: ["live"] };

/**
 * @param {any} app @param {() => string} role @param {Record<string, string[]>} [now] Rights as they are.
 * @returns {{node: HTMLElement, draw: () => void, value: () => Record<string, string[]>}}
 */
export function rightsEditor(app, role, now) {
  const node = el("div.rights", {});
  /** @type {Record<string, Set<string>>} */
  let chosen = {};
  /** Outputs have a line of their own, and only one right. @type {[string, string][]} */
  let outputs = [];

  function draw() {
    const most = CEILING[role()];
    node.hidden = !most;
    if (!most) return;
    chosen = now ? Object.fromEntries(Object.entries(now).map(([name, list]) => [name, new Set(list)])) : {};
    chosen["*"] ??= new Set(now ? [] : START[role()]);
    fill(most);
  }

  function fill(most) {
    const row = (name, label) => el("tr", {}, el("th", { scope: "row" }, label), ...most.map((right) => el("td", {},
      name.startsWith("@") && right !== "relay" ? null : el("input", {
        type: "checkbox", "aria-label": `${label}: ${t(`right.${right}`)}`, prop: { checked: (chosen[name] ?? chosen["*"]).has(right) },
        on: {
          change: (event) => {
            chosen[name] ??= new Set(chosen["*"]);
            if (event.target.checked) chosen[name].add(right);
            else chosen[name].delete(right);
            if (name === "*") fill(most);
          },
        },
      }))));
    node.replaceChildren(el("div.scroll", {}, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, t("rights")), ...most.map((right) => el("th", {}, t(`right.${right}`))))),
      el("tbody", {}, row("*", t("rights.all")), ...app.box.cameras.map((camera) => row(camera.name, camera.title || camera.name)), ...(most.includes("relay") ? outputs.map(([name, label]) => row(name, label)) : [])))));
  }

  api.get("/api/line").then((told) => {
    outputs = told.outputs.map(({ output }) => [`@${output.name}`, lineName(output, `line.${output.kind}`)]);
    const most = CEILING[role()];
    if (most) fill(most);
  }, () => {});
  draw();
  return {
    node, draw,
    value: () => (CEILING[role()] ? Object.fromEntries(Object.entries(chosen).map(([name, set]) => [name, RIGHTS.filter((right) => set.has(right))])) : {}),
  };
}

/** Rights in one line. @param {any} app @param {Record<string, string[]>} rights */
export function rightsText(app, rights) {
  const rows = Object.entries(rights ?? {});
  if (!rows.length) return t("rights.none");
  return rows.map(([name, list]) => {
    const camera = name === "*" ? t("rights.all") : app.box.camera(name)?.title || name;
    return `${camera}: ${list.length ? list.map((right) => (RIGHTS.includes(right) ? t(`right.${right}`) : right)).join(t("comma")) : "–"}`;
  }).join(" · ");
}
