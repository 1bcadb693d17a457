// Cameras: what each does and since when; add by address; remove with what that loses.

import * as api from "../api.js";
import { el, put } from "../dom.js";
import { bitrate, clock, span, t, unit } from "../i18n.js";
import { icon } from "../icons.js";
import { codecName, whyWords } from "../tile.js";
import { causeWords } from "../timeline-draw.js";
import { captureFields, saveCapture } from "./capture.js";
import { deviceFields } from "./devices.js";
import { diagnosisPage } from "./diagnosis.js";
import { findPage } from "./find.js";
import { headDialog } from "./head.js";
import { lookDialog } from "./look.js";
import { planDialog, reportEvent } from "./plan.js";
import { encodeFields, saveEncode } from "./encode.js";
import { backfillFields, saveBackfill } from "./backfill.js";
import { carriedWords, reachFields, saveReach } from "./reach.js";
import { ADDRESS, LOCAL, apart, saveSub, subFields } from "./sub.js";
import { button, confirmLoss, dialog, field, form, iconButton } from "../ui.js";

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function camerasPage(app, host, part) {
  if (app.path.endsWith("/find") && app.box.admin) {
    findPage(app, host, part);
    return;
  }
  const [, one] = app.path.split("/");
  if (one) {
    await diagnosisPage(app, host, part, decodeURIComponent(one));
    return;
  }
  const list = el("div.cards", {});
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.cameras")), el("span.grow", {}),
      app.box.admin ? el("a.btn", { href: "#/manage/cameras/find" }, icon("scan"), el("span", {}, t("find.open"))) : null,
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
  const second = el("p.s.sub", { hidden: true });
  const now = app.box.may(name, "relay") ? iconButton("rec", t("plan.now"), () => reportEvent(app, name), "q") : null;
  const node = el("article.cam-card.panel", {},
    no,
    el("div.grow", {}, el("div.row", {}, title, el("span.mono.dim.xs", {}, name)), facts, why, second),
    state,
    el("div.row.acts", {},
      iconButton("field", t("diag.open"), () => app.go(`manage/cameras/${encodeURIComponent(name)}`), "q"),
      iconButton("live", t("nav.live"), () => app.go("live", { cam: name }), "q"),
      iconButton("back", t("nav.playback"), () => app.go("playback", { cam: name }), "q"),
      now,
      app.box.may(name, "config") ? iconButton("clock", t("plan.edit"), () => planDialog(app, name), "q") : null,
      app.box.may(name, "config") ? iconButton("scan", t("look.edit"), () => lookDialog(app, name), "q") : null,
      app.box.may(name, "config") ? iconButton("stick", t("head.edit"), () => headDialog(app, name), "q") : null,
      app.box.may(name, "config") ? iconButton("gear", t("camera.edit"), () => edit(app, name), "q") : null,
      app.box.admin ? iconButton("bin", t("camera.remove"), () => removal(app, name), "q") : null));
  return {
    node,
    draw(camera) {
      put(no, app.number(name));
      put(title, camera.title || camera.name);
      const parts = [codecName(camera.codec), camera.width_px ? `${camera.width_px} × ${camera.height_px}` : "", bitrate(camera.bitrate_bps)];
      if (camera.carried?.way && (camera.carried.way !== "tcp" || camera.carried.why)) parts.push(carriedWords(camera.carried));
      if (camera.recorded_until_us) parts.push(`${t("chip.disk")} ${t("ago", { span: span((app.box.now_us - camera.recorded_until_us) / 1e6) })}`);
      const gap = camera.not_recorded;
      if (now) now.hidden = gap?.cause !== "plan";
      // What is the matter with a camera itself stands beside it already.
      if (gap && gap.cause !== "camera") parts.push(t("rec.off"), causeWords(gap), t("since", { time: clock(gap.since_us) }));
      put(facts, parts.filter(Boolean).join(" · "));
      const bad = !["live", "connecting"].includes(camera.state);
      const degraded = camera.state === "live" && camera.health.state === "degraded";
      const kind = camera.state === "frozen" || degraded ? "warn" : bad ? "alarm" : "";
      state.className = `chip ${kind}`;
      put(state, degraded ? `${whyWords(camera.health)} · ${t("since", { time: clock(camera.health.since_us) })}` : camera.state === "live" ? t("state.live") : `${t(`state.${camera.state}`)} · ${t("since", { time: clock(camera.since_us) })}`);
      node.classList.toggle("alarm-card", kind === "alarm");
      node.classList.toggle("warn-card", kind === "warn" || camera.record_behind);
      drawSub(second, camera);
      const trouble = degraded ? camera.health.why[0].code : camera.state === "live" ? (camera.record_behind ? "record.behind" : "") : camera.code;
      why.hidden = !trouble;
      if (why.dataset.key === trouble) return;
      why.dataset.key = trouble;
      why.className = `s ${kind}`;
      why.replaceChildren(...(trouble ? [api.sentence(new api.Problem(0, trouble, camera.detail)), " ", el("span.code.mono", {}, trouble)] : []));
    },
  };
}

