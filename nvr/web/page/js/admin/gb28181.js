// GB/T 28181 platforms that the box is a device of: how each does, and what it may know.

import * as api from "../api.js";
import { el } from "../dom.js";
import { stamp, t } from "../i18n.js";
import { icon } from "../icons.js";
import { button, confirmLoss, dialog, field, form, problemBox } from "../ui.js";
import { belowList } from "./below.js";

const PATH = "/api/upstream/gb28181";
const RIGHTS = ["live", "playback", "export", "ptz", "relay", "config", "unmasked"];

/** @param {any} app @param {import("../dom.js").Part} part */
export async function platformsPanel(app, part) {
  const list = el("div.cards", {});
  const draw = ({ platforms }) => list.replaceChildren(...(platforms.length
    ? platforms.map((one) => card(app, one, draw)) : [el("p.s.dim", {}, t("gb.none"))]));
  const look = async () => {
    try {
      draw(await api.get(PATH));
    } catch (error) {
      list.replaceChildren(problemBox(error));
    }
  };
  await look();
  part.every(4000, look);
  return el("section.panel", {}, el("h2", {}, icon("link"), t("gb.title")), el("div.pb", {},
    el("p.s.sub", {}, t("gb.what")), list,
    el("div.row.end", {}, button("plus", t("gb.add"), () => edit(app, null, draw)))));
}

function card(app, one, draw) {
  const since = one.state === "registered" ? t("gb.since", { at: stamp(one.since_us) }) : "";
  const counts = t("gb.counts", { channels: one.channels.length, sessions: one.sessions, asked: one.asked, refused: one.refused, damaged: one.damaged, alarms: one.alarms });
  return el("article.cam-card.panel", {}, icon("link"), el("div.grow", {},
    el("b.mono", {}, one.name), " ", el("span.s", {}, t(`gb.state.${one.state}`), since),
    el("p.s.sub", {}, `${one.at || `${one.host}:${one.port}`} · ${one.transport.toUpperCase()} · ${one.device}${one.spoken ? ` · ${one.spoken}` : ""}`),
    one.on ? el("p.s.sub", {}, counts) : null,
    one.clock_use ? el("p.s.sub", {}, t(`gb.clock.${one.clock_use}`)) : null,
    one.fault ? el("div", {}, el("span.xs.dim", {}, stamp(one.fault_us)), problemBox(new api.Problem(0, one.fault.code, one.fault.detail))) : null),
  el("div.row.acts", {}, button("", t("gb.edit"), () => edit(app, one, draw)), button("", t("gb.remove"), () => drop(app, one, draw), { cls: "danger" })));
}

async function drop(app, one, draw) {
  if (!(await confirmLoss({ title: t("gb.remove.title", { name: one.name }), lost: [t("gb.remove.lost")], kept: [t("gb.remove.kept")], act: t("gb.remove") }))) return;
  try {
    draw(await api.remove(`${PATH}/${one.name}`));
  } catch (error) {
    app.notes.problem(error);
  }
}

