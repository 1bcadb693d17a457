// One camera's place on the wall. Its state is what the box says; the player only adds whether a
// frame has been drawn and how late it was.

import { Aim } from "./aim.js";
import { sentence, Problem } from "./api.js";
import { attr, el, Part, put } from "./dom.js";
import { bitrate, clock, span, t, unit } from "./i18n.js";
import { isTrouble, kindWords, named } from "./happened.js";
import { icon } from "./icons.js";
import { drawHud } from "./hud.js";
import { hasSound } from "./mse.js";
import { hidden, Overlay, through } from "./overlay.js";
import { Player } from "./player.js";
import { savePicture } from "./snapshot.js";
import { talkButton } from "./talk.js";
import { causeWords } from "./timeline-draw.js";
import { iconButton } from "./ui.js";
import { showVolume, volumeSlider } from "./volume.js";
import { Zoom } from "./zoom.js";

const GONE = new Set(["lost", "refused", "unsupported"]);

export class Tile extends Part {
  /** @type {any} */
  app;
  /** Camera name. */
  camera = "";
  focused = false;
  /** What lies over the picture instead of what the box says: an editor tries something. @type {any} */
  shown = null;
  #player = /** @type {Player | null} */ (null);
  #visible = false;
  #trouble = "";
  /** This browser cannot show the main stream. */
  #foreign = false;

  start() {
    if (!this.video) this.#make();
    this.over.run(this.life);
    this.listen(this.app.box, "cameras", () => this.refresh());
    this.listen(this.app.box, "link", () => this.refresh());
    this.listen(this.app.box, "dome", (event) => event.detail === this.camera && this.refresh());
    this.every(500, () => this.refresh());
    const watcher = new IntersectionObserver((entries) => {
      this.#visible = entries.at(-1)?.isIntersecting ?? false;
      this.#run();
    });
    watcher.observe(this);
    this.life.addEventListener("abort", () => watcher.disconnect());
    this.refresh();
  }

  stop() {
    this.#player?.close();
    this.talk?.leave?.();
    this.#visible = false;
  }

  get player() {
    return this.#player;
  }

  #make() {
    this.className = "tile";
    this.setAttribute("tabindex", "0");
    this.setAttribute("role", "group");
    this.video = el("video", { muted: true, playsinline: true, tabindex: "-1", disablepictureinpicture: true });
    this.canvas = el("canvas", { hidden: true, "aria-hidden": "true" });
    this.nm = el("b", {});
    this.delay = el("span.st", {});
    this.detail = el("span.st.only-focus.only-desk", {});
    this.small = el("span.st.small", {});
    this.rec = el("span.st.r", {});
    this.why = el("span.st.w", { hidden: true });
    this.seen = el("span.st", { hidden: true });
    this.msg = el("div.msg", {});
    this.bn = el("div.bn", {});
    this.factor = el("span.st.factor", {});
    this.hud = el("div.hud.only-focus", { "aria-hidden": "true" });
    this.aim = new Aim(this);
    this.tools = el("div.tools.only-focus", {},
      iconButton("back", t("replay30"), () => this.app.go("playback", { cam: this.camera, back: "30" })),
      iconButton("snap", t("snapshot"), () => this.snapshot()),
      this.vol = iconButton("vol", t("sound"), () => this.sound()),
      this.loud = volumeSlider(this.video),
      this.talk = talkButton(this.app, this.camera),
      this.aim.button,
      iconButton("zoom", t("digitalZoom"), () => this.zoom.toggle()),
      iconButton("full", t("fullScreen"), () => this.app.full()));
    this.over = new Overlay(() => this.#lies());
    this.append(this.video, this.canvas, this.over.node, el("div.nm", {}, this.nm, this.delay, this.detail, this.small, this.factor, this.why, this.seen, this.rec), this.hud, this.aim.pad, this.msg, this.bn, this.tools);
    this.zoom = new Zoom(this, [this.video, this.canvas, this.over.node], () => this.focused, () => this.refresh());
    this.#player = new Player(this.video, this.canvas, this.camera, () => this.app.box.rtt_ms);
    this.#player.alone = () => !this.app.box.camera(this.camera)?.sub;
    const again = () => this.refresh();
    this.#player.addEventListener("drawn", again);
    this.#player.addEventListener("config", () => { this.#trouble = ""; this.vol.hidden = !hasSound(this.#player?.config?.mime ?? ""); again(); });
    this.#player.addEventListener("trouble", (event) => { this.#trouble = /** @type {CustomEvent} */ (event).detail; this.#foreign ||= this.#trouble === "page.codec" && this.#player?.which === "main"; again(); });
  }

