// How a camera's head is reached: serial line, address, what kind it is, what wiper, washer and lamp hang on.

import * as api from "../api.js";
import { el } from "../dom.js";
import { spoken, t } from "../i18n.js";
import { button, dialog, field, form } from "../ui.js";

const AUX = "aux ";
const ONVIF = "onvif";

/** @param {any} app @param {string} name */
export async function headDialog(app, name) {
  const path = `${api.cameraPath(name)}/ptz`;
  const services = `${api.cameraPath(name)}/onvif`;
  let found, own;
  try {
    found = await api.get(path);
    own = await api.get(services);
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const now = found.ptz ?? { bus: found.buses[0] ?? "", address: 1, protocol: "pelco-d", turbo: null, tilt_reply: null, wiper: null, washer: null, lamp: null, profile: "" };
  const kinds = new Map(found.kinds.map((kind) => [kind.name, kind]));
  const named = now.protocol === ONVIF ? ONVIF : now.profile || `generic-${now.protocol}`;
  const places = [["", t("head.none")], ...found.outputs.map((output) => [output, output]),
    ...[1, 2, 3, 4, 5, 6, 7, 8, "tt:Wiper", "tt:Washer", "tt:IRLamp"].map((n) => [AUX + n, t("head.aux", { n })])];
  const shown = (place) => (typeof place === "string" ? place : place ? AUX + place.aux : "");
  const bus = field(t("head.bus"), { options: found.buses.map((one) => [one, one]), value: now.bus });
  const address = field(t("head.address"), { type: "number", required: true, value: String(now.address), hint: t("head.address.hint") });
  const kind = field(t("head.kind"), { options: [...found.kinds.map((one) => [one.name, spoken(one, "title")]), [ONVIF, t("head.onvif")]], value: named });
  const about = el("p.sub", {});
  const at = field(t("head.onvif.address"), { value: own.onvif?.address ?? own.suggested, hint: t("head.onvif.hint"), max: 256 });
  const wiper = field(t("head.wiper"), { options: places, value: shown(now.wiper) });
  const washer = field(t("head.washer"), { options: places, value: shown(now.washer) });
  const lamp = field(t("head.lamp"), { options: places, value: shown(now.lamp), hint: t("head.place.hint") });
  const turbo = field(t("head.turbo"), { options: [["", t("head.turbo.kind")], ["0", t("head.none")], ["64", "0x40"], ["255", "0xFF"]], value: String(now.turbo ?? ""), hint: t("head.turbo.hint") });
  // Over ONVIF it is on no line, and has no number there.
  const draw = () => {
    const onvif = kind.input.value === ONVIF;
    for (const one of [bus, address, turbo]) one.row.hidden = onvif;
    at.row.hidden = !onvif;
    address.input.disabled = onvif;
    const chosen = kinds.get(kind.input.value);
    about.textContent = chosen ? `${chosen.proven ? "" : t("head.untested")} ${spoken(chosen, "about")}`.trim() : "";
  };
  kind.input.addEventListener("change", draw);
  draw();
  // What the form does not show of a place that stays, such as its longest time on, stays too.
  const place = (input, before) => {
    if (input.value === shown(before)) return before;
    return input.value.startsWith(AUX) ? { aux: Number(input.value.slice(AUX.length)) || input.value.slice(AUX.length) } : input.value || null;
  };
  const done = async () => {
    await app.box.loadCameras();
    box.close();
  };
  const box = dialog({
    title: t("head.edit"),
    body: [form({
      rows: [el("div.two", {}, bus.row, kind.row), about, address.row, at.row, el("div.two", {}, wiper.row, washer.row), el("div.two", {}, lamp.row, turbo.row)],
      act: t("save"),
      onSubmit: async () => {
        const where = at.input.value.trim();
        const chosen = kind.input.value;
        const onvif = chosen === ONVIF;
        if (onvif && where !== own.onvif?.address) await api.put(services, { ...own.onvif, address: where });
        await api.put(path, {
          ...now, bus: onvif ? "" : bus.input.value, address: Number(address.input.value),
          protocol: onvif ? ONVIF : kinds.get(chosen)?.protocol ?? now.protocol,
          profile: onvif ? "" : chosen === named ? now.profile : chosen,
          turbo: turbo.input.value && !onvif ? Number(turbo.input.value) : null, wiper: place(wiper.input, now.wiper), washer: place(washer.input, now.washer), lamp: place(lamp.input, now.lamp),
        });
        await done();
      },
      extra: found.ptz ? [button("", t("head.remove"), async () => {
        try {
          await api.remove(path);
          await done();
        } catch (error) {
          app.notes.problem(error);
        }
      })] : [],
    })],
    actions: [],
  });
}
