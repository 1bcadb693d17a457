// Looking at a camera's pictures: zones drawn over the live picture, with what moves now and whether
// that would be an event.

import * as api from "../api.js";
import { el, put } from "../dom.js";
import { t } from "../i18n.js";
import { kindWords } from "../happened.js";
import { Player } from "../player.js";
import { objectsPart } from "./objects.js";
import { button, dialog, field, form } from "../ui.js";

const HEALTH = ["signal", "dark", "bright", "covered", "moved", "defocused", "frozen"];
const POLL_MS = 500;
const MOST = 8;
const MOST_POINTS = 16;
const NEAR_PX = 22;

/** @typedef {{name: string, points_permille: [number, number][], sensitivity: number, ignore: boolean}} Zone */

/** Polygons over a picture: corners are dragged or moved with the arrow keys. */
class Zones {
  /** @type {Zone[]} */
  zones;
  chosen = -1;
  #corner = -1;
  #cells = new Uint8Array(0);
  #grid = [80, 45];

  /** @param {Zone[]} zones @param {() => void} changed */
  constructor(zones, changed) {
    this.zones = zones;
    this.changed = changed;
    this.canvas = el("canvas.zone-canvas", { tabindex: "0", role: "application", "aria-label": t("look.zones"), on: {
      pointerdown: (event) => this.#down(event),
      pointermove: (event) => event.buttons && this.#move(event),
      keydown: (event) => this.#key(event),
    } });
  }