/** What is not asked for here (the catalogue's inputs, times, auxiliaries) stays as it is. */
function edit(app, one, draw) {
  const digits = { required: true, pattern: "[0-9]{20}", max: 20 };
  const name = field(t("gb.name"), { value: one?.name ?? "", required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,31}", max: 32, hint: t("gb.name.hint") });
  name.input.readOnly = Boolean(one);
  const host = field(t("gb.host"), { value: one?.host ?? "", required: true, max: 253 });
  const port = field(t("onvifd.port"), { type: "number", value: String(one?.port ?? 5060), required: true });
  const how = field(t("gb.transport"), { value: one?.transport ?? "udp", options: [["udp", "UDP"], ["tcp", "TCP"]], hint: t("gb.transport.hint") });
  const edition = field(t("gb.edition"), { value: one?.edition ?? "2022", options: [["2022", "GB/T 28181-2022"], ["2016", "GB/T 28181-2016"]] });
  const server = field(t("gb.server"), { ...digits, value: one?.server ?? "" });
  const device = field(t("gb.device"), { ...digits, value: one?.device ?? "" });
  const user = field(t("gb.user"), { value: one?.user ?? "", hint: t("gb.user.hint"), max: 64 });
  const password = field(t("gb.password"), { type: "password", hint: one ? t("gb.password.hint") : "", autocomplete: "new-password", max: 128 });
  const on = el("input", { type: "checkbox", prop: { checked: one?.on ?? true } });
  const clock = el("input", { type: "checkbox", prop: { checked: one?.sets_clock ?? false } });
  const rows = app.box.cameras.map((camera, n) => {
    const known = one?.channels.find((it) => it.camera === camera.name);
    const id = el("input.field-in.mono", { maxlength: 20, pattern: "[0-9]{20}", "aria-label": `${camera.title || camera.name}: ${t("gb.id")}`, placeholder: String(n + 1), prop: { value: known?.id ?? "" } });
    const rights = RIGHTS.map((right) => el("input", { type: "checkbox", "aria-label": `${camera.title || camera.name}: ${t(`right.${right}`)}`, prop: { checked: known?.rights.includes(right) ?? false } }));
    rights.forEach((box) => box.addEventListener("change", () => {
      if (box.checked && !id.value) id.value = `${device.input.value.slice(0, 10)}132${device.input.value.slice(13, 14)}${String(n + 1).padStart(6, "0")}`;
    }));
    const of = el("select.field-in", { "aria-label": `${camera.title || camera.name}: ${t("gb.of")}` });
    const node = el("div.field.channel", {}, el("b", {}, camera.title || camera.name), id, of,
      el("div.checks", {}, ...rights.map((box, k) => el("label.check", {}, box, t(`right.${RIGHTS[k]}`)))));
    let chosen = known?.box ?? "";
    of.addEventListener("change", () => { chosen = of.value; });
    const choose = (boxes) => {
      of.hidden = !boxes.length;
      of.replaceChildren(el("option", { value: "" }, t("gb.of.this")), ...boxes.map((it) => el("option", { value: it.id, prop: { selected: it.id === chosen } }, it.title || it.id)));
    };
    return { node, choose, value: () => ({ ...known, id: id.value.trim(), camera: camera.name, box: of.value, rights: RIGHTS.filter((_, k) => rights[k].checked) }) };
  });
  const below = belowList(one?.boxes ?? [], (boxes) => rows.forEach((row) => row.choose(boxes)), () => device.input.value);
  rows.forEach((row) => row.choose(one?.boxes ?? []));
  const gone = (one?.channels ?? []).filter((it) => !app.box.cameras.some((camera) => camera.name === it.camera));
  const box = dialog({
    title: one ? one.name : t("gb.add"), wide: true, actions: [],
    body: [form({
      rows: [name.row, el("label.check", {}, on, t("onvifd.on")), host.row, port.row, how.row, edition.row, server.row, device.row, user.row, password.row,
        el("label.check", {}, clock, t("gb.clock")),
        el("h3", {}, t("gb.channels")), ...rows.map((row) => row.node), below.node],
      act: t("save"),
      onSubmit: async () => {
        const kept = one ? Object.fromEntries(["domain", "local_port", "expires_s", "keepalive_s", "misses", "retry_s", "inputs", "aux"].map((key) => [key, one[key]])) : {};
        const boxes = below.value();
        const channels = [...gone.map((it) => ({ ...it, box: boxes.some((at) => at.id === it.box) ? it.box : "" })), ...rows.map((row) => row.value()).filter((it) => it.id && it.rights.length)];
        draw(await api.put(`${PATH}/${name.input.value.trim()}`, {
          ...kept, on: on.checked, sets_clock: clock.checked, host: host.input.value.trim(), port: Number(port.input.value), transport: how.input.value, edition: edition.input.value,
          server: server.input.value.trim(), device: device.input.value.trim(), user: user.input.value.trim(), channels, boxes,
          ...(password.input.value || !one ? { password: password.input.value } : {}),
        }));
        box.close();
      },
    })],
  });
}
