// Building blocks of the page. Text enters the document as text nodes only: a camera's title may
// hold anything.

/**
 * Make an element: `el("button.btn.p", {type: "button", on: {click: save}}, icon("ok"), "Save")`.
 * @param {string} spec Tag and classes.
 * @param {Record<string, any>} [props] Attributes; `on` holds listeners, `style` CSS properties,
 *   `data` data-attributes, `prop` object properties. false and null leave an attribute out.
 * @param {...any} children Nodes, text, or nothing.
 * @returns {any}
 */
export function el(spec, props, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [type, listen] of Object.entries(value)) node.addEventListener(type, listen);
    } else if (name === "style") {
      for (const [key, item] of Object.entries(value)) node.style.setProperty(key, item);
    } else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "prop") Object.assign(node, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Write text only when it changed: a layout saved each second on sixteen tiles. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or remove an attribute. @param {Element} node @param {string} name @param {any} value */
export function attr(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : String(value));
}

/**
 * An element that stops listening when it leaves the page. `start` builds or resumes, `stop` ends;
 * being moved within one task is neither, so a tile keeps its picture when it changes place.
 */
export class Part extends HTMLElement {
  /** @type {AbortController | null} */
  #life = null;

  connectedCallback() {
    if (this.#life) return;
    this.#life = new AbortController();
    this.start();
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected || !this.#life) return;
      this.#life.abort();
      this.#life = null;
      this.stop();
    });
  }

  start() {}

  stop() {}

  /** @returns {AbortSignal} */
  get life() {
    return this.#life ? this.#life.signal : AbortSignal.abort();
  }

  /** Listen for as long as the element is on the page. */
  listen(target, type, handler, options = {}) {
    target.addEventListener(type, handler, { ...options, signal: this.life });
  }

  /** Call `step` every `ms` for as long as the element is on the page. */
  every(ms, step) {
    const timer = setInterval(step, ms);
    this.life.addEventListener("abort", () => clearInterval(timer));
  }
}
