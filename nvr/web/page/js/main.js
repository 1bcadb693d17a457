// Start: language and theme, who is there, then the screen the address asks for.

import * as api from "./api.js";
import { Box } from "./box.js";
import { el } from "./dom.js";
import "./enter.js";
import { preferred, speak, t } from "./i18n.js";
import { icon } from "./icons.js";
import { Keys } from "./keys.js";
import "./live.js";
import { Motion } from "./motion.js";
import { Pads } from "./pad.js";
import { learnPad } from "./padpage.js";
import "./shell.js";
import { button, Notes, problemBox } from "./ui.js";

const ROUTES = ["live", "playback", "manage"];

/** What the screens share. Events: "route", "layout", "layouts". */
class App extends EventTarget {
  box = new Box();
  motion = new Motion(this.box);
  pads = new Pads(this.motion);
  notes = new Notes();
  /** The screen on show, where it is that one. @type {any} */
  live = null;
  /** @type {any} */
  playback = null;
  route = "live";
  /** Rest of the address: "cameras" of #/manage/cameras. */
  path = "";
  /** The frame around the screens while somebody is logged in. @type {any} */
  shell = null;
  /** @type {Record<string, string>} */
  query = {};
  root = /** @type {HTMLElement} */ (document.getElementById("app"));

  constructor() {
    super();
    this.keys = new Keys(this);
    this.pads.addEventListener("press", (event) => this.keys.pad(/** @type {CustomEvent} */ (event).detail));
    window.addEventListener("hashchange", () => this.box.info.user && this.show());
    window.addEventListener("nvr-signed-out", () => this.#signedOut(true));
    document.addEventListener("fullscreenchange", () => !document.fullscreenElement && this.full(false));
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  async begin() {
    await speak(preferred());
    document.documentElement.dataset.theme = localStorage.getItem("nvr.theme") ?? "dark";
    await this.#load();
  }

  async #load() {
    try {
      await this.box.load();
    } catch (error) {
      this.root.replaceChildren(el("div.blank.page", {}, icon("cut", "xl"), el("h2", {}, t("page.noBox")), problemBox(error), button("sync", t("retry"), () => this.#load(), { cls: "p" })));
      return;
    }
    if (this.box.info.claimed && this.box.info.user) await this.entered();
    else this.#enter();
  }

  #enter(ended = false) {
    this.live = null;
    this.playback = null;
    this.root.replaceChildren(el("nvr-enter", { prop: { app: this, ended } }));
  }

  /** @param {boolean} ended By the box, not by the person. */
  #signedOut(ended) {
    // Not by the user of `box.info`: the box may have told already that there is none.
    if (!this.shell) return;
    this.shell = null;
    for (const veil of document.querySelectorAll(".veil")) veil.remove();
    this.full(false);
    this.box.close();
    this.box.info = { ...this.box.info, user: null };
    this.#enter(ended);
  }

  /** Logged in, by whatever way. */
  async entered() {
    await this.box.load();
    if (!this.box.info.user) throw new api.Problem(0, "page.cookie", "");
    await this.box.loadCameras();
    this.box.open();
    this.shell = el("nvr-shell", { prop: { app: this } });
    this.root.replaceChildren(this.shell);
    this.show();
  }

  async leave() {
    this.motion.stopAll();
    try {
      await api.post("/api/logout");
    } catch (error) {
      this.notes.problem(error);
    }
    this.#signedOut(false);
  }

  /** @param {string} route @param {Record<string, string>} [query] */
  go(route, query = {}) {
    const search = new URLSearchParams(query).toString();
    location.hash = `#/${route}${search ? `?${search}` : ""}`;
  }

  async show() {
    const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
    const [route, ...rest] = path.split("/");
    this.route = ROUTES.includes(route) ? route : "live";
    this.path = rest.join("/");
    this.query = Object.fromEntries(new URLSearchParams(search ?? ""));
    document.title = `${t(`nav.${this.route}`)} · ${this.box.info.name || "nvr"}`;
    const { shell } = this;
    if (this.route === "playback") await import("./playback.js");
    if (this.route === "manage") await import("./admin/manage.js");
    this.live = null;
    this.playback = null;
    shell.setSlot();
    shell.dataset.screen = this.route;
    const screen = el(`nvr-${this.route}`, { prop: { app: this } });
    if (this.route === "live") this.live = screen;
    if (this.route === "playback") this.playback = screen;
    shell.main.replaceChildren(screen);
    if (this.route === "live") shell.showLayouts();
    this.tell("route");
  }

  /** Place of a camera on the wall, two digits. @param {string} name */
  number(name) {
    return String(this.box.cameras.findIndex((camera) => camera.name === name) + 1).padStart(2, "0");
  }

  /** @param {string} next */
  async setLanguage(next) {
    localStorage.setItem("nvr.lang", next);
    await speak(next);
    if (this.box.info.user) {
      this.shell = el("nvr-shell", { prop: { app: this } });
      this.root.replaceChildren(this.shell);
      await this.show();
    } else this.#enter();
  }

  setTheme() {
    const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("nvr.theme", next);
  }

  /** The picture alone, with STOP over it. The page's own mode works where an iPhone has none. */
  full(on = !document.body.classList.contains("full")) {
    document.body.classList.toggle("full", on);
    if (on) document.documentElement.requestFullscreen?.().catch(() => {});
    else if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  }

  learnPad() {
    this.motion.halt();
    learnPad(this);
  }
}

const app = new App();
app.begin();