  /** What lies over the picture, as of when it was taken. */
  #lies() {
    const player = this.#player;
    const camera = this.shown ?? this.app.box.camera(this.camera);
    if (!player?.drawn || !camera || this.classList.contains("gone")) return null;
    const t_us = this.app.box.now_us - (player.stats.delay_ms || 0) * 1000;
    return { camera: through(camera, player.which), picture: player.picture, size: player.size, t_us, clock: this.app.box.info.clock };
  }

  /** The focused tile has the main stream, the others the smaller one; a lost one is stood in for. */
  #which(camera) {
    const states = { main: camera.state, sub: camera.sub?.state };
    // What the box has to cover is less work where it is small.
    const wanted = this.focused && !this.#foreign && !hidden(camera) ? ["main", "sub"] : ["sub", "main"];
    return wanted.find((one) => states[one] === "live") ?? wanted.find((one) => states[one] === "frozen") ?? "main";
  }

  #run() {
    const camera = this.app.box.camera(this.camera);
    const which = camera ? this.#which(camera) : "main";
    const wanted = this.#visible && camera && camera.rights.includes("live") && (which === "sub" || camera.state !== "unsupported");
    this.#player?.setStream(which);
    // One tile at a time draws the direct way: the one a hand may steer.
    this.#player?.setUrgent(this.focused);
    if (wanted) this.#player?.open();
    else this.#player?.close();
  }

  /** Draw what is true now. */
  refresh() {
    const camera = this.app.box.camera(this.camera);
    if (!camera || !this.video) return;
    this.#run();
    const player = /** @type {Player} */ (this.#player);
    const allowed = camera.rights.includes("live");
    const seen = player.which === "sub" && camera.sub ? camera.sub : camera;
    const state = !allowed ? "denied" : this.#shown(seen, player);
    if (this.focused && state === "live") this.talk.look?.();
    else this.talk.leave?.();
    put(this.nm, `${this.app.number(this.camera)} ${camera.title || camera.name}`);
    for (const name of ["live", "frozen", "lost", "connecting", "denied"]) this.classList.toggle(name, name === state);
    this.classList.toggle("gone", state === "lost" || state === "connecting" || state === "denied");
    this.classList.toggle("veiled", this.app.box.link === "down");
    attr(this, "aria-label", `${this.nm.textContent}, ${t(`state.${state}`)}`);
    const since_s = Math.max(0, (this.app.box.now_us - seen.since_us) / 1e6);
    this.#badges(camera, seen, player, state);
    this.#message(seen, state, since_s);
    this.#bar(seen, state, since_s);
    const dome = this.app.box.domes.get(this.camera);
    drawHud(this.hud, this.focused && state === "live" && this.zoom?.factor === 1 ? dome?.position : null);
    this.hud.classList.toggle("stale", dome?.moving === true);
    this.aim.offer(this.focused && state === "live" && Boolean(dome?.aim) && camera.rights.includes("ptz"));
  }

  #shown(seen, player) {
    if (GONE.has(seen.state)) return "lost";
    if (seen.state === "frozen") return "frozen";
    if (seen.state === "live" && player.drawn) return "live";
    return "connecting";
  }

  #badges(camera, seen, player, state) {
    const gone = seen !== camera && GONE.has(camera.state);
    this.small.hidden = seen === camera || !(gone || this.focused);
    this.small.classList.toggle("w", gone);
    put(this.small, t(!gone ? "stream.sub" : this.focused ? "stream.main.lost" : "stream.main.short"));
    this.small.title = gone ? t("stream.main.lost") : "";
    const live = state === "live";
    this.why.hidden = !live || seen.health.state !== "degraded" || this.app.box.link === "down";
    if (!this.why.hidden) {
      put(this.why, whyWords(seen.health));
      this.why.title = seen.health.why.map((one) => sentence(new Problem(0, one.code, ""))).join(" ");
    }
    const going = live ? camera.happening.toSorted((a, b) => Number(isTrouble(b.kind)) - Number(isTrouble(a.kind)))[0] : null;
    this.seen.hidden = !going;
    if (going) {
      put(this.seen, this.focused || isTrouble(going.kind) ? kindWords(going) : named(going.kind));
      this.seen.classList.toggle("w", isTrouble(going.kind));
      this.seen.title = t("since", { time: clock(going.since_us) });
    }
    const delay = player.stats.delay_ms;
    // A small tile keeps its room for the name.
    this.delay.hidden = !live || !delay || (!this.focused && !this.why.hidden);
    if (live && delay) put(this.delay, this.focused ? `${t("state.live")} ${unit(Math.round(delay), "ms")}` : unit(Math.round(delay), "ms"));
    const size = seen.height_px ? `${seen.height_px}p${Math.round(player.stats.fps || seen.fps || 0) || ""}` : "";
    const parts = [size, codecName(seen.codec), bitrate(player.stats.bps || seen.bitrate_bps)].filter(Boolean);
    this.detail.hidden = !live || !parts.length;
    put(this.detail, parts.join(" · "));
    const factor = this.zoom?.factor ?? 1;
    this.factor.hidden = factor <= 1;
    put(this.factor, `${factor.toFixed(1)}×`);
    const behind_s = camera.recorded_until_us ? (this.app.box.now_us - camera.recorded_until_us) / 1e6 : Infinity;
    const why = camera.not_recorded;
    const key = camera.record_behind ? "rec.behind" : !why && behind_s < 5 ? "rec.on" : "rec.off";
    this.rec.hidden = state === "denied" || this.app.box.link === "down" || (!this.focused && key === "rec.on");
    this.rec.classList.toggle("w", key !== "rec.on" && why?.cause !== "plan");
    const said = key === "rec.off" && why ? `${key} ${why.cause} ${why.since_us}` : key;
    if (this.rec.dataset.key !== said) {
      this.rec.dataset.key = said;
      this.rec.replaceChildren(icon("rec", "s"), t(key));
      this.rec.title = said === key ? "" : `${causeWords(why)} · ${t("since", { time: clock(why.since_us) })}`;
    }
  }

  #message(camera, state, since_s) {
    const lines = [];
    if (state === "connecting") {
      const waits = this.#trouble || camera.code;
      if (this.app.box.link === "down") lines.push(t("hold.off"));
      else if (this.#trouble === "page.codec" || this.#trouble.startsWith("recode.")) lines.push(t(`code.${this.#trouble}`, this.#player?.refused?.context));
      else if (camera.state === "live") lines.push(t("wait.picture"));
      else if (waits) lines.push(sentence(new Problem(0, waits, camera.detail)));
      else lines.push(t("wait.camera"));
      if (camera.state !== "live" && since_s > 3) lines.push(t("since", { time: clock(camera.since_us) }));
    } else if (state === "lost") {
      lines.push(camera.code ? sentence(new Problem(0, camera.code, camera.detail)) : t(`state.${camera.state}`));
      lines.push(t("since", { time: clock(camera.since_us) }));
      if (camera.code) lines.push(camera.code);
    } else if (state === "denied") lines.push(t("code.auth.view"));
    const key = `${state}|${lines.join("|")}`;
    if (this.msg.dataset.key === key) return;
    this.msg.dataset.key = key;
    this.msg.hidden = !lines.length;
    this.msg.replaceChildren(
      ...(state === "connecting" && this.#trouble !== "page.codec" && !this.#trouble.startsWith("recode.") ? [el("span.spin", {})] : []),
      ...(state === "denied" ? [icon("lock")] : []),
      ...lines.map((line, index) => (index || state === "connecting" ? el(line === camera.code ? "small.code" : "small", {}, line) : said(line))),
    );
  }

  #bar(camera, state, since_s) {
    const text = state === "frozen" ? t("bar.frozen", { span: span(since_s) }) : state === "lost" ? t(`bar.${camera.state}`, { span: span(since_s) }) : "";
    this.bn.hidden = !text;
    if (!text) return;
    if (this.bn.dataset.state !== state) {
      this.bn.dataset.state = state;
      this.bn.replaceChildren(icon(state === "frozen" ? "frz" : "cut", "s"), el("span", {}));
    }
    put(this.bn.lastElementChild, text);
  }

  sound() {
    const on = this.video.muted;
    this.#player?.setSound(on);
    attr(this.vol, "aria-pressed", String(on));
    showVolume(this.loud, this.video);
  }

  /** The picture as it is drawn, at the camera's own size. */
  async snapshot() {
    const player = this.#player;
    const camera = this.app.box.camera(this.camera);
    if (!player?.drawn || !player.size.width || !camera) {
      this.app.notes.say(t("snapshot.none"), "warn");
      return;
    }
    await savePicture(this.app, this.camera, player.picture, player.size, this.app.box.now_us, player.which);
  }

  /** A small copy of the picture for a preset. @returns {HTMLCanvasElement | null} */
  thumb() {
    const player = this.#player;
    if (!player?.drawn || !player.size.width) return null;
    const canvas = el("canvas", { prop: { width: 160, height: 90 } });
    canvas.getContext("2d").drawImage(player.picture, 0, 0, 160, 90);
    return canvas;
  }
}

/** What is wrong, and what to do: a small tile has room for the first only. @param {string} text */
function said(text) {
  const [what, ...rest] = text.split(/(?<=[。.])\s?/);
  return el("span", {}, what, rest.length ? el("span.do", {}, ` ${rest.join(" ")}`) : null);
}

/** The worst of what is the matter with a stream, in two words. @param {{why: {code: string}[]}} health */
export function whyWords(health) {
  const [first] = health.why;
  const key = `why.${first?.code}`;
  const words = first ? t(key) : "";
  return words === key ? first.code : words;
}

/** avc1.42c01f and its like, or the short name, as people say it. @param {string} codec */
export function codecName(codec) {
  const short = (codec ?? "").toLowerCase();
  if (short.startsWith("avc") || short === "h264") return "H.264";
  if (short.startsWith("hvc") || short.startsWith("hev") || short === "h265") return "H.265";
  return short === "jpeg" ? "JPEG" : codec ?? "";
}

customElements.define("nvr-tile", Tile);
