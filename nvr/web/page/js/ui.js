// Small parts every screen uses: STOP, notes, dialogs, fields, problems.

import { codeOf, Problem, sentence } from "./api.js";
import { el } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Characters of the shortest password or passphrase; the box holds it too. */
export const LEAST = 8;

/** A button with picture and word; `key` as of `el`. */
export function button(name, label, onClick, { cls = "", kbd = "", press = null, title = "", key = null } = {}) {
  return el(
    `button.btn${cls ? `.${cls.replaceAll(" ", ".")}` : ""}`,
    { type: "button", key, on: { click: onClick }, "aria-pressed": press === null ? null : String(press), title: title || null },
    name && icon(name), label && el("span", {}, label), kbd && el("kbd.only-desk", {}, kbd),
  );
}

/** A button with a picture only; the words go to assistive technology and the tooltip. */
export function iconButton(name, label, onClick, cls = "", key = null) {
  return el(`button.btn.ic${cls ? `.${cls.replaceAll(" ", ".")}` : ""}`, { type: "button", key, "aria-label": label, title: label, on: { click: onClick } }, icon(name));
}

/** The red one. It acts on pointerdown: a click would wait for the finger to leave. */
export function stopButton(cls, label, onStop, kbd = "") {
  const node = el(`button.stop.${cls}`, { type: "button" }, icon("oct"), el("span", {}, label), kbd && el("kbd.only-desk", {}, kbd));
  let pressed = 0;
  const act = () => {
    node.classList.add("hit");
    setTimeout(() => node.classList.remove("hit"), 160);
    onStop();
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pressed = event.timeStamp;
    act();
  });
  // Keyboard and assistive technology send a click without a pointer before it.
  node.addEventListener("click", (event) => event.timeStamp - pressed > 600 && act());
  return node;
}

/** One sentence, what is wrong, and the code. */
export function problemBox(problem, cls = "") {
  return el(`p.problem${cls ? `.${cls}` : ""}`, { role: "alert" }, icon("event"),
    el("span", {}, sentence(problem), " ", el("span.code.mono", {}, codeOf(problem))));
}

/** A line at the edge of the page that goes by itself. */
export class Notes {
  constructor() {
    this.host = el("div.notes", { role: "status", "aria-live": "polite" });
    document.body.append(this.host);
  }

  /** @param {string} text @param {"" | "ok" | "warn" | "alarm"} [kind] @param {string} [code] */
  say(text, kind = "", code = "") {
    const names = { ok: "ok", warn: "event", alarm: "event" };
    const note = el(`div.note${kind ? `.${kind}` : ""}`, {}, icon(names[kind] ?? "doc"), el("span", {}, text, code && " ", code && el("span.code.mono", {}, code)));
    if (this.host.childElementCount > 2) this.host.firstElementChild?.remove();
    this.host.append(note);
    setTimeout(() => note.remove(), kind === "alarm" || kind === "warn" ? 8000 : 4000);
  }

  /** @param {any} problem */
  problem(problem) {
    if (problem?.name === "AbortError") return;
    this.say(sentence(problem), "alarm", codeOf(problem));
  }
}

/**
 * A dialog below STOP. It is not modal to the browser, because `inert` would take STOP away too;
 * focus is kept inside by hand.
 * @param {{title: string, body: any[], actions: any[], wide?: boolean, onClose?: () => void}} options
 * @returns {{close: () => void, node: HTMLElement}}
 */
