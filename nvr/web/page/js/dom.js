// Building blocks of the page. Text enters the document as text nodes only: a camera's title may
// hold anything.

/** @type {WeakMap<Node, Record<string, (event: any) => any>>} What listens on an element now. */
const ears = new WeakMap();
/** @type {WeakMap<Node, string>} */
const keys = new WeakMap();
const there = (child) => child !== null && child !== undefined && child !== false;

/**
 * Make an element: `el("button.btn.p", {type: "button", on: {click: save}}, icon("ok"), "Save")`.
 * @param {string} spec Tag and classes.
 * @param {Record<string, any>} [props] Attributes; `on` holds listeners, `style` CSS properties,
 *   `data` data-attributes, `prop` object properties, `key` what `show` knows it again by. false and
 *   null leave an attribute out.
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
      ears.set(node, value);
      for (const type of Object.keys(value)) node.addEventListener(type, (event) => ears.get(node)?.[type]?.(event));
    } else if (name === "style") {
      for (const [key, item] of Object.entries(value)) node.style.setProperty(key, item);
    } else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "prop") Object.assign(node, value);
    else if (name === "key") keys.set(node, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(there));
  return node;
}

/** A button is another one if it says something else, unless it has a key. */
const known = (node) => keys.get(node) ?? (node.nodeName === "BUTTON" ? node.getAttribute("aria-label") ?? node.textContent : "");
const kinds = (node) => Object.keys(ears.get(node) ?? {}).join();
const same = (one, other) => one.nodeName === other.nodeName && known(one) === known(other) && kinds(one) === kinds(other);

/**
 * Have a node show this and nothing else. What it shows already stays where it is, with the focus on
 * it or a finger above it, and takes over words, attributes, listeners and the value of a field.
 * @param {any} node @param {...any} children As of `el`.
 */
export function show(node, ...children) {
  const held = node.contains(document.activeElement);
  const before = [...node.childNodes];
  const now = children.flat().filter(there).map((child) => {
    const fresh = child instanceof Node ? child : document.createTextNode(child);
    const at = before.findIndex((one) => same(one, fresh));
    return at < 0 ? fresh : become(before.splice(at, 1)[0], fresh);
  });
  for (const one of before) one.remove();
  now.forEach((one, at) => node.childNodes[at] !== one && node.insertBefore(one, node.childNodes[at] ?? null));
  // Or Escape would not close the dialog any more.
  if (held && !node.contains(document.activeElement)) node.closest("[tabindex]")?.focus();
}

/** Make a node what `fresh` is. */
function become(node, fresh) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== fresh.data) node.data = fresh.data;
    return node;
  }
  for (const { name } of [...node.attributes]) if (!fresh.hasAttribute(name)) node.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (node.getAttribute(name) === value) continue;
    if (name === "style") node.style.cssText = value; // the other way is forbidden by our own policy
    else node.setAttribute(name, value);
  }
  if (ears.has(fresh)) ears.set(node, /** @type {any} */ (ears.get(fresh)));
  show(node, ...fresh.childNodes);
  for (const name of ["value", "checked"]) if (node[name] !== fresh[name]) node[name] = fresh[name];
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
