// Presets of one dome: a tap or a number key goes there, saving asks before it overwrites.

import * as api from "./api.js";
import { el, Part } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { measureDialog } from "./measure.js";
import { dropThumb, drawThumb, keepThumb } from "./thumbs.js";
import { button, confirmLoss, dialog, field, form } from "./ui.js";

const HIGHEST = 255;
const SETTLE_MS = 2500;
const HOLD_MS = 600;

export class Presets extends Part {
  /** @type {any} */
  app;
  camera = "";
  /** @type {any} */
  live;
  #going = 0;
  #settle = 0;
  #drawn = "";

  start() {
    this.className = "panel pres";
    this.strip = el("div.strip", { role: "group", "aria-label": t("presets") });
    this.replaceChildren(
      el("h2", {}, el("span", {}, t("presets")), el("span.grow", {}), el("span.dim.xs.only-desk", {}, t("presets.keys"))), this.strip);
    this.listen(this.app.motion, "change", () => this.app.motion.vector.some(Boolean) && this.#arrived(0));
    this.draw();
  }

  stop() {
    clearTimeout(this.#settle);
  }

  get #list() {
    return this.app.box.camera(this.camera)?.ptz?.presets ?? [];
  }

  draw() {
    const key = `${this.#going}|${JSON.stringify(this.#list)}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    this.strip.replaceChildren(
      ...this.#list.map((preset) => this.#card(preset)),
      el("button.pre.new", { type: "button", on: { click: () => this.save() } }, el("span.th", {}, icon("plus")), el("span.lb", {}, t("preset.save"))),
      el("button.pre.new", { type: "button", data: { measure: "" }, on: { click: () => measureDialog(this.app, this.camera) } }, el("span.th", {}, icon("target")), el("span.lb", {}, t("measure"))),
    );
  }

  #card({ number, name, pictured_us }) {
    const canvas = el("canvas", { width: "160", height: "90" });
    const shot = el("span.th", { "aria-hidden": "true" }, el("span.big", {}, String(number)), canvas);
    drawThumb(this.camera, { number, pictured_us }, canvas).then((there) => shot.classList.toggle("has", there));
    let hold = 0;
    let held = false;
    const edit = () => {
      clearTimeout(hold);
      if (held) return;
      held = true;
      this.#edit(number, name);
    };
    const card = el("button.pre", {
      type: "button", "aria-pressed": String(this.#going === number), data: { number: String(number) }, title: t("preset.hint"),
      on: {
        click: (event) => {
          // The end of a hold is a click too; a key's click has no detail.
          if (!held || !event.detail) this.call(number);
        },
        contextmenu: (event) => { event.preventDefault(); edit(); },
        pointerdown: (event) => {
          held = false;
          // Safari on a phone has no contextmenu.
          if (event.pointerType === "touch") hold = setTimeout(edit, HOLD_MS);
        },
        pointerup: () => clearTimeout(hold),
        pointercancel: () => clearTimeout(hold),
      },
    }, shot, el("span.lb", {}, el("span.no", {}, String(number)), el("span.nm2", {}, name || t("preset.unnamed"))));
    return card;
  }

  async #do(action, number, name) {
    await this.app.box.ask({ op: "preset", cam: this.camera, do: action, number, ...(name === undefined ? {} : { name }) });
  }

  async call(number) {
    const preset = this.#list.find((item) => item.number === number);
    if (!preset) {
      this.app.notes.say(t("preset.empty", { number }), "warn");
      return;
    }
    try {
      await this.#do("call", number);
      this.#arrived(number);
      // A picture of the place, once the dome had time to get there.
      this.#settle = setTimeout(() => {
        if (this.#going === number) keepThumb(this.camera, number, this.live.tile?.thumb() ?? null).then(() => this.#again());
      }, SETTLE_MS);
    } catch (error) {
      this.app.notes.problem(error);
    }
  }

  #arrived(number) {
    if (this.#going === number) return;
    clearTimeout(this.#settle);
    this.#going = number;
    for (const card of this.strip.querySelectorAll(".pre[data-number]")) {
      card.setAttribute("aria-pressed", String(Number(card.dataset.number) === number));
    }
  }

  /** Ask for number and name, warn before overwriting, save. @param {number} [number] */
  save(number) {
    const used = new Set(this.#list.map((item) => item.number));
    let free = 1;
    while (used.has(free)) free += 1;
    const picture = this.live.tile?.thumb() ?? null;
    const no = field(t("preset.number"), { type: "number", value: String(number ?? free), required: true });
    no.input.min = "1";
    no.input.max = String(HIGHEST);
    const name = field(t("preset.name"), { value: this.#list.find((item) => item.number === number)?.name ?? "", max: 32 });
    const box = dialog({
      title: t("preset.save.title"),
      body: [form({
        rows: [name.row, no.row], act: t("save"),
        onSubmit: async () => {
          const chosen = Number(no.input.value);
          const old = this.#list.find((item) => item.number === chosen);
          if (old && !(await confirmLoss({
            title: t("preset.over.title", { number: chosen }), lost: [t("preset.over.lost", { name: old.name || chosen })],
            kept: [t("preset.over.kept")], act: t("overwrite"),
          }))) return;
          await this.#do("set", chosen, name.input.value.trim());
          await keepThumb(this.camera, chosen, picture);
          box.close();
          this.app.notes.say(t("preset.saved", { number: chosen }), "ok");
          this.#again();
        },
      })],
      actions: [],
    });
    name.input.focus();
  }

  #again() {
    this.#drawn = "";
    this.draw();
  }

  /** Have names, order and the dome's own numbers as in `list`. */
  async #arrange(list) {
    await api.put(api.cameraPath(this.camera, "/preset"), list.map(({ number, name, device }) => ({ number, name, device: device ?? 0 })));
    await this.app.box.loadCameras();
  }

  #edit(number, name) {
    const list = [...this.#list];
    const at = list.findIndex((item) => item.number === number);
    const title = field(t("preset.name"), { value: name, max: 32 });
    const own = field(t("preset.device"), { type: "number", value: String(list[at]?.device || number), required: true, hint: t("preset.device.hint") });
    own.input.min = "1";
    own.input.max = String(HIGHEST);
    const move = async (by) => {
      const [one] = list.splice(at, 1);
      list.splice(at + by, 0, one);
      try {
        await this.#arrange(list);
        box.close();
      } catch (error) {
        this.app.notes.problem(error);
      }
    };
    const box = dialog({
      title: `${number} ${name || t("preset.unnamed")}`,
      body: [el("p.sub", {}, t("preset.edit")), form({
        rows: [title.row, own.row], act: t("save"),
        onSubmit: async () => {
          const device = Number(own.input.value);
          list[at] = { ...list[at], name: title.input.value.trim(), device: device === number ? 0 : device };
          await this.#arrange(list);
          box.close();
        },
        extra: [
          at > 0 ? button("left", t("preset.earlier"), () => move(-1)) : null,
          at >= 0 && at < list.length - 1 ? button("", t("preset.later"), () => move(1)) : null,
        ].filter((node) => node !== null),
      })],
      actions: [
        button("bin", t("preset.clear"), async () => {
          box.close();
          if (!(await confirmLoss({ title: t("preset.clear.title", { number }), lost: [t("preset.over.lost", { name: name || number })], kept: [t("preset.over.kept")], act: t("preset.clear") }))) return;
          try {
            await this.#do("clear", number);
            dropThumb(this.camera, number);
          } catch (error) {
            this.app.notes.problem(error);
          }
        }, { cls: "danger" }),
        button("", t("preset.set"), () => { box.close(); this.save(number); }),
        button("", t("preset.call"), () => { box.close(); this.call(number); }, { cls: "p wide" }),
      ],
    });
  }
}

customElements.define("nvr-presets", Presets);
