// Cameras on the network: found, logged in to, watched for real, set right, and made the box's own.

import * as api from "../api.js";
import { el, put } from "../dom.js";
import { bitrate, span, t } from "../i18n.js";
import { icon } from "../icons.js";
import { codecName } from "../tile.js";
import { button, dialog, field, form, problemBox } from "../ui.js";

const CHECKS = ["picture", "gop", "clock", "factory", "sub"];

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export function findPage(app, host, part) {
  const page = { app, rows: /** @type {Map<string, any>} */ (new Map()), login: { user: "admin", password: "" }, searching: false };
  const head = el("h2", {});
  const lead = el("p.sub", {});
  const list = el("div.found", {});
  const place = el("div.place", {});
  const again = button("scan", t("find.again"), () => search(""));
  const go = button("", "", () => adoptAll(), { cls: "p wide" });
  const login = button("lock", t("find.login.all"), () => loginDialog(page, null, () => lookAll(waiting())));
  host.replaceChildren(
    el("div.find", {},
      el("section.find-main", {}, head, lead, place, list,
        el("div.find-act", {}, el("a.btn", { href: "#/manage/cameras" }, icon("left"), el("span", {}, t("find.back"))), again, el("span.grow", {}), login, go)),
      el("aside.find-why", {},
        el("h3", {}, t("find.checks")),
        el("ul", {}, ...CHECKS.map((key) => el("li.row", {}, icon("ok", "ok"), el("span", {}, t(`find.check.${key}`))))),
        el("h3", {}, t("find.missing")), el("p.sub.s", {}, t("find.missing.do")),
        button("plus", t("find.address"), () => addressDialog()))));
  const all = () => [...page.rows.values()];
  const waiting = () => all().filter((row) => !row.busy && !row.known && !row.added && (!row.view || row.view.findings.some((one) => one.cure === "login")));
  const good = () => all().filter((row) => row.view?.good && !row.added && !row.known);
  const worst = (row) => (row.added || row.known ? 4 : !row.view ? 2 : !row.view.good ? 0 : row.view.findings.some((one) => one.weight === "warn") ? 1 : 3);

  function draw() {
    const found = all().filter((row) => !row.known);
    const bad = found.filter((row) => row.view && !row.added && worst(row) < 2);
    const busy = found.filter((row) => row.busy).length;
    put(head, page.searching ? t("find.searching") : bad.length ? t("find.some", { count: found.length, bad: bad.length }) : t("find.count", { count: found.length }));
    put(lead, page.searching ? t("find.searching.lead") : busy ? t("find.looking", { count: busy }) : found.length ? t("find.lead") : t("find.none"));
    list.replaceChildren(...all().sort((a, b) => worst(a) - worst(b)).map((row) => row.node));
    const ready = good().length;
    go.hidden = !ready;
    put(go.querySelector("span") ?? go, t("find.go", { count: ready }));
    if (!go.firstChild) go.append(el("span", {}, t("find.go", { count: ready })));
    login.hidden = !waiting().length;
    again.disabled = page.searching;
  }

  async function search(where) {
    page.searching = true;
    place.replaceChildren();
    draw();
    try {
      const { found } = await api.post("/api/find", { where });
      for (const one of found) if (!page.rows.has(one.address)) page.rows.set(one.address, row(one));
      if (where && !found.length) add(where);
    } catch (error) {
      place.replaceChildren(problemBox(error));
    }
    page.searching = false;
    draw();
  }

  /** An address that answers no search may be a camera all the same. */
  function add(address) {
    if (/\/\d+$/.test(address)) return;
    if (!page.rows.has(address)) page.rows.set(address, row({ address, name: "", hardware: "", known: "" }));
  }

  function row(one) {
    const it = { ...one, login: null, view: null, busy: false, added: false, node: el("article.cr", {}) };
    it.draw = () => drawRow(it, { look, cure, ask: () => loginDialog(page, it, () => look(it)), adopt: () => adopt(it).then(draw) });
    it.draw();
    return it;
  }

  async function look(it) {
    if (it.busy) return;
    it.busy = true;
    it.problem = null;
    it.draw();
    draw();
    try {
      it.view = await api.post("/api/find/examine", body(page, it));
    } catch (error) {
      it.problem = error;
    }
    it.busy = false;
    it.draw();
    draw();
  }

  /** Two at a time: each is watched for seconds, and the box has other things to do. */
  async function lookAll(rows) {
    const left = [...rows];
    const next = async () => {
      for (let it = left.shift(); it && !part.life.aborted; it = left.shift()) await look(it);
    };
    await Promise.all([next(), next()]);
  }

  async function cure(it, what) {
    it.busy = true;
    it.draw();
    try {
      await api.post("/api/find/cure", { ...body(page, it), what });
    } catch (error) {
      app.notes.problem(error);
    }
    it.busy = false;
    await look(it);
  }

  async function adopt(it) {
    it.busy = true;
    it.draw();
    try {
      const name = free(app, it.view.name);
      await api.post("/api/find/adopt", { ...body(page, it), name, title: it.title?.value.trim() || it.view.title });
      it.added = true;
      await app.box.loadCameras();
    } catch (error) {
      it.problem = error;
    }
    it.busy = false;
    it.draw();
  }

  async function adoptAll() {
    const rows = good();
    for (const it of rows) await adopt(it);
    draw();
    const done = rows.filter((it) => it.added).length;
    if (done) app.notes.say(t("find.added", { count: done }), "ok");
    if (done === rows.length && !all().some((it) => !it.added && !it.known)) app.go("manage/cameras");
  }

  function addressDialog() {
    const where = field(t("find.where"), { required: true, hint: t("find.where.hint"), placeholder: "192.168.1.65", max: 64 });
    const box = dialog({ title: t("find.address"), body: [form({ rows: [where.row], act: t("find.again"), onSubmit: async () => {
      const text = where.input.value.trim();
      box.close();
      await search(text);
    } }), el("a.sub.s", { href: "#/manage/cameras?add=1", on: { click: () => box.close() } }, t("find.rtsp"))], actions: [] });
  }

  draw();
  search("");
}

