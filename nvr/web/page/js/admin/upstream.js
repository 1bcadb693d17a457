// The box as an ONVIF device: on or off, where it is, and who came of late and with what result.

import * as api from "../api.js";
import { el, put, show } from "../dom.js";
import { stamp, t } from "../i18n.js";
import { icon } from "../icons.js";
import { field, form, problemBox } from "../ui.js";

const PATH = "/api/upstream/onvif";

/** @param {any} app @param {import("../dom.js").Part} part */
export async function onvifPanel(app, part) {
  const now = await api.get(PATH);
  const on = el("input", { type: "checkbox", prop: { checked: now.on } });
  const found = el("input", { type: "checkbox", prop: { checked: now.discovery } });
  const port = field(t("onvifd.port"), { type: "number", value: String(now.port), required: true });
  port.input.min = "1";
  port.input.max = "65535";
  const each = el("input", { type: "checkbox", prop: { checked: Object.keys(now.channels).length > 0 } });
  const state = el("p.s", {});
  const place = el("div.place", {});
  const hosts = el("div.scroll-x", {});

  const draw = (told) => {
    now.channels = told.channels;
    const own = Object.entries(told.channels).map(([name, at]) => `${name} ${at}`).join(", ");
    put(state, told.listening ? t("onvifd.at", { url: `http://${location.hostname}:${told.port}/onvif/device_service` }) : t(told.on ? "onvifd.starting" : "onvifd.off"));
    if (own) state.append(` · ${t("onvifd.ports", { ports: own })}`);
    show(place, ...(told.fault ? [problemBox(told.fault)] : []));
    show(hosts, told.hosts.length ? table(told.hosts) : el("p.s.dim", {}, t("onvifd.nobody")));
  };
  const look = async () => {
    try {
      draw(await api.get(PATH));
    } catch (error) {
      show(place, problemBox(error));
    }
  };
  draw(now);
  part.every(4000, look);
  return el("section.panel", {}, el("h2", {}, icon("link"), t("onvifd.title")), el("div.pb", {},
    el("p.s.sub", {}, t("onvifd.what")),
    form({
      rows: [el("label.check", {}, on, t("onvifd.on")), el("label.check", {}, found, t("onvifd.discovery")), port.row,
        el("label.check", {}, each, t("onvifd.each")), el("p.hint", {}, t("onvifd.each.hint"))],
      act: t("save"),
      onSubmit: async () => {
        draw(await api.put(PATH, { on: on.checked, port: Number(port.input.value), discovery: found.checked, channels: each.checked ? ports(app, port.input, now.channels) : {} }));
        setTimeout(look, 500);
      },
    }),
    state, place, el("h3", {}, t("onvifd.hosts")), hosts));
}

/** A port for each camera: the one it has, else the next that is free. */
function ports(app, input, had) {
  const taken = new Set([Number(input.value), ...Object.values(had)]);
  let next = Number(input.value);
  return Object.fromEntries(app.box.cameras.map(({ name }) => {
    if (had[name]) return [name, had[name]];
    while (taken.has(next)) next += 1;
    taken.add(next);
    return [name, next];
  }));
}

function table(hosts) {
  const heads = ["host", "last", "count", "refused"];
  return el("table.keep", {},
    el("thead", {}, el("tr", {}, ...heads.map((key) => el("th", { scope: "col" }, t(`onvifd.col.${key}`))))),
    el("tbody", {}, ...hosts.map((one) => el("tr", {},
      el("th", { scope: "row" }, one.name || "–", el("small", {}, one.address)),
      el("td", {}, stamp(one.at_us), el("small", {}, `${one.did}${one.how ? ` · ${t(`onvifd.how.${one.how}`)}` : ""}`)),
      el("td", {}, String(one.requests)),
      el("td", {}, String(one.refused), one.why ? el("small", {}, one.why) : null)))));
}