/** How the sub stream does, and what is the matter with it. @param {HTMLElement} node */
function drawSub(node, camera) {
  const { sub } = camera;
  node.hidden = !sub;
  if (!sub) return;
  const bad = !["live", "connecting"].includes(sub.state);
  const gap = sub.not_recorded;
  const parts = [t("stream.sub"), t(`state.${sub.state}`), codecName(sub.codec), sub.width_px ? `${sub.width_px} × ${sub.height_px}` : "", bitrate(sub.bitrate_bps)];
  if (!sub.recorded) parts.push(t("sub.watched"));
  else if (gap) parts.push(t("rec.off"), causeWords(gap), t("since", { time: clock(gap.since_us) }));
  if (sub.code) parts.push(api.sentence(new api.Problem(0, sub.code, sub.detail)), sub.code);
  node.className = `s ${bad ? "alarm" : "sub"}`;
  put(node, parts.filter(Boolean).join(" · "));
}

/** ASCII name from an address: rtsp://192.168.1.65/… becomes cam-65. */
function suggest(url, taken) {
  if (LOCAL.test(url)) url = url.startsWith("v4l2:") ? "rtsp://usb" : "rtsp://test";
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
  const sub = subFields();
  const devices = deviceFields((address, called) => {
    url.input.value = address;
    title.input.value ||= called;
    url.input.dispatchEvent(new Event("input"));
  });
  let touched = false;
  name.input.addEventListener("input", () => (touched = true));
  url.input.addEventListener("input", () => {
    // An address pasted with its password: take it apart, it must not stay in the address.
    const found = apart(url.input.value);
    if (found) {
      url.input.value = found.url;
      user.input.value = found.user;
      password.input.value = found.password;
    }
    sub.of(LOCAL.test(url.input.value.trim()));
    if (!touched) name.input.value = suggest(url.input.value, taken);
  });
  const box = dialog({
    title: t("camera.add"),
    body: [form({
      rows: [devices.row, title.row, url.row, el("div.two", {}, user.row, password.row), name.row, sub.row], act: t("camera.add"),
      onSubmit: async () => {
        const address = url.input.value.trim();
        if (!ADDRESS.test(address) && !LOCAL.test(address)) throw new api.Problem(0, "page.address", "");
        if (app.box.camera(name.input.value.trim())) throw new api.Problem(0, "page.taken", "");
        await api.post("/api/camera", { name: name.input.value.trim(), title: title.input.value.trim(), url: address, user: user.input.value, password: password.input.value, sub: sub.read(), ...devices.read(address) });
        await app.box.loadCameras();
        box.close();
        app.notes.say(t("camera.added", { title: title.input.value.trim() }), "ok");
      },
    })],
    actions: [],
  });
}