const body = (page, it) => ({ address: it.address, ...(it.login ?? page.login) });

/** A name that no camera has, nor one added a moment ago. */
function free(app, wanted) {
  const taken = new Set(app.box.cameras.map((camera) => camera.name));
  let name = wanted;
  for (let count = 2; taken.has(name); count += 1) name = `${wanted}-${count}`;
  return name;
}

/** Ask for a log-in: of one camera, or of all that wait. */
function loginDialog(page, it, then) {
  const before = it?.login ?? page.login;
  const user = field(t("camera.user"), { value: before.user, max: 64 });
  const password = field(t("user.password"), { type: "password", autocomplete: "new-password", hint: t("find.login.hint"), max: 128 });
  const box = dialog({ title: it ? t("find.login") : t("find.login.all"), body: [form({ rows: [user.row, password.row], act: t("find.look"), onSubmit: () => {
    const said = { user: user.input.value.trim(), password: password.input.value };
    if (it) it.login = said;
    else page.login = said;
    box.close();
    then();
  } })], actions: [] });
}

function drawRow(it, act) {
  const { view, node } = it;
  const finding = view?.findings.find((one) => one.weight !== "note");
  const weight = it.problem ? "alarm" : finding?.weight ?? "";
  node.className = `cr ${it.added ? "" : weight === "alarm" ? "a" : weight === "warn" ? "w" : ""}`;
  const main = view?.main;
  const facts = [el("span.mono", {}, it.address)];
  const about = view?.maker ? `${view.maker} ${view.model}`.trim() : it.hardware;
  if (about) facts.push(el("span", {}, about));
  if (main?.codec) facts.push(el("span", {}, `${main.width_px} × ${main.height_px} · ${Math.round(main.fps)}/s ${codecName(main.codec)}`), el("span", {}, bitrate(main.kbit_s * 1000)));
  if (main?.gop_s) facts.push(el("span", {}, t("find.gop", { span: span(main.gop_s) })));
  if (view?.sub?.codec) facts.push(el("span", {}, `${t("stream.sub")} ${view.sub.width_px} × ${view.sub.height_px}`));
  let title = el("b", {}, it.added ? it.title?.value || view.title : it.name || about || it.address);
  if (view?.good && !it.added && !it.known) {
    it.title ??= el("input.field-in", { value: it.name || view.title, maxlength: "64", "aria-label": t("camera.title") });
    title = it.title;
  }
  const says = it.problem ? [it.problem] : (view?.findings ?? []).map((one) => Object.assign(new api.Problem(0, one.code, one.detail, shown(one.values)), { weight: one.weight }));
  node.replaceChildren(
    el("div.find-pic", {}, picture(it) ?? (it.busy ? el("span.spin", {}) : icon(finding?.cure === "login" ? "lock" : it.added ? "ok" : "cam", "xl"))),
    el("div.find-text", {}, title, el("div.facts", {}, ...facts),
      ...says.map((one) => el(`div.fx.${one.weight ?? "alarm"}`, {}, api.sentence(one), " ", el("span.code.mono", {}, api.codeOf(one))))),
    el("div.find-do", {}, ...actions(it, finding, act)));
}

/** What was seen of it, null if nothing was; drawn, for the page shows no images but its own. */
function picture(it) {
  if (!it.view?.picture) return null;
  if (it.drawn !== it.view) {
    it.drawn = it.view;
    const canvas = el("canvas", { width: 224, height: 126 });
    it.canvas = canvas;
    const bytes = Uint8Array.from(atob(it.view.picture), (c) => c.charCodeAt(0));
    createImageBitmap(new Blob([bytes], { type: "image/jpeg" })).then((seen) => {
      canvas.height = Math.round((224 * seen.height) / seen.width);
      canvas.getContext("2d")?.drawImage(seen, 0, 0, 224, canvas.height);
    }, () => canvas.remove());
  }
  return it.canvas;
}

function actions(it, finding, act) {
  if (it.known && !it.view) return [el("span.chip", {}, t("find.known", { name: it.known })), button("", t("find.look"), act.ask)];
  if (it.added) return [el("span.chip.ok", {}, icon("ok"), t("find.recorded"))];
  if (it.busy) return [el("span.sub.s", {}, t("find.watching"))];
  if (!it.view) return [button("lock", t("find.enter"), act.ask, { cls: "go" })];
  const cures = [...new Set(it.view.findings.map((one) => one.cure).filter(Boolean))];
  const made = cures.map((cure) => (cure === "login" ? button("lock", t("find.enter"), act.ask, { cls: "go" }) : button("", t(`find.cure.${cure}`), () => act.cure(it, cure))));
  if (!finding) made.push(el("span.chip.ok", {}, icon("ok"), t("find.good")));
  if (it.problem || (finding?.weight === "alarm" && !cures.length)) made.push(button("sync", t("find.retry"), () => act.look(it)));
  return made;
}

/** Numbers of a finding as its sentence shows them. */
function shown(values) {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, key.endsWith("_s") ? span(Math.abs(value)) : String(value)]));
}
