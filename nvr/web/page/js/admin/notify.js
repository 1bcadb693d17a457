// Upstream systems that are told what happens: brokers (MQTT), webhooks and syslog servers.

import * as api from "../api.js";
import { el } from "../dom.js";
import { stamp, t } from "../i18n.js";
import { icon } from "../icons.js";
import { button, confirmLoss, dialog, field, form, problemBox } from "../ui.js";

const PATH = "/api/upstream/notify";
const KINDS = ["mqtt", "webhook", "syslog"];
const URLS = { mqtt: "mqtts://192.0.2.5:8883", webhook: "https://192.0.2.5/nvr", syslog: "tls://192.0.2.5:6514" };
const list = (text) => text.split(/[\s,]+/).filter(Boolean);
const at = ({ kind, name }) => `${PATH}/${kind}/${encodeURIComponent(name)}`;

/** @param {any} app @param {import("../dom.js").Part} part */
export async function notifyPanel(app, part) {
  const place = el("div.cards", {});
  const draw = (all) => place.replaceChildren(...(all.length ? all.map((one) => card(app, one, draw)) : [el("p.s.dim", {}, t("notify.none"))]));
  draw(await api.get(PATH));
  // What is being asked or answered on a card stays until it is over.
  part.every(4000, async () => {
    if (!place.contains(document.activeElement)) draw(await api.get(PATH).catch(() => []));
  });
  return el("section.panel", {}, el("h2", {}, icon("link"), t("notify.title")), el("div.pb", {},
    el("p.s.sub", {}, t("notify.what")),
    el("div.row.acts", {}, ...KINDS.map((kind) => button("plus", t(`notify.kind.${kind}`), () => edit(app, { kind, on: true, audit: true }, draw, true)))),
    place));
}

function card(app, one, draw) {
  const { settings } = one;
  const said = el("div.place", {});
  const counts = ["sent", "waiting", "dropped", "failed", ...(settings.commands ? ["commands", "refused"] : [])]
    .filter((key) => key === "sent" || one[key])
    .map((key) => t(`notify.count.${key}`, { n: one[key] })).join(" · ");
  const test = async () => {
    try {
      const { took_s } = await api.post(`${at(settings)}/test`, {});
      app.notes.say(t("notify.tested", { ms: Math.round(took_s * 1000) }), "ok");
    } catch (error) {
      said.replaceChildren(problemBox(error));
    }
  };
  const remove = async () => {
    if (!(await confirmLoss({ title: t("notify.remove.title", settings), lost: [t("notify.remove.lost")], kept: [], act: t("notify.remove") }))) return;
    try {
      draw(await api.remove(at(settings)));
    } catch (error) {
      app.notes.problem(error);
    }
  };
  return el("article.cam-card.panel", { "data-notify": `${settings.kind}/${settings.name}` },
    icon("link"), el("div.grow", {}, el("b", {}, `${t(`notify.kind.${settings.kind}`)} `, el("span.mono", {}, settings.name)),
      el("p.s.sub", {}, settings.url),
      el("p.s", {}, t(`notify.is.${one.standing}`), one.since_us ? ` · ${stamp(one.since_us)}` : "", ` · ${counts}`),
      one.error ? el("p.s.sub", {}, t("notify.last", { at: stamp(one.error_us) }), problemBox(one.error)) : null, said),
    el("div.row.acts", {}, settings.on ? button("", t("notify.test"), test) : null,
      button("", t("notify.edit"), () => edit(app, settings, draw, false)), button("", t("notify.remove"), remove, { cls: "danger" })));
}

function edit(app, was, draw, fresh) {
  const rows = [];
  const values = {};
  const add = (key, options) => {
    const { row, input } = field(t(`notify.${key}`), { value: was[key] ?? "", ...options });
    rows.push(row);
    values[key] = () => input.value.trim();
  };
  const check = (key) => {
    const input = el("input", { type: "checkbox", prop: { checked: !!was[key] } });
    rows.push(el("label.check", {}, input, t(`notify.${key}`)));
    values[key] = () => input.checked;
  };
  const { kind } = was;
  if (fresh) add("name", { required: true, pattern: "[a-z0-9][a-z0-9\\-]{0,31}" });
  check("on");
  add("url", { required: true, placeholder: URLS[kind] });
  if (kind === "mqtt") {
    add("user");
    add("credential", { required: true, hint: t("notify.credential.hint") });
    add("topic", { placeholder: "nvr/…" });
    check("commands");
    check("discovery");
  }
  if (kind === "syslog") check("audit");
  else add("secret", { type: "password", value: "", autocomplete: "new-password", hint: t(kind === "mqtt" ? "notify.secret.keep" : "notify.secret.hook") });
  add("events", { value: (was.events ?? []).join(" "), placeholder: "motion object.* input camera.lost", hint: t("notify.events.hint") });
  add("cameras", { value: (was.cameras ?? []).join(" "), hint: t("notify.cameras.hint") });
  add("ca", { placeholder: "ca.pem" });
  add("pin", { hint: t("notify.pin.hint") });
  const box = dialog({
    title: t(`notify.kind.${kind}`), wide: true,
    body: [form({
      rows, act: t("save"),
      onSubmit: async () => {
        const told = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value()]));
        const { name = was.name, secret, ...body } = told;
        body.events = list(body.events);
        body.cameras = list(body.cameras);
        if (secret) body.secret = secret;
        draw(await api.put(at({ kind, name }), body));
        box.close();
      },
    })],
    actions: [],
  });
}
