// Control of one dome: who holds it, stick, lens, wiper and lamp, what the box answered, STOP.

import { codeOf, post, sentence } from "./api.js";
import { autoDialog, autoWords, lockDialog } from "./auto.js";
import { attr, el, Part, put, show } from "./dom.js";
import { clock, source, span, t, unit } from "./i18n.js";
import { functionsDialog } from "./functions.js";
import { icon } from "./icons.js";
import "./stick.js";
import { button, iconButton, stopButton } from "./ui.js";

const CONFIRM_MS = 1000;
const WASH_STROKES = 3;

export class Ptz extends Part {
  /** @type {any} */
  app;
  camera = "";
  #trouble = /** @type {any} */ (null);
  #was = /** @type {any} */ (null);
  #stopped = { at_ms: 0, text: "", cls: "" };

  start() {
    const { app } = this;
    const camera = app.box.camera(this.camera);
    this.className = "panel ctl";
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", t("ptz.label"));
    this.hold = el("div.hold", {});
    this.stick = el("nvr-stick", { prop: { motion: app.motion } });
    this.speed = el("input", { type: "range", min: "5", max: "100", step: "5", "aria-label": t("speed"), on: { input: (event) => app.motion.setSpeed(event.target.value / 100) } });
    this.speedText = el("b", {});
    this.rtt = el("b", {});
    this.position = el("span.position", {});
    this.said = el("span.said", { role: "status" });
    const rock = el("div.rock", {},
      this.#rocker("plus", t("zoom.in"), [0, 0, 1]), this.#rocker("minus", t("zoom.out"), [0, 0, -1]),
      this.#lens("up", t("focus.far"), 1, 0), this.#lens("down", t("focus.near"), -1, 0),
      this.#lens("lamp", t("iris.open"), 0, 1), this.#lens("rec", t("iris.close"), 0, -1));
    this.aux = el("div.aux", {});
    for (const name of ["wiper", "lamp"]) {
      if (!camera?.ptz?.[name] || !camera.rights.includes("relay")) continue;
      this.aux.append(el("button.btn", { type: "button", data: { output: name }, "aria-pressed": "false", on: { click: () => this.#output(name) } }, icon(name), el("span", {}, t(`output.${name}`))));
    }
    if (camera?.ptz?.wiper && camera.ptz.washer && camera.rights.includes("relay")) this.aux.append(button("wiper", t("output.wash"), () => this.#wash()));
    if (camera?.ptz?.functions) this.aux.append(button("gear", t("fn"), () => functionsDialog(app, this.camera)));
    this.aux.append(el("button.btn", { type: "button", data: { auto: "" }, "aria-pressed": "false", on: { click: () => autoDialog(app, this.camera) } }, icon("back"), el("span", {}, t("auto.short"))));
    this.aux.append(el("button.btn", { type: "button", on: { click: () => app.learnPad() } }, icon("stick"), el("span", {}, t("pad"))));
    this.replaceChildren(this.hold,
      el("div.body", {}, this.stick, rock, this.aux),
      el("div.foot", {},
        el("label.speed", {}, el("span", {}, t("speed"), " ", this.speedText), this.speed),
        el("div.tel", {}, el("span", {}, t("rtt"), " ", this.rtt), this.position, this.said),
        stopButton("big", t("stop"), () => app.motion.stop(), "Space")));
    this.listen(app.box, "dome", (event) => (event.detail === this.camera || event.detail === null) && this.draw());
    this.listen(app.box, "link", () => this.draw());
    this.listen(app.box, "rtt", () => this.draw());
    this.listen(app.box, "refused", (event) => (!event.detail.cam || event.detail.cam === this.camera) && this.#refused(event.detail.problem));
    this.listen(app.box, "stopped", (event) => event.detail.cam === this.camera && this.#confirmed(event.detail.sent_ms));
    this.listen(app.motion, "stop", (event) => this.#stopping(event.detail));
    this.listen(app.motion, "change", () => this.draw());
    this.every(500, () => this.draw());
    this.draw();
  }

  /** A button that moves the lens by motor while it is held. */
  #rocker(name, label, v) {
    return this.#held(name, label, "", () => this.app.motion.input(`rock${v[2]}`, v, false), () => this.app.motion.input(`rock${v[2]}`, [0, 0, 0], false));
  }

  #lens(name, label, focus, iris) {
    return this.#held(name, label, "fx", () => this.app.motion.lens(focus, iris), () => this.app.motion.lens(0, 0));
  }

  #held(name, label, cls, down, up) {
    const node = el(`button.btn${cls ? `.${cls}` : ""}`, { type: "button" }, icon(name), el("span", {}, label));
    let timer = 0;
    const begin = () => {
      if (timer) return;
      node.classList.add("held");
      down();
      // The box forgets a held lens as it forgets a stick: say it again.
      timer = setInterval(down, 150);
    };
    const end = () => {
      if (!timer) return;
      clearInterval(timer);
      timer = 0;
      node.classList.remove("held");
      up();
    };
    this.listen(node, "pointerdown", (event) => {
      if (event.button !== 0) return;
      node.setPointerCapture(event.pointerId);
      begin();
    });
    for (const type of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) this.listen(node, type, end);
    this.listen(node, "keydown", (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), begin()));
    this.listen(node, "keyup", end);
    this.listen(window, "blur", end);
    this.listen(this.app.motion, "stop", end);
    this.listen(node, "contextmenu", (event) => event.preventDefault());
    this.life.addEventListener("abort", end);
    return node;
  }

  async #output(name) {
    const on = !this.app.box.domes.get(this.camera)?.outputs?.[name];
    try {
      await this.app.box.ask({ op: "output", cam: this.camera, name, on });
    } catch (error) {
      this.app.notes.problem(error);
    }
  }

  /** Spray, and wipe it off: a program, which ends by itself. */
  async #wash() {
    try {
      await post(`/api/camera/${encodeURIComponent(this.camera)}/wipe`, { program: "wash", strokes: WASH_STROKES });
    } catch (error) {
      this.app.notes.problem(error);
    }
  }

  /** Toggle an output from the keyboard. @param {string} name */
  toggle(name) {
    if (this.aux.querySelector(`[data-output="${name}"]`)) this.#output(name);
  }

  async take() {
    await this.#hold("take");
  }

  async release() {
    await this.#hold("release");
  }

  async #hold(op) {
    this.#trouble = null;
    try {
      await this.app.box.ask({ op, cam: this.camera });
    } catch (error) {
      this.#refused(error);
    }
  }

  #refused(problem) {
    if (problem.code === "ptz.rearm") this.app.motion.rearm();
    problem.context.holder ??= this.app.box.domes.get(this.camera)?.holder?.name ?? t("somebody");
    this.#trouble = { problem, until_ms: performance.now() + 5000 };
    this.draw();
  }

  #stopping({ at_ms, link }) {
    this.#stopped = { at_ms, text: link ? t("stop.sent") : t("stop.nolink"), cls: link ? "" : "warn" };
    this.draw();
  }

  #confirmed(sent_ms) {
    const ms = typeof sent_ms === "number" ? sent_ms : performance.now() - this.#stopped.at_ms;
    this.#stopped = { at_ms: 0, text: t("stop.done", { ms: ms < 10 ? ms.toFixed(1) : Math.round(ms) }), cls: "ok" };
    this.draw();
    const shown = this.#stopped;
    setTimeout(() => this.#stopped === shown && ((this.#stopped = { at_ms: 0, text: "", cls: "" }), this.draw()), 4000);
  }

  draw() {
    if (!this.hold) return;
    const { box, motion } = this.app;
    const dome = box.domes.get(this.camera);
    put(this.speedText, unit(Math.round(motion.speed * 100), "%"));
    if (this.speed !== document.activeElement) this.speed.value = String(Math.round(motion.speed * 100));
    put(this.rtt, box.rtt_ms ? unit(box.rtt_ms < 10 ? box.rtt_ms.toFixed(1) : Math.round(box.rtt_ms), "ms") : "–");
    const at = dome?.position;
    put(this.position, at ? `${at.pan_deg.toFixed(1)}° ${at.tilt_deg >= 0 ? "+" : "−"}${Math.abs(at.tilt_deg).toFixed(1)}° ${Math.round(at.zoom * 100)}%` : t("position.none"));
    if (this.#stopped.at_ms && box.link === "up" && performance.now() - this.#stopped.at_ms > CONFIRM_MS) {
      this.#stopped = { at_ms: 0, text: t("stop.unsure"), cls: "warn" };
    }
    put(this.said, this.#stopped.text);
    this.said.className = `said ${this.#stopped.cls}`;
    for (const node of this.aux.querySelectorAll("[data-output]")) {
      attr(node, "aria-pressed", String(Boolean(dome?.outputs?.[/** @type {HTMLElement} */ (node).dataset.output ?? ""])));
    }
    attr(this.aux.querySelector("[data-auto]"), "aria-pressed", String(dome?.auto?.state === "running"));
    this.#told(dome);
    this.#holder(dome, box, motion);
  }

  /** Say it when control was lost, and when somebody asks for it. */
  #told(dome) {
    const { notes } = this.app;
    const was = this.#was;
    this.#was = dome;
    if (!was || !dome) return;
    if (was.holder?.mine && dome.holder && !dome.holder.mine) notes.say(t("hold.taken", { name: dome.holder.name }), "warn");
    if (dome.holder?.mine && dome.asked && dome.asked !== was.asked) notes.say(t("hold.asked", { name: dome.asked }), "warn");
  }

  #holder(dome, box, motion) {
    if (this.#trouble && performance.now() > this.#trouble.until_ms) this.#trouble = null;
    const holder = dome?.holder ?? null;
    let state = "free";
    if (box.link === "down") state = "off";
    else if (dome && dome.online === false) state = "bus";
    else if (dome?.lock && !dome.lock.mine) state = "locked";
    else if (motion.blocked || dome?.rearm) state = "rearm";
    else if (holder?.mine) state = "mine";
    else if (holder) state = "other";
    this.dataset.state = state;
    this.stick.dataset.state = state;
    const name = state === "mine" ? box.info.user?.name ?? "" : holder?.name ?? "";
    const [head, sub] = this.#holdWords(state, dome, box);
    const lock = dome?.lock ?? null;
    const refusal = this.#trouble && state !== "rearm" ? this.#trouble.problem : null;
    const key = `${state}|${lock?.until_us}|${name}|${head}|${refusal ? codeOf(refusal) : sub}`;
    if (this.hold.dataset.key === key) return;
    this.hold.dataset.key = key;
    this.hold.className = `hold ${state}`;
    show(this.hold,
      el(`span.av${state === "other" ? ".o" : state === "mine" ? "" : ".n"}`, { "aria-hidden": "true" }, ...(state === "locked" ? [icon("lock", "s")] : name ? [[...name][0].toUpperCase()] : [icon(["off", "rearm", "bus"].includes(state) ? "event" : "stick", "s")])),
      el("div.grow", {}, el("div.b.who", {}, head), el("div.xs.sub", {}, ...(refusal ? [sentence(refusal), " ", el("span.code.mono", {}, codeOf(refusal))] : [sub]))),
      ["off", "bus"].includes(state) ? "" : iconButton("lock", t(lock ? "lock.ptz.end" : "lock.ptz"), () => lockDialog(this.app, this.camera, lock), lock ? "q on" : "q", "lock"),
      state === "mine" ? button("", t("release"), () => this.release(), { cls: "q mine", title: "R", key: "hold" })
        : state === "free" || state === "other" ? button("", t(state === "free" ? "take" : "ask"), () => this.take(), { cls: "q", title: "T", key: "hold" }) : "",
    );
  }

  #holdWords(state, dome, box) {
    const { holder, lock, auto } = dome ?? { holder: null, lock: null, auto: null };
    const left_s = holder?.until_us ? Math.max(0, (holder.until_us - box.now_us) / 1e6) : 0;
    switch (state) {
      case "mine": return [t("hold.mine"), dome.asked ? t("hold.asked", { name: dome.asked }) : left_s ? t("hold.mine.left", { s: Math.ceil(left_s / 5) * 5 }) : t("hold.mine.sub")];
      case "other": return [t("hold.other", { name: holder.name }), t("hold.other.sub", { source: source(holder.source), time: clock(holder.since_us) })];
      case "locked": return [t("hold.lock", { name: lock.name, time: clock(lock.until_us).slice(0, 5) }), t("hold.lock.sub", { reason: lock.reason, left: span(Math.max(0, (lock.until_us - box.now_us) / 1e6)) })];
      case "bus": return [t("hold.bus"), t("code.ptz.bus_down")];
      case "rearm": return [t("hold.rearm"), t("hold.rearm.sub")];
      case "off": return [t("hold.off"), t("hold.off.sub")];
      default:
        if (lock) return [t("hold.lock.mine", { time: clock(lock.until_us).slice(0, 5) }), t("hold.lock.sub", { reason: lock.reason, left: span(Math.max(0, (lock.until_us - box.now_us) / 1e6)) })];
        return [auto ? autoWords(auto, box.now_us) : t("hold.free"), t("hold.free.sub")];
    }
  }
}

customElements.define("nvr-ptz", Ptz);