async function edit(app, name) {
  const camera = app.box.camera(name);
  let second, reached, missed, coded, report, taken;
  try {
    second = (await api.get(api.cameraPath(name, "/sub"))).sub;
    reached = await api.get(api.cameraPath(name, "/reach"));
    missed = await api.get(api.cameraPath(name, "/backfill"));
    coded = (await api.get(api.cameraPath(name, "/encode"))).encode;
    report = coded ? await api.get("/api/encoder") : null;
    taken = await api.get(api.cameraPath(name, "/capture"));
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const sub = subFields(second, { long: true, local: Boolean(coded ?? taken.capture) });
  const reach = reachFields(reached);
  const missing = backfillFields(missed);
  const coding = encodeFields(coded, report);
  const taking = captureFields(taken);
  const title = field(t("camera.title"), { required: true, value: camera.title, max: 64 });
  const user = field(t("camera.user"), { hint: t("camera.login.hint"), max: 64 });
  const password = field(t("user.password"), { type: "password", autocomplete: "new-password", hint: t("camera.password.hint"), max: 128 });
  const retain = field(t("camera.retain"), { required: true, value: String(camera.retain_h), pattern: "[1-9][0-9]{0,3}", max: 4, hint: t("camera.retain.hint") });
  const number = (key, digits) => field(t(`camera.${key}`), { value: camera[key] ? String(camera[key]) : "", pattern: digits, max: 8, hint: t(`camera.${key}.hint`) });
  const more = { guaranteed_h: number("guaranteed_h", "[0-9]{1,4}"), limit_h: number("limit_h", "[0-9]{1,5}"), limit_gb: number("limit_gb", "[0-9]{1,6}(\\.[0-9]{1,2})?") };
  const box = dialog({
    title: t("camera.edit"),
    body: [form({ rows: [title.row, el("div.two", {}, user.row, password.row), el("div.two", {}, retain.row, more.guaranteed_h.row), el("div.two", {}, more.limit_h.row, more.limit_gb.row), taking.row, coding.row, coding.row ? null : reach.row, coding.row ? null : missing.row, sub.row].filter(Boolean), act: t("save"), onSubmit: async () => {
      const change = {};
      if (title.input.value.trim() !== camera.title) change.title = title.input.value.trim();
      if (user.input.value) change.user = user.input.value;
      if (password.input.value) change.password = password.input.value;
      if (Number(retain.input.value) !== camera.retain_h) change.retain_h = Number(retain.input.value);
      for (const [key, { input }] of Object.entries(more)) if (Number(input.value) !== camera[key]) change[key] = Number(input.value);
      const most_h = Number(more.limit_h.input.value);
      if (most_h && most_h <= Number(retain.input.value)) throw new api.Problem(0, "page.format", "", { label: t("camera.limit_h") });
      if (Number(more.guaranteed_h.input.value) > Number(retain.input.value)) throw new api.Problem(0, "page.format", "", { label: t("camera.guaranteed_h") });
      const next = sub.read();
      if (!(await sureOfLimits(camera, change)) || !(await sureOfSub(camera, second, next))) return;
      if (Object.keys(change).length) await api.patch(api.cameraPath(name), change);
      await saveCapture(name, taken.capture, taking.read());
      await saveEncode(name, coded, coding.read());
      await saveSub(name, second, next);
      await saveReach(name, reach.read());
      if (!coding.row) await saveBackfill(name, missing.read());
      await app.box.loadCameras();
      box.close();
    } })],
    actions: [],
  });
}

/** Nothing more of it is recorded, or what there is goes sooner: ask first. */
async function sureOfSub(camera, before, now) {
  if (!before) return true;
  if (now) return sureOfLimits({ ...before, title: `${camera.title || camera.name} · ${t("stream.sub")}` }, now);
  return confirmLoss({
    title: t("sub.remove.title", { title: camera.title || camera.name }),
    lost: [t("sub.remove.live"), t("sub.remove.rec")],
    kept: [t("sub.remove.kept"), t("sub.remove.main")],
    act: t("sub.remove"),
  });
}

/** A limit that is new or lower erases for good: ask first. */
async function sureOfLimits(camera, change) {
  const lower = ["limit_h", "limit_gb"].filter((key) => change[key] && (!camera[key] || change[key] < camera[key]));
  if (!lower.length) return true;
  return confirmLoss({
    title: t("limit.title", { title: camera.title || camera.name }),
    lost: lower.map((key) => t(`limit.${key}`, { value: key === "limit_h" ? span(change[key] * 3600) : unit(change[key], "GB") })),
    kept: [t("limit.kept")],
    act: t("limit.do"),
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
    const { left } = await api.remove(api.cameraPath(name));
    await app.box.loadCameras();
    app.notes.say(t("camera.removed", { title: camera.title || name }), "ok");
    if (left) app.notes.say(t("camera.left", { left }), "warn");
  } catch (error) {
    app.notes.problem(error);
  }
}
