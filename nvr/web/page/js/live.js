// The wall: one, four, one and four, nine, sixteen; control of the selected dome beside it.

import { el, Part } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import "./presets.js";
import "./ptz.js";
import "./strip.js";
import { Tile } from "./tile.js";
import "./watch.js";

const COUNTS = { 1: 1, 4: 4, "1+4": 5, 9: 9, 16: 16 };
export const LAYOUTS = Object.keys(COUNTS).sort((a, b) => COUNTS[a] - COUNTS[b]);
const PHONE = matchMedia("(max-width:767px), (max-height:500px) and (min-width:560px)");

export class Live extends Part {
  /** @type {any} */
  app;
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  /** Cameras in the order of their places. @type {string[]} */
  #order = [];
  layout = "1+4";
  selected = "";

  get #key() {
    return `nvr.live.${this.app.box.info.user?.name ?? ""}`;
  }

  start() {
    const saved = JSON.parse(localStorage.getItem(this.#key) ?? "{}");
    this.layout = saved.layout in COUNTS ? saved.layout : "1+4";
    this.#order = Array.isArray(saved.order) ? saved.order : [];
    this.selected = this.app.query.cam ?? saved.selected ?? "";
    this.className = "wall";
    this.main = el("div.main", {});
    this.quad = el("div.quad", {});
    this.under = el("div.under", {});
    this.side = el("div.side", {}, this.quad);
    this.replaceChildren(this.main, this.under, this.side);
    this.listen(this.app.box, "roster", () => this.arrange());
    this.listen(PHONE, "change", () => this.arrange());
    this.listen(this.app, "layout", (event) => this.setLayout(event.detail));
    this.arrange();
  }

  stop() {
    this.app.motion.aim(null);
    this.#tiles.clear();
    this.replaceChildren();
  }

  setLayout(layout) {
    if (!(layout in COUNTS)) return;
    this.layout = layout;
    this.arrange();
  }

  /** The focused tile, for snapshot and presets. @returns {Tile | undefined} */
  get tile() {
    return this.#tiles.get(this.selected);
  }

  select(name) {
    if (!this.app.box.camera(name)) return;
    const places = this.#big ? 1 : COUNTS[this.layout];
    if (this.#big) {
      // The two cameras change places, so that the rest of the wall stays where the eye left it.
      const at = this.#order.indexOf(name);
      if (at > 0) [this.#order[0], this.#order[at]] = [this.#order[at], this.#order[0]];
    }
    this.selected = name;
    this.arrange(places);
  }

  get #big() {
    return PHONE.matches || this.layout === "1" || this.layout === "1+4";
  }

  /** @param {number} by */
  step(by) {
    const names = this.app.box.cameras.map((camera) => camera.name);
    if (!names.length) return;
    const at = names.indexOf(this.selected);
    this.select(names[(at + by + names.length) % names.length]);
  }

  /** Double-click: the picture alone, and back. */
  alone(name) {
    if (this.layout === "1" && this.selected === name) this.setLayout(this.before ?? "1+4");
    else {
      this.before = this.layout;
      this.layout = "1";
      this.select(name);
    }
    this.app.tell("layouts");
  }

  arrange() {
    const { box } = this.app;
    const names = box.cameras.map((camera) => camera.name);
    this.classList.toggle("empty", box.known && !names.length);
    if (!names.length) {
      if (box.known) this.main.replaceChildren(this.#empty());
      this.side.hidden = true;
      this.under.hidden = true;
      return;
    }
    this.main.querySelector(".blank")?.remove();
    this.#order = [...this.#order.filter((name) => names.includes(name)), ...names.filter((name) => !this.#order.includes(name))];
    if (!names.includes(this.selected)) this.selected = this.#order[0];
    if (this.#big && this.#order[0] !== this.selected) {
      this.#order = [this.selected, ...this.#order.filter((name) => name !== this.selected)];
    }
    const count = COUNTS[this.layout];
    const page = this.#big ? 0 : Math.floor(this.#order.indexOf(this.selected) / count);
    const shown = PHONE.matches ? this.#order : this.#order.slice(page * count, page * count + count);
    const inMain = this.#big ? shown.slice(0, 1) : shown;
    const inQuad = this.#big && (PHONE.matches || this.layout === "1+4") ? shown.slice(1) : [];
    this.#fill(this.main, inMain);
    this.#fill(this.quad, inQuad);
    for (const [name, tile] of this.#tiles) {
      if (inMain.includes(name) || inQuad.includes(name)) continue;
      tile.remove();
      this.#tiles.delete(name);
    }
    this.main.dataset.count = this.#big ? "1" : String(count);
    this.dataset.layout = PHONE.matches ? "phone" : this.layout;
    this.#mark();
    this.#control();
    localStorage.setItem(this.#key, JSON.stringify({ layout: this.layout, order: this.#order, selected: this.selected }));
    this.app.tell("layouts");
  }

  #fill(host, names) {
    names.forEach((name, index) => {
      const tile = this.#tiles.get(name) ?? this.#make(name);
      const at = host.children[index] ?? null;
      if (at === tile) return;
      // moveBefore keeps the picture playing where the browser has it; a plain insert within one
      // task does too, except that some engines pause the video, which the player resumes.
      if (host.moveBefore && tile.isConnected) host.moveBefore(tile, at);
      else host.insertBefore(tile, at);
    });
  }

  #make(name) {
    const tile = /** @type {Tile} */ (el("nvr-tile", { prop: { app: this.app, camera: name } }));
    tile.addEventListener("click", (event) => {
      if (event.target instanceof Element && event.target.closest("button")) return;
      if (this.selected !== name) this.select(name);
    });
    tile.addEventListener("dblclick", (event) => {
      if (event.target instanceof Element && event.target.closest("button")) return;
      if (!PHONE.matches) this.alone(name);
    });
    tile.addEventListener("keydown", (event) => event.key === "Enter" && event.target === tile && this.select(name));
    this.#tiles.set(name, tile);
    return tile;
  }

  #mark() {
    for (const [name, tile] of this.#tiles) {
      tile.focused = name === this.selected;
      tile.classList.toggle("focus", tile.focused && this.#big);
      tile.classList.toggle("sel", tile.focused);
      if (!tile.focused) tile.zoom?.reset();
      tile.refresh();
    }
  }

  #control() {
    const camera = this.app.box.camera(this.selected);
    const dome = camera?.ptz && camera.rights.includes("ptz");
    // Not what changes while a hand may be on the stick: names and pictures of presets.
    const key = `${this.selected}|${Boolean(dome)}|${camera?.ptz?.wiper}|${camera?.ptz?.washer}|${camera?.ptz?.lamp}|${camera?.rights}`;
    this.app.motion.aim(dome ? this.selected : null);
    if (this.dataset.control === key && this.panel?.isConnected) {
      /** @type {any} */ (this.under.querySelector("nvr-presets"))?.draw();
      return;
    }
    this.dataset.control = key;
    this.panel?.remove();
    const props = { prop: { app: this.app, camera: this.selected, live: this } };
    this.panel = dome ? el("nvr-ptz", props) : el("nvr-watch", props);
    this.side.hidden = false;
    this.side.append(this.panel);
    const replay = camera?.rights.includes("playback");
    this.under.replaceChildren(...(dome ? [el("nvr-presets", props)] : []), ...(replay ? [el("nvr-strip", { prop: { app: this.app, camera: this.selected } })] : []));
    this.under.hidden = !dome && !replay;
    this.classList.toggle("plain", !dome);
  }

  #empty() {
    return el("div.blank", {}, icon("cam", "xl"), el("h2", {}, t("empty.cameras")), el("p.sub", {}, t("empty.cameras.do")),
      this.app.box.admin ? el("a.btn.p", { href: "#/manage/cameras?add=1" }, icon("plus"), t("camera.add")) : null);
  }
}

customElements.define("nvr-live", Live);