export function dialog({ title, body, actions, wide = false, onClose }) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const panel = el(`section.dialog${wide ? ".wide" : ""}`, { role: "dialog", "aria-modal": "true", "aria-labelledby": id, tabindex: "-1" },
    el("header", {}, el("h2", { id }, title), iconButton("x", t("close"), () => close(), "q")),
    el("div.dialog-body", {}, ...body),
    actions.length ? el("footer", {}, ...actions) : null);
  const veil = el("div.veil", { on: { pointerdown: (event) => event.target === veil && close() } }, panel);
  const onKey = (event) => {
    if (event.key === "Escape") close();
    if (event.key !== "Tab") return;
    const stops = /** @type {HTMLElement[]} */ ([...panel.querySelectorAll("button,input,select,textarea,a[href]")]).filter((node) => !node.hasAttribute("disabled"));
    const [first, last] = [stops[0], stops.at(-1)];
    if (event.shiftKey && document.activeElement === first) { last?.focus(); event.preventDefault(); }
    else if (!event.shiftKey && document.activeElement === last) { first?.focus(); event.preventDefault(); }
  };
  panel.addEventListener("keydown", onKey);
  function close() {
    if (!veil.isConnected) return;
    veil.remove();
    before?.focus?.();
    onClose?.();
  }
  document.body.append(veil);
  const field = /** @type {HTMLElement | null} */ (panel.querySelector("input,select,textarea"));
  (field ?? panel).focus();
  return { close, node: panel };
}

/** Ask before something is lost: says what goes, what stays; the safe answer is the wide one. */
export function confirmLoss({ title, lost, kept, act, safe }) {
  return new Promise((resolve) => {
    let answer = false;
    const box = dialog({
      title,
      body: [
        el("div.loss", {}, el("h3.alarm", {}, t("confirm.lost")), el("ul", {}, ...lost.map((line) => el("li", {}, line)))),
        kept.length ? el("div.loss", {}, el("h3.sub", {}, t("confirm.kept")), el("ul", {}, ...kept.map((line) => el("li", {}, line)))) : null,
      ],
      actions: [
        button("", act, () => { answer = true; box.close(); }, { cls: "danger" }),
        button("", safe ?? t("cancel"), () => box.close(), { cls: "p wide" }),
      ],
      onClose: () => resolve(answer),
    });
  });
}

let fieldCount = 0;

/** A labelled input. @returns {{row: HTMLElement, input: any}} */
export function field(label, { type = "text", value = "", hint = "", autocomplete = "off", required = false, pattern = "", placeholder = "", options = null, max = null } = {}) {
  fieldCount += 1;
  const id = `f${fieldCount}`;
  const input = options
    ? el("select.field-in", { id }, ...options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)))
    : el("input.field-in", { id, type, autocomplete, required, pattern: pattern || null, placeholder: placeholder || null, maxlength: max, spellcheck: "false", autocapitalize: "none", prop: { value }, "aria-describedby": hint ? `${id}h` : null });
  return { input, row: el("div.field", {}, el("label", { for: id }, label), input, hint && el("p.hint", { id: `${id}h` }, hint)) };
}

/** A form that shows its own progress and problem. */
export function form({ rows, act, onSubmit, extra = [] }) {
  const send = el("button.btn.p.wide", { type: "submit" }, act);
  const place = el("div.place", {});
  const node = el("form.form", {
    novalidate: true,
    on: {
      submit: async (event) => {
        event.preventDefault();
        if (send.disabled) return;
        // The browser's own bubbles speak the browser's language, not the page's.
        const wrong = [...node.querySelectorAll("input")].find((input) => !input.checkValidity());
        if (wrong) {
          const label = wrong.labels?.[0]?.textContent ?? "";
          place.replaceChildren(problemBox(new Problem(0, wrong.validity.valueMissing ? "page.missing" : "page.format", "", { label })));
          wrong.focus();
          return;
        }
        send.disabled = true;
        node.setAttribute("aria-busy", "true");
        place.replaceChildren();
        try {
          await onSubmit();
        } catch (error) {
          place.replaceChildren(problemBox(error));
        } finally {
          send.disabled = false;
          node.removeAttribute("aria-busy");
        }
      },
    },
  }, ...rows, place, el("div.row.end", {}, ...extra, send));
  return node;
}

/** A file for the person, from bytes made in the page. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Safe in every file system, Chinese kept. @param {string} text */
export const fileName = (text) => text.replace(/[\\/:*?"<>|\u0000-\u001f\s]+/g, "_").slice(0, 80);
