// Small pictures of what was: a line with bad times shaded, and a day as a bar.

const NS = "http://www.w3.org/2000/svg";
const WIDTH = 360;
const HEIGHT = 64;

function shape(name, attributes) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}

function picture(cls, width, height, label) {
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: cls, role: "img", "aria-label": label });
  return svg;
}

/** Stretches of equal letters: [letter, from, to]. @param {string} state @returns {[string, number, number][]} */
export function stretches(state) {
  /** @type {[string, number, number][]} */
  const found = [];
  for (let at = 0; at < state.length; at += 1) {
    const last = found.at(-1);
    if (last?.[0] === state[at]) last[2] = at + 1;
    else found.push([state[at], at, at + 1]);
  }
  return found;
}

/**
 * A line of values, newest at the right, over the shades of what state they were in.
 * @param {number[]} values @param {string} state A letter a value. @param {number} least Top of the scale at least. @param {string} label
 */
export function plot(values, state, least, label) {
  const svg = picture("line", WIDTH, HEIGHT, label);
  svg.append(shape("path", { class: "gr", d: `M0 4H${WIDTH}M0 32H${WIDTH}M0 60H${WIDTH}` }));
  const count = Math.max(2, values.length);
  const x = (at) => (at / (count - 1)) * WIDTH;
  const top = Math.max(least, ...values, 1);
  const y = (value) => 60 - (value / top) * 56;
  for (const [letter, from, to] of stretches(state)) {
    if (!"dl".includes(letter)) continue;
    const begin = x(Math.max(0, from - 0.5));
    svg.append(shape("rect", { class: letter === "l" ? "bad lost" : "bad", x: begin, y: 0, width: Math.max(1.5, x(Math.min(count - 1, to - 0.5)) - begin), height: HEIGHT }));
  }
  if (values.length > 1) svg.append(shape("path", { class: "ln", d: values.map((value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("") }));
  return svg;
}

/** States of a day as a bar. @param {string} state @param {string} label */
export function bars(state, label) {
  const svg = picture("day", Math.max(1, state.length), 10, label);
  for (const [letter, from, to] of stretches(state)) svg.append(shape("rect", { class: `st-${letter.trim() || "n"}`, x: from, y: 0, width: to - from, height: 10 }));
  return svg;
}
