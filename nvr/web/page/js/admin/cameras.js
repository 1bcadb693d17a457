// Cameras: what each does and since when; add by address; remove with what that loses.

import * as api from "../api.js";
import { el, put } from "../dom.js";
import { bitrate, clock, span, t } from "../i18n.js";
import { icon } from "../icons.js";
import { codecName } from "../tile.js";
import { causeWords } from "../timeline-draw.js";
import { headDialog } from "./head.js";
import { button, confirmLoss, dialog, field, form, iconButton } from "../ui.js";

const ADDRESS = /^rtsps?:\/\/[^/\s@]+(\/\S*)?$/i;

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function camerasPage(app, host, part) {
  const list = el("div.cards", {});
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.cameras")), el("span.grow", {}),
      app.box.admin ? button("plus", t("camera.add"), () => add(app), { cls: "p" }) : null), list);
  const rows = new Map();
  const draw = () => {
    const { cameras } = app.box;
    list.classList.toggle("none", !cameras.length);
    if (!cameras.length) {
      list.replaceChildren(el("div.blank", {}, icon("cam", "xl"), el("h2", {}, t("empty.cameras")), el("p.sub", {}, t("empty.cameras.do"))));
      rows.clear();
      return;
    }
    list.querySelector(".blank")?.remove();
    for (const [name, row] of rows) {
      if (cameras.some((camera) => camera.name === name)) continue;
      row.node.remove();
      rows.delete(name);
    }
    for (const camera of cameras) {
      let row = rows.get(camera.name);
      if (!row) {
        row = card(app, camera.name);
        rows.set(camera.name, row);
        list.append(row.node);
      }
      row.draw(camera);
    }
  };
  part.listen(app.box, "cameras", draw);
  draw();
  if (app.query.add && app.box.admin) add(app);
}

function card(app, name) {
  const no = el("span.no", {});
  const title = el("b", {});
  const facts = el("span.sub.s", {});
  const state = el("span.chip", {});
  const why = el("p.s", {});
  const node = el("article.cam-card.panel", {},
    no,
    el("div.grow", {}, el("div.row", {}, title, el("span.mono.dim.xs", {}, name)), facts, why),
    state,
    el("div.row.acts", {},
      iconButton("live", t("nav.live"), () => app.go("live", { cam: name }), "q"),
      iconButton("back", t("nav.playback"), () => app.go("playback", { cam: name }), "q"),
      app.box.may(name, "config") ? iconButton("stick", t("head.edit"), () => headDialog(app, name), "q") : null,
      app.box.may(name, "config") ? iconButton("gear", t("camera.edit"), () => edit(app, name), "q") : null,
      app.box.admin ? iconButton("bin", t("camera.remove"), () => removal(app, name), "q") : null));
  return {
    node,
    draw(camera) {
      put(no, app.number(name));
      put(title, camera.title || camera.name);
      const parts = [codecName(camera.codec), camera.width_px ? `${camera.width_px} × ${camera.height_px}` : "", bitrate(camera.bitrate_bps)];
      if (camera.recorded_until_us) parts.push(`${t("chip.disk")} ${t("ago", { span: span((app.box.now_us - camera.recorded_until_us) / 1e6) })}`);
      const gap = camera.not_recorded;
      // What is the matter with a camera itself stands beside it already.
      if (gap && gap.cause !== "camera") parts.push(t("rec.off"), causeWords(gap), t("since", { time: clock(gap.since_us) }));
      put(facts, parts.filter(Boolean).join(" · "));
      const bad = !["live", "connecting"].includes(camera.state);
      const kind = camera.state === "frozen" ? "warn" : bad ? "alarm" : "";
      state.className = `chip ${kind}`;
      put(state, camera.state === "live" ? t("state.live") : `${t(`state.${camera.state}`)} · ${t("since", { time: clock(camera.since_us) })}`);
      node.classList.toggle("alarm-card", kind === "alarm");
      node.classList.toggle("warn-card", kind === "warn" || camera.record_behind);
      const trouble = camera.state === "live" ? (camera.record_behind ? "record.behind" : "") : camera.code;
      why.hidden = !trouble;
      if (why.dataset.key === trouble) return;
      why.dataset.key = trouble;
      why.className = `s ${kind}`;
      why.replaceChildren(...(trouble ? [api.sentence(new api.Problem(0, trouble, camera.detail)), " ", el("span.code.mono", {}, trouble)] : []));
    },
  };
}