  /** @param {string} text Bits in base64. @param {[number, number]} grid */
  show(text, grid) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    this.#cells = new Uint8Array(bytes.length * 8).map((_, n) => (bytes[n >> 3] >> (7 - (n & 7))) & 1);
    this.#grid = grid;
    this.draw();
  }

  add(ignore) {
    const by = this.zones.length * 30;
    const at = (x, y) => /** @type {[number, number]} */ ([x + by, y + by]);
    this.zones.push({ name: "", points_permille: [at(150, 150), at(550, 150), at(550, 650), at(150, 650)], sensitivity: 0, ignore });
    this.chosen = this.zones.length - 1;
    this.#corner = 2;
    this.changed();
  }

  drop() {
    this.zones.splice(this.chosen, 1);
    this.chosen = -1;
    this.changed();
  }

  /** One corner more in the middle of the longest side, or the chosen one less. */
  corner(more) {
    const { points_permille: points } = this.zones[this.chosen];
    if (!more && points.length > 3) points.splice(Math.max(0, this.#corner), 1);
    if (more && points.length < MOST_POINTS) {
      const sides = points.map(([x, y], n) => { const [u, v] = points[(n + 1) % points.length]; return Math.hypot(u - x, v - y); });
      const n = sides.indexOf(Math.max(...sides));
      const [[x, y], [u, v]] = [points[n], points[(n + 1) % points.length]];
      points.splice(n + 1, 0, [Math.round((x + u) / 2), Math.round((y + v) / 2)]);
      this.#corner = n + 1;
    }
    this.changed();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #px([x, y]) {
    return [(x * this.canvas.clientWidth) / 1000, (y * this.canvas.clientHeight) / 1000];
  }

  #down(event) {
    const [x, y] = this.#place(event);
    const near = (zone) => zone.points_permille.map((point) => { const [u, v] = this.#px(point); return Math.hypot(u - x, v - y); });
    const order = [this.chosen, ...this.zones.keys()].filter((n) => n >= 0);
    this.#corner = -1;
    for (const n of order) {
      const far = near(this.zones[n]);
      const least = Math.min(...far);
      if (least > NEAR_PX) continue;
      this.chosen = n;
      this.#corner = far.indexOf(least);
      this.canvas.setPointerCapture(event.pointerId);
      break;
    }
    if (this.#corner < 0) this.chosen = this.zones.findLastIndex((zone) => this.#inside(zone, x, y));
    this.changed();
  }

  #inside(zone, x, y) {
    let inside = false;
    const points = zone.points_permille.map((point) => this.#px(point));
    points.forEach(([ax, ay], n) => {
      const [bx, by] = points[(n + 1) % points.length];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
    });
    return inside;
  }

  #move(event) {
    const zone = this.zones[this.chosen];
    if (!zone || this.#corner < 0) return;
    const [x, y] = this.#place(event);
    this.#set(zone, (x * 1000) / this.canvas.clientWidth, (y * 1000) / this.canvas.clientHeight);
  }

  #set(zone, x, y) {
    const limit = (value) => Math.min(1000, Math.max(0, Math.round(value)));
    zone.points_permille[this.#corner] = [limit(x), limit(y)];
    this.draw();
  }

  #key(event) {
    const by = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    const zone = this.zones[this.chosen];
    if (!by || !zone) return;
    event.preventDefault();
    event.stopPropagation();
    this.#corner = Math.max(0, this.#corner);
    const [x, y] = zone.points_permille[this.#corner];
    this.#set(zone, x + by[0], y + by[1]);
  }

  draw() {
    const { canvas } = this;
    const [wide, tall] = [canvas.clientWidth, canvas.clientHeight];
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(tall * ratio);
    const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [columns, rows] = this.#grid;
    ctx.fillStyle = "rgb(88 196 240 / .55)";
    this.#cells.forEach((on, n) => on && ctx.fillRect(((n % columns) * wide) / columns, (Math.floor(n / columns) * tall) / rows, wide / columns + 0.5, tall / rows + 0.5));
    this.zones.forEach((zone, n) => {
      const chosen = n === this.chosen;
      ctx.beginPath();
      for (const point of zone.points_permille) ctx.lineTo(...this.#px(point));
      ctx.closePath();
      ctx.fillStyle = zone.ignore ? "rgb(0 0 0 / .45)" : chosen ? "rgb(88 196 240 / .18)" : "rgb(255 255 255 / .1)";
      ctx.fill();
      ctx.lineWidth = chosen ? 3 : 2;
      ctx.setLineDash(zone.ignore ? [6, 5] : []);
      ctx.strokeStyle = "#000";
      ctx.stroke();
      ctx.lineWidth -= 1;
      ctx.strokeStyle = chosen ? "#58c4f0" : "#fff";
      ctx.stroke();
      ctx.setLineDash([]);
      if (!chosen) return;
      zone.points_permille.forEach((point, k) => {
        const [x, y] = this.#px(point);
        ctx.beginPath();
        ctx.arc(x, y, k === this.#corner ? 9 : 7, 0, 7);
        ctx.fillStyle = k === this.#corner ? "#58c4f0" : "#fff";
        ctx.fill();
        ctx.strokeStyle = "#000";
        ctx.stroke();
      });
    });
  }
}

/** @param {any} app @param {string} name */
export async function lookDialog(app, name) {
  const path = api.cameraPath(name, "/analyse");
  let now, detector;
  try {
    ({ analyse: now, detector } = await api.get(path));
  } catch (error) {
    app.notes.problem(error);
    return;
  }
  const camera = app.box.camera(name);
  const set = now ?? { on: true, purpose: "", motion: true, sensitivity: 5, zones: [], health: [...HEALTH], record_on: ["motion"], keep_h: 0 };
  const purpose = field(t("look.purpose"), { value: set.purpose || t("look.purpose.usual"), max: 200, hint: t("look.purpose.hint") });
  const sense = el("input", { type: "range", min: "1", max: "10", prop: { value: String(set.sensitivity) }, "aria-label": t("look.sense") });
  const check = (key, label, on) => {
    const input = el("input", { type: "checkbox", prop: { checked: on }, data: { key } });
    return { input, row: el("label.check", {}, input, el("span", {}, label)) };
  };
  const on = check("on", t("look.on"), set.on);
  const motion = check("motion", t("look.motion.do"), set.motion);
  const record = check("record", t("look.record"), set.record_on.includes("motion"));
  const objects = objectsPart(set.objects, detector, set.record_on.includes("object"));
  const health = HEALTH.map((key) => check(key, t(`look.${key}`), set.health.includes(key)));

  const video = el("video", { muted: true, playsinline: true, poster: api.cameraPath(name, "/snapshot.jpg?width=960"), disablepictureinpicture: true, prop: { muted: true } });
  const direct = el("canvas", { hidden: true });
  const editor = new Zones(set.zones, () => draw());
  const list = el("div.zone-list", {});
  const state = el("p.hint", { role: "status" });
  /** @type {{name: string, cells: number, least: number}[]} */
  let seen = [];
  const meter = (one) => one && el("meter", { min: "0", max: String(Math.max(one.least * 2, 1)), high: String(one.least), value: String(Math.min(one.cells, one.least * 2)), title: `${one.cells} / ${one.least}` });
  const draw = () => {
    editor.draw();
    list.replaceChildren(...editor.zones.map((zone, n) => {
      const label = el("input.field-in", { maxlength: "64", "aria-label": t("look.zone.name"), prop: { value: zone.name }, placeholder: t("look.zone.name"), on: { input: () => (zone.name = label.value), focus: () => { if (editor.chosen !== n) { editor.chosen = n; editor.draw(); } } } });
      return el("div.zone", { class: n === editor.chosen ? "zone on" : "zone" }, label, zone.ignore ? el("span.chip", {}, t("look.ignored")) : meter(seen.find((one) => one.name === zone.name)));
    }), ...(editor.zones.some((zone) => !zone.ignore) ? [] : [el("div.zone", {}, el("span", {}, t("look.whole")), meter(seen[0]))]));
    for (const node of tools.querySelectorAll("[data-of]")) node.disabled = editor.chosen < 0;
  };
  const of = (node) => { node.dataset.of = "zone"; return node; };
  const tools = el("div.row.wrap", {},
    button("plus", t("look.zone.add"), () => (editor.zones.filter((zone) => !zone.ignore).length < MOST ? editor.add(false) : app.notes.say(t("plan.many", { n: MOST }), "warn"))),
    button("eyeoff", t("look.zone.ignore"), () => editor.zones.length < 12 && editor.add(true)),
    of(button("plus", t("look.corner.more"), () => editor.corner(true), { cls: "q" })),
    of(button("minus", t("look.corner.less"), () => editor.corner(false), { cls: "q" })),
    of(button("bin", t("look.zone.drop"), () => editor.drop(), { cls: "q" })));

  const player = new Player(video, direct, name, () => app.box.rtt_ms);
  player.setStream(camera?.sub ? "sub" : "main");
  player.open();
  const poll = async () => {
    try {
      const look = await api.get(`${path}/now`);
      seen = look.zones;
      if (look.cells) editor.show(look.cells, look.grid);
      const going = look.on.map((kind) => kindWords({ kind, zone: "" })).join(t("comma"));
      const said = [t(`look.state.${look.state}`), look.state === "failed" ? api.sentence(new api.Problem(0, look.code, "")) : "", going,
        look.keys_only ? t(look.slow ? "look.slow" : "look.keys") : "", look.state === "looking" ? t("look.cost", { percent: (look.cpu_permille / 10).toFixed(1) }) : ""];
      put(state, said.filter(Boolean).join(" · "));
      if (!list.contains(document.activeElement)) draw();
    } catch {
      // The next one tries again.
    }
  };
  const timer = setInterval(poll, POLL_MS);
  const size = new ResizeObserver(() => editor.draw());
  const close = () => {
    clearInterval(timer);
    size.disconnect();
    player.close();
  };
  const chosen = () => ({
    on: on.input.checked, purpose: purpose.input.value.trim(), motion: motion.input.checked, sensitivity: Number(sense.value),
    zones: editor.zones.map((zone, n) => ({ ...zone, name: zone.name.trim() || `${t("look.zone")} ${n + 1}` })),
    health: health.filter((one) => one.input.checked).map((one) => one.input.dataset.key),
    record_on: [...set.record_on.filter((kind) => kind !== "motion" && kind !== "object"), ...(record.input.checked ? ["motion"] : []), ...(objects.records ? ["object"] : [])],
    keep_h: set.keep_h, objects: objects.value,
  });
  dialog({
    title: t("look.title", { title: camera?.title || name }), wide: true, onClose: close, actions: [],
    body: [
      el("div.look-pic", {}, video, direct, editor.canvas), state, tools, list,
      form({
        rows: [
          el("div.two", {}, on.row, motion.row),
          el("div.field", {}, el("label", {}, t("look.sense")), el("div.row", {}, el("small.sub", {}, t("look.sense.low")), sense, el("small.sub", {}, t("look.sense.high")))),
          purpose.row, record.row, objects.row,
          el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("look.health")), el("div.checks", {}, ...health.map((one) => one.row)))],
        act: t("save"),
        extra: [button("ok", t("look.accept"), async () => {
          try {
            await api.post(`${path}/accept`);
            app.notes.say(t("look.accepted"), "ok");
          } catch (error) {
            app.notes.problem(error);
          }
        }, { cls: "q", title: t("look.accept.hint") })],
        onSubmit: async () => {
          const made = (await api.put(path, chosen())).analyse;
          editor.zones.splice(0, editor.zones.length, ...made.zones);
          draw();
          await app.box.loadCameras();
          app.notes.say(t("look.saved"), "ok");
        },
      })],
  });
  size.observe(editor.canvas);
  draw();
  poll();
}
