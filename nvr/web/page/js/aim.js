// Pointing a dome by its picture: while switched on, a double-click (double-tap) brings a place to the
// middle, a rectangle that is drawn fills the picture. A layer over the picture takes these gestures, so
// that digital zoom and "the picture alone" have theirs back as soon as it is off.

import { attr, el } from "./dom.js";
import { t } from "./i18n.js";
import { iconButton } from "./ui.js";

const TAP_PX = 10;
const TWICE_MS = 400;
const TWICE_PX = 32;
/** Of the picture: what is drawn smaller was a trembling hand. */
const LEAST = 0.03;

export class Aim {
  #down = /** @type {{id: number, x: number, y: number} | null} */ (null);
  #tap = { at_ms: -Infinity, x: 0, y: 0 };

  /** @param {any} tile */
  constructor(tile) {
    this.tile = tile;
    this.box = el("i", { hidden: true });
    this.pad = el("div.aim", { hidden: true, "aria-hidden": "true" }, this.box);
    this.button = iconButton("target", t("aim"), () => this.set(this.pad.hidden));
    this.button.hidden = true;
    attr(this.button, "aria-pressed", "false");
    const own = (/** @type {(event: any) => void} */ act) => (/** @type {Event} */ event) => {
      event.stopPropagation();
      act(event);
    };
    for (const [type, act] of Object.entries({
      pointerdown: own((event) => this.#begin(event)), pointermove: own((event) => this.#draw(event)), pointerup: own((event) => this.#end(event)),
      pointercancel: own(() => this.#drop()), dblclick: own(() => {}), contextmenu: own((event) => event.preventDefault()),
    })) this.pad.addEventListener(type, act);
  }

  /** Offer it where this head can be aimed, by this person; call it often. @param {boolean} offered */
  offer(offered) {
    this.button.hidden = !offered;
    if (!offered && !this.pad.hidden) this.set(false);
  }

  /** @param {boolean} on */
  set(on) {
    this.pad.hidden = !on;
    attr(this.button, "aria-pressed", String(on));
    this.#drop();
    if (on) this.tile.app.notes.say(t("aim.hint"));
  }

  #drop() {
    this.#down = null;
    this.box.hidden = true;
  }

  #begin(event) {
    if (this.#down || event.button !== 0) {
      this.#drop(); // a second finger: neither was meant
      return;
    }
    this.pad.setPointerCapture(event.pointerId);
    this.#down = { id: event.pointerId, x: event.clientX, y: event.clientY };
  }

  #draw(event) {
    const down = this.#down;
    if (down?.id !== event.pointerId) return;
    const host = this.pad.getBoundingClientRect();
    this.box.hidden = Math.hypot(event.clientX - down.x, event.clientY - down.y) < TAP_PX;
    Object.assign(this.box.style, {
      left: `${Math.min(down.x, event.clientX) - host.left}px`, top: `${Math.min(down.y, event.clientY) - host.top}px`,
      width: `${Math.abs(event.clientX - down.x)}px`, height: `${Math.abs(event.clientY - down.y)}px`,
    });
  }

  #end(event) {
    const down = this.#down;
    this.#drop();
    if (down?.id !== event.pointerId) return;
    const [one, other] = [this.#share(down.x, down.y), this.#share(event.clientX, event.clientY)];
    if (!one || !other) return;
    if (Math.hypot(event.clientX - down.x, event.clientY - down.y) >= TAP_PX) {
      const [width, height] = [Math.abs(one.x - other.x), Math.abs(one.y - other.y)];
      if (Math.max(width, height) >= LEAST) this.#go({ x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, width, height }, one.aspect);
      return;
    }
    const near = Math.hypot(event.clientX - this.#tap.x, event.clientY - this.#tap.y) < TWICE_PX;
    const twice = near && event.timeStamp - this.#tap.at_ms < TWICE_MS;
    this.#tap = { at_ms: twice ? -Infinity : event.timeStamp, x: event.clientX, y: event.clientY };
    if (twice && other.inside) this.#go({ x: other.x, y: other.y }, other.aspect);
  }

  /** Where a point of the screen lies in the picture, whatever bars are beside it and however it is enlarged. */
  #share(clientX, clientY) {
    const { player } = this.tile;
    const { width, height } = player?.size ?? {};
    if (!width || !height) return null;
    const box = player.picture.getBoundingClientRect();
    const aspect = width / height;
    const wide = Math.min(box.width, box.height * aspect);
    const [x, y] = [(clientX - box.left - (box.width - wide) / 2) / wide, (clientY - box.top - (box.height - wide / aspect) / 2) / (wide / aspect)];
    const cut = (/** @type {number} */ n) => Math.max(0, Math.min(1, n));
    return { x: cut(x), y: cut(y), inside: cut(x) === x && cut(y) === y, aspect };
  }

  async #go(area, aspect) {
    const { app, camera } = this.tile;
    try {
      await app.box.ask({ op: "aim", cam: camera, width: 0, height: 0, ...area, aspect: Math.max(0.2, Math.min(5, aspect)) });
    } catch (error) {
      app.notes.problem(error);
    }
  }
}