/** Text of a part of an address; a bare % in a password is no code of a letter. @param {string} text */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** ASCII name from an address: rtsp://192.168.1.65/… becomes cam-65. */
function suggest(url, taken) {
  const host = /^rtsps?:\/\/([^/:\s]+)/i.exec(url)?.[1] ?? "";
  const tail = /(\d+)$/.exec(host)?.[1] ?? host.split(".")[0].toLowerCase().replace(/[^a-z0-9-]/g, "");
  const base = `cam-${tail || "1"}`.slice(0, 28);
  let name = base;
  for (let count = 2; taken.has(name); count += 1) name = `${base}-${count}`;
  return name;
}

function add(app) {
  const taken = new Set(app.box.cameras.map((camera) => camera.name));
  const title = field(t("camera.title"), { required: true, hint: t("camera.title.hint"), max: 64 });
  const url = field(t("camera.url"), { required: true, hint: t("camera.url.hint"), placeholder: "rtsp://192.168.1.65:554/…" });
  const user = field(t("camera.user"), {});
  const password = field(t("user.password"), { type: "password", autocomplete: "new-password", hint: t("camera.password.hint") });
  const name = field(t("camera.name"), { required: true, hint: t("camera.name.hint"), pattern: "[a-z0-9][a-z0-9\\-]{0,31}", max: 32 });
  let touched = false;
  name.input.addEventListener("input", () => (touched = true));
  url.input.addEventListener("input", () => {
    // An address pasted with its password: take it apart, it must not stay in the address.
    const found = /^(rtsps?:\/\/)([^:@/\s]+):?([^/\s]*)@(.+)$/i.exec(url.input.value.trim());
    if (found) {
      url.input.value = found[1] + found[4];
      user.input.value = plain(found[2]);
      password.input.value = plain(found[3]);
    }
    if (!touched) name.input.value = suggest(url.input.value, taken);
  });
  const box = dialog({
    title: t("camera.add"),
    body: [form({
      rows: [title.row, url.row, el("div.two", {}, user.row, password.row), name.row], act: t("camera.add"),
      onSubmit: async () => {
        const address = url.input.value.trim();
        if (!ADDRESS.test(address)) throw new api.Problem(0, "page.address", "");
        if (app.box.camera(name.input.value.trim())) throw new api.Problem(0, "page.taken", "");
        await api.post("/api/camera", { name: name.input.value.trim(), title: title.input.value.trim(), url: address, user: user.input.value, password: password.input.value });
        await app.box.loadCameras();
        box.close();
        app.notes.say(t("camera.added", { title: title.input.value.trim() }), "ok");
      },
    })],
    actions: [],
  });
}

function edit(app, name) {
  const camera = app.box.camera(name);
  const title = field(t("camera.title"), { required: true, value: camera.title, max: 64 });
  const user = field(t("camera.user"), { hint: t("camera.login.hint"), max: 64 });
  const password = field(t("user.password"), { type: "password", autocomplete: "new-password", hint: t("camera.password.hint"), max: 128 });
  const retain = field(t("camera.retain"), { required: true, value: String(camera.retain_h), pattern: "[1-9][0-9]{0,3}", max: 4, hint: t("camera.retain.hint") });
  const box = dialog({
    title: t("camera.edit"),
    body: [form({ rows: [title.row, el("div.two", {}, user.row, password.row), retain.row], act: t("save"), onSubmit: async () => {
      const change = {};
      if (title.input.value.trim() !== camera.title) change.title = title.input.value.trim();
      if (user.input.value) change.user = user.input.value;
      if (password.input.value) change.password = password.input.value;
      if (Number(retain.input.value) !== camera.retain_h) change.retain_h = Number(retain.input.value);
      if (Object.keys(change).length) await api.patch(api.cameraPath(name), change);
      await app.box.loadCameras();
      box.close();
    } })],
    actions: [],
  });
}

async function removal(app, name) {
  const camera = app.box.camera(name);
  const sure = await confirmLoss({
    title: t("camera.remove.title", { title: camera.title || name }),
    lost: [t("camera.remove.live"), t("camera.remove.rec")],
    kept: [t("camera.remove.kept"), t("camera.remove.others")],
    act: t("camera.remove"),
  });
  if (!sure) return;
  try {
    await api.remove(api.cameraPath(name));
    await app.box.loadCameras();
    app.notes.say(t("camera.removed", { title: camera.title || name }), "ok");
  } catch (error) {
    app.notes.problem(error);
  }
}
