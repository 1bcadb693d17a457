// Serial lines: who is on them, what keyboards say and what is made of it, and the bare wire.

import * as api from "../api.js";
import { el } from "../dom.js";
import { span, stamp, t, unit } from "../i18n.js";
import { button, dialog, field, form, problemBox } from "../ui.js";

const KEPT = 60;

/** What a frame says. @param {[string, number][]} words */
const said = (words) => words.map(([word, n]) => [t(`wire.${word}`), n || ""].join(" ").trim()).join(" · ");

const called = (box, name) => box.camera(name)?.title || name;

/** A keyboard's last command and what became of it. */
function pressed(box, one) {
  if (!one) return el("span.dim", {}, t("serial.nothing"));
  return el("span", {}, `${one.address}: ${said(one.words)}`, one.camera ? ` → ${called(box, one.camera)}` : "",
    one.code ? el("b", {}, api.sentence(new api.Problem(0, one.code, one.detail))) : null, el("small", {}, stamp(one.at_us)));
}

function state(box, line) {
  const since = span((box.now_us - line.since_us) / 1e6);
  if (line.state === "lost") return el("span", {}, el("b", {}, t("serial.lost", { since })), el("small", {}, line.detail));
  const rate = unit(line.baud, "Bd");
  if (line.state === "searching") return t("serial.searching", { rate });
  return [rate, line.keyboard?.protocol.replace("pelco-", "Pelco-").replace(/-[dp]$/, (end) => end.toUpperCase())].filter(Boolean).join(" · ");
}

function uses(box, line) {
  const pad = line.keyboard;
  if (!pad) return line.heads.map((head) => el("small", {}, `${head.address} → ${called(box, head.camera)}`));
  const refused = pad.refused && pad.refused.at_us !== pad.last?.at_us ? el("small", {}, t("serial.refused"), pressed(box, pad.refused)) : null;
  const names = Object.entries(pad.cameras).map(([n, camera]) => `${n} → ${called(box, camera)}`).join(" · ");
  return el("span", {}, pressed(box, pad.last), refused, el("small", {}, names || t("serial.unmapped")),
    el("small", {}, t(pad.repeats ? "serial.repeats" : "serial.holds", { s: pad.held_s })));
}

/** @param {any} app @param {any[]} lines @param {() => void} again */
export function lineTable(app, lines, again) {
  if (!lines.length) return el("p.s.dim", {}, t("serial.none"));
  const more = (line) => el("td", {}, el("div.row", {}, button("", t("serial.monitor"), () => monitor(app, line)),
    line.keyboard ? button("", t("serial.edit"), () => edit(app, line, again)) : null));
  return el("table.encoders", {},
    el("tbody", {}, ...lines.map((line) => el("tr", { key: line.name, "data-state": line.state },
      el("th", { scope: "row" }, line.name, el("small", {}, t(`serial.${line.role}`))),
      el("td", {}, state(app.box, line)), el("td", {}, uses(app.box, line)), app.box.admin ? more(line) : null))));
}

/** What goes over a line, as it goes. */
function monitor(app, line) {
  const place = el("pre.mono.s.scroll-x", {}, t("serial.wait"));
  let after = 0;
  let rows = [];
  const show = async () => {
    try {
      const { heard } = await api.get(`/api/serial/${line.name}/monitor?after=${after}`);
      after = heard.at(-1)?.number ?? after;
      rows = [...rows, ...heard.map((one) => `${stamp(one.at_us).slice(-8)} ${one.way === "out" ? "→" : "←"} ${one.hex.toUpperCase()}  ${one.protocol ? `${one.address || ""} ${said(one.words)}` : t("serial.noise")}`)].slice(-KEPT);
      if (rows.length) place.textContent = rows.toReversed().join("\n");
    } catch (error) {
      place.replaceChildren(problemBox(error));
    }
  };
  const timer = setInterval(show, 1000);
  dialog({ title: `${t("serial.monitor")} · ${line.name}`, wide: true, body: [place], actions: [], onClose: () => clearInterval(timer) });
  show();
}

/** Which number is which camera, and how the keyboard behaves. */
function edit(app, line, again) {
  const pad = line.keyboard;
  const of = (camera) => Object.entries(pad.cameras).find(([, name]) => name === camera)?.[0] ?? "";
  const numbers = app.box.cameras.map((camera) => [camera.name, field(camera.title || camera.name, { value: of(camera.name), pattern: "[1-9][0-9]{0,2}", max: 3 })]);
  const profile = field(t("serial.profile"), { value: pad.profile, options: ["auto", "repeats", "latched"].map((one) => [one, t(`serial.profile.${one}`)]) });
  const hold = field(t("serial.hold"), { value: pad.hold_s ? String(pad.hold_s) : "", pattern: "[0-9]{1,2}(\\.[0-9])?", max: 4, hint: t("serial.hold.hint") });
  const yes = (key) => field(t(`serial.${key}`), { value: String(pad[key]), options: [["false", t("serial.no")], ["true", t("serial.yes")]] });
  const shared = yes("shared");
  const answers = yes("answer");
  const box = dialog({
    title: `${t("serial.keyboard")} · ${line.name}`,
    body: [form({
      rows: [el("p.s.sub", {}, t("serial.numbers")), el("div.two", {}, ...numbers.map(([, one]) => one.row)), el("div.two", {}, profile.row, hold.row), el("div.two", {}, shared.row, answers.row)],
      act: t("save"),
      onSubmit: async () => {
        const cameras = Object.fromEntries(numbers.filter(([, one]) => one.input.value).map(([name, one]) => [one.input.value, name]));
        await api.put(`/api/serial/${line.name}/keyboard`, {
          cameras: !pad.own_map && JSON.stringify(cameras) === JSON.stringify(pad.cameras) ? null : cameras, aux: pad.aux, profile: profile.input.value,
          hold_s: Number(hold.input.value), shared: shared.input.value === "true", answer: answers.input.value === "true",
        });
        box.close();
        again();
      },
    })],
    actions: [],
  });
}
