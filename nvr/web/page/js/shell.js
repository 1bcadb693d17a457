// The frame around every screen: rail, bar with clock and STOP ALL, banner when the link is down.

import * as api from "./api.js";
import { attr, el, Part, put } from "./dom.js";
import { Problem, sentence } from "./api.js";
import { clock, doubt, language, span, t } from "./i18n.js";
import { icon } from "./icons.js";
import { help } from "./keys.js";
import { LAYOUTS } from "./live.js";
import { button, dialog, field, form, iconButton, stopButton } from "./ui.js";

const SCREENS = [["live", "live"], ["playback", "back"], ["manage", "gear"]];

export class Shell extends Part {
  /** @type {any} */
  app;

  start() {
    const { app } = this;
    const user = app.box.info.user;
    this.className = "shell";
    this.links = SCREENS.map(([name, picture]) => el("a", { href: `#/${name}`, data: { screen: name } }, icon(picture), el("span", {}, t(`nav.${name}`))));
    const face = () => el("button.me", { type: "button", "aria-label": `${user?.name ?? ""}, ${t("menu")}`, title: user?.name ?? "", on: { click: () => this.#menu() } }, el("span.av", { "aria-hidden": "true" }, [...(user?.name ?? "?")][0].toUpperCase()));
    this.title_ = el("h1", {});
    this.site = el("span.site.wide-only", {}, app.box.info.name ?? "");
    this.slot_ = el("div.slot", {});
    this.disk = el("b", {});
    this.cams = el("b", {});
    this.camsAll = el("span", {});
    this.diskChip = el("span.chip.wide-only", { title: t("chip.disk") }, icon("disk"), el("span", {}, t("chip.disk")), this.disk);
    this.camChip = el("span.chip.wide-only", { title: t("chip.cams") }, icon("cam"), el("span", {}, this.cams, this.camsAll));
    this.fix = el("a.chip.warn", { href: "#/manage/cameras" }, icon("event"), el("b", {}));
    this.clock = el("span", {});
    this.unsure = el("span.xs", {});
    this.banner = el("div.banner", { role: "alert", hidden: true }, icon("cut"), el("span", {}));
    this.main = el("main", { id: "main" });
    this.replaceChildren(
      el("nav.rail", { "aria-label": t("nav") }, el("div.logo", { "aria-hidden": "true" }, "nvr"), ...this.links, el("span.grow", {}),
        iconButton("key", t("key.help"), () => help(), "q only-desk"), face()),
      el("header.bar", {}, this.title_, this.site, this.slot_, el("span.grow", {}), this.diskChip, this.camChip, this.fix,
        el("span.clock", {}, this.clock, " ", this.unsure),
        el("span.only-phone", {}, face()),
        stopButton("bar-stop", t("stop.all"), () => app.motion.stopAll())),
      this.banner, this.main);
    this.listen(app.box, "cameras", () => this.draw());
    this.listen(app.box, "info", () => this.draw());
    this.listen(app.box, "link", () => this.draw());
    this.listen(app, "route", () => this.draw());
    this.listen(app, "layouts", () => this.#layouts());
    this.every(250, () => this.draw());
    this.draw();
  }

  /** Controls of the screen on show, in the bar. */
  setSlot(...nodes) {
    this.slot_.replaceChildren(...nodes);
  }

  /** The buttons that choose how many pictures. */
  showLayouts() {
    this.seg = el("div.seg.only-desk", { role: "group", "aria-label": t("layout") }, ...LAYOUTS.map((name) =>
      el("button.btn", { type: "button", data: { layout: name }, "aria-label": t("layout.n", { n: name }), on: { click: () => this.app.tell("layout", name) } }, name)));
    this.setSlot(this.seg);
    this.#layouts();
  }

  #layouts() {
    for (const node of this.seg?.children ?? []) attr(node, "aria-pressed", String(node.dataset.layout === this.app.live?.layout));
  }

  draw() {
    const { box, route } = this.app;
    for (const link of this.links) attr(link, "aria-current", link.dataset.screen === route ? "page" : null);
    put(this.title_, t(`nav.${route}`));
    put(this.clock, clock(box.now_us));
    const { state, uncertainty_ms: off_ms } = box.info.clock ?? {};
    const unsure = state === "unsynced" || off_ms > 1000;
    put(this.unsure, doubt(box.info.clock) || (unsure ? t("clock.unsynced") : ""));
    this.unsure.className = `xs ${unsure ? "oth" : "dim"}`;
    this.unsure.title = t(`clock.${state ?? "unsynced"}`);
    const live = box.cameras.filter((camera) => camera.state === "live").length;
    put(this.cams, String(live));
    put(this.camsAll, `/${box.cameras.length}`);
    const bad = box.cameras.filter((camera) => camera.record_behind || camera.health.state === "degraded" || (camera.state !== "live" && camera.state !== "connecting")).length;
    const down = box.link === "down";
    // How the cameras are, only the box knows.
    this.camChip.hidden = down;
    this.fix.hidden = !bad || down;
    put(this.fix.lastElementChild, t("fix", { n: bad }));
    const newest = Math.max(0, ...box.cameras.map((camera) => camera.recorded_until_us || 0));
    this.diskChip.hidden = !newest;
    put(this.disk, t("ago", { span: span((box.now_us - newest) / 1e6) }));
    const { fault, warnings = [] } = box.info;
    this.banner.hidden = !down && !fault && !warnings.length;
    this.banner.classList.toggle("alarm", !down && Boolean(fault));
    if (down) put(this.banner.lastElementChild, t("link.down", { span: span((performance.now() - box.downSince_ms) / 1000) }));
    else if (fault) put(this.banner.lastElementChild, t("record.off", { why: sentence(new Problem(0, fault.code, fault.detail)), code: fault.code }));
    else if (warnings.length) put(this.banner.lastElementChild, t("record.warn", { why: warnings.map((one) => sentence(new Problem(0, one.code, one.detail, { camera: box.camera(one.camera)?.title ?? one.camera }))).join(" ") }));
  }

  #menu() {
    const { app } = this;
    const user = app.box.info.user;
    const box = dialog({
      title: user?.name ?? "",
      body: [
        el("p.sub", {}, t(`role.${user?.role ?? "viewer"}`)),
        el("div.menu", {},
          button("globe", language() === "zh" ? "English" : "中文", () => { box.close(); app.setLanguage(language() === "zh" ? "en" : "zh"); }),
          button("lamp", t("theme"), () => app.setTheme()),
          button("key", t("key.help"), () => { box.close(); help(); }),
          button("stick", t("pad.title"), () => { box.close(); app.learnPad(); }),
          button("lock", t("password.change"), () => { box.close(); changePassword(app); }),
          button("out", t("logout"), () => { box.close(); app.leave(); })),
      ],
      actions: [],
    });
  }
}

/** @param {any} app */
function changePassword(app) {
  const old = field(t("password.old"), { type: "password", autocomplete: "current-password", required: true });
  const one = field(t("password.new"), { type: "password", autocomplete: "new-password", required: true });
  const two = field(t("claim.again"), { type: "password", autocomplete: "new-password", required: true });
  const box = dialog({
    title: t("password.change"),
    body: [form({
      rows: [old.row, one.row, two.row], act: t("save"),
      onSubmit: async () => {
        if (one.input.value !== two.input.value) throw new api.Problem(0, "page.differ", "");
        await api.post("/api/password", { old: old.input.value, new: one.input.value });
        box.close();
        app.notes.say(t("password.changed"), "ok");
      },
    })],
    actions: [],
  });
}

customElements.define("nvr-shell", Shell);
