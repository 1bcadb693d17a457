// The box as the time server of its cameras: on or off, and which of them ask.

import * as api from "../api.js";
import { el, put, show } from "../dom.js";
import { stamp, t } from "../i18n.js";
import { problemBox } from "../ui.js";

const PATH = "/api/ntp";

/** @param {any} app @param {import("../dom.js").Part} part */
export async function timeForm(app, part) {
  const on = el("input", { type: "checkbox", on: { change: () => turn() } });
  const state = el("p.s", {});
  const place = el("div.place", {});
  const askers = el("div.scroll-x", {});
  const draw = (now) => {
    if (!on.disabled) on.checked = now.on;
    put(state, !now.on ? "" : now.stratum === 0 ? t("ntp.unset") : now.listening ? t("ntp.at", { port: now.port }) : t("ntp.starting"));
    show(place, ...(now.on && now.fault ? [problemBox(now.fault)] : []));
    show(askers, !now.on ? null : now.askers.length ? table(app, now.askers) : el("p.s.dim", {}, t("ntp.nobody")));
  };
  const look = async () => {
    try {
      draw(await api.get(PATH));
    } catch (error) {
      show(place, problemBox(error));
    }
  };
  const turn = async () => {
    const wanted = on.checked;
    on.disabled = true;
    try {
      await api.put(PATH, { on: wanted });
    } catch (error) {
      app.notes.problem(error);
    }
    on.disabled = false;
    await look();
  };
  part.every(4000, look);
  await look();
  return el("div", {}, el("label.check", {}, on, t("ntp.on")), el("p.hint", {}, t("ntp.what")), state, place, askers);
}

/** @param {any} app @param {{address: string, at_us: number, answered: number}[]} askers */
function table(app, askers) {
  return el("table.keep", {},
    el("thead", {}, el("tr", {}, ...["who", "last", "count"].map((key) => el("th", { scope: "col" }, t(`ntp.${key}`))))),
    el("tbody", {}, ...askers.map((one) => el("tr", {},
      el("th", { scope: "row" }, one.address), el("td", {}, stamp(one.at_us)), el("td", {}, String(one.answered))))));
}
