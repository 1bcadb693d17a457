// Our own 24 px strokes. They are built as SVG elements in the colour of the text: a data: URL in
// a style sheet would need img-src data: in the content security policy.

const NS = "http://www.w3.org/2000/svg";

/** Path data of each shape; a leading * means filled. @type {Record<string, string[]>} */
const SHAPES = {
  back: ["M3 12a9 9 0 1 0 3-6.7M3 4v5h5", "M12 8v4l3 2"],
  bolt: ["M13 3L5 14h6l-1 7 9-12h-6z"],
  bin: ["M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5"],
  cam: ["M3 7h12v10H3zM15 11l6-3v8l-6-3"],
  chip: ["M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4"],
  clock: ["M3.5 12a8.5 8.5 0 1 0 17 0a8.5 8.5 0 1 0 -17 0z", "M12 7v5l3.5 2"],
  cut: ["M3 12h6M15 12h6M10 8l4 8M14 8l-4 8"],
  disk: ["M4 5h16v14H4zM4 14h16M16 17h1"],
  doc: ["M6 3h9l4 4v14H6zM14 3v5h5M9 12h6M9 16h6"],
  down: ["M6 9l6 6 6-6"],
  event: ["M12 3l9.5 17h-19z", "M12 10v5M12 17.5v.5"],
  exp: ["M12 15V4M8 8l4-4 4 4M5 14v6h14v-6"],
  eyeoff: ["M4 4l16 16M9.9 5.3A9.8 9.8 0 0 1 12 5q6 0 9.5 7a17 17 0 0 1-2.6 3.7M6 7.3A17 17 0 0 0 2.5 12Q6 19 12 19a9 9 0 0 0 4.2-1"],
  field: ["M14.5 6.5a4.5 4.5 0 0 0-6 5.8L3 17.8 6.2 21l5.5-5.5a4.5 4.5 0 0 0 5.8-6L14.5 12.5 11.5 9.5z"],
  frz: ["M12 3v18M4.2 7.5l15.6 9M19.8 7.5l-15.6 9"],
  full: ["M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"],
  gear: ["M9 12a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", "M12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2"],
  grid: ["M4 5h7v6H4zM13 5h7v6h-7zM4 13h7v6H4zM13 13h7v6h-7z"],
  home: ["M4 11l8-7 8 7M6 10v10h12V10"],
  inp: ["M3 12h10M9 8l4 4-4 4M16 5h4v14h-4"],
  lamp: ["M12 3a6 6 0 0 0-3 11v3h6v-3a6 6 0 0 0-3-11zM9.5 20.5h5"],
  left: ["M15 6l-6 6 6 6"],
  key: ["M3 8h18v9H3zM6 11h1M10 11h1M14 11h1M18 11h.5M8 14h8"],
  link: ["M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1"],
  live: ["M3 6h18v12H3z", "*M10 9.5v5l4-2.5z"],
  lock: ["M5 11h14v9H5zM8 11V8a4 4 0 0 1 8 0v3"],
  mask: ["M4 5h16v14H4zM4 12l7-7M4 19L18 5M11 19l9-9"],
  mic: ["M9 4h6v9H9zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21"],
  minus: ["M5 12h14"],
  next: ["*M6 6l8 6-8 6zM17 6v12"],
  oct: ["*M8 2h8l6 6v8l-6 6H8l-6-6V8z"],
  ok: ["M4.5 12.5l5 5L20 7"],
  out: ["M14 4H5v16h9M10 12h11M17 8l4 4-4 4"],
  pause: ["*M7 5h3v14H7z", "*M14 5h3v14h-3z"],
  play: ["*M7 5v14l12-7z"],
  plus: ["M12 5v14M5 12h14"],
  prev: ["*M18 6l-8 6 8 6zM7 6v12"],
  rec: ["*M6 12a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z"],
  relay: ["M3 16a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z", "M17 16a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z", "M6.5 14.5L17 7"],
  rev: ["*M17 5v14L5 12z"],
  right: ["M9 6l6 6-6 6"],
  scan: ["M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M4 12h16"],
  seal: ["M4 15a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M11 12l9-9M16.5 6.5l3 3M14 9l2 2"],
  shield: ["M12 3l8 3v6q0 6-8 9-8-3-8-9V6z"],
  sl: ["M14 7l-5 5 5 5M6 7v10"],
  snap: ["M4 8h4l2-3h4l2 3h4v11H4z", "M8.5 13a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z"],
  sr: ["M10 7l5 5-5 5M18 7v10"],
  stick: ["M8 7a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M12 11v6M5 20v-3h14v3"],
  sync: ["M4 8h13l-3-3M20 16H7l3 3"],
  target: ["M6 12a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z", "M12 2.5v6M12 15.5v6M2.5 12h6M15.5 12h6"],
  temp: ["M10 14V5a2 2 0 0 1 4 0v9a4 4 0 1 1-4 0z"],
  tour: ["M3 18a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z", "M17 6a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z", "M7 18h7a3.5 3.5 0 0 0 0-7h-4a3 3 0 0 1 0-5h7"],
  up: ["M6 15l6-6 6 6"],
  up2: ["M12 20V5M6 11l6-6 6 6"],
  user: ["M8 8a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "M4 20q1-6 8-6t8 6"],
  vol: ["M4 9v6h4l5 4V5L8 9zM16.5 9a4 4 0 0 1 0 6M19 6.5a8 8 0 0 1 0 11"],
  wifi: ["M2.5 9a14 14 0 0 1 19 0M6 13a9 9 0 0 1 12 0M9.5 16.5a4 4 0 0 1 5 0"],
  wiper: ["M3 17a9 9 0 0 1 18 0M12 17l5-8", "M10.5 17a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0 -3 0z"],
  x: ["M6 6l12 12M18 6L6 18"],
  globe: ["M3 12a9 9 0 1 0 18 0a9 9 0 1 0 -18 0zM3 12h18M12 3q-8 9 0 18q8-9 0-18z"],
  zoom: ["M4 10.5a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0z", "M15.5 15.5L21 21M10.5 8v5M8 10.5h5"],
};

/**
 * A picture for a control; hidden from assistive technology, the control carries the words.
 * @param {string} name
 * @param {string} [size] CSS class for another size than 20 px.
 * @returns {SVGSVGElement}
 */
export function icon(name, size = "") {
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `i ${size}`.trim());
  svg.setAttribute("aria-hidden", "true");
  for (const shape of SHAPES[name] ?? SHAPES.x) {
    const path = document.createElementNS(NS, "path");
    const filled = shape.startsWith("*");
    path.setAttribute("d", filled ? shape.slice(1) : shape);
    if (filled) path.setAttribute("class", "f");
    svg.append(path);
  }
  return svg;
}
