// Where the dome points, drawn over its picture: an azimuth tape and a tilt scale. Only for heads
// that report; a guess would be worse than nothing.

const NS = "http://www.w3.org/2000/svg";
const TAPE_PX = 400;
const TILT_PX = 200;
const PX_PER_DEG = 8;

function shape(name, attributes, text = "") {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  if (text) node.textContent = text;
  return node;
}

/** @param {{pan_deg: number, tilt_deg: number}} at @param {number} zoom 0 wide to 1 tele */
function tape({ pan_deg }, zoom) {
  const scale = PX_PER_DEG * (1 + 5 * Math.max(0, Math.min(1, zoom)));
  const svg = shape("svg", { class: "tape", viewBox: `0 0 ${TAPE_PX} 44`, width: TAPE_PX, height: 44 });
  svg.append(shape("path", { d: `M0 0h${TAPE_PX}v30H0z`, class: "back" }));
  const step = scale > 30 ? 5 : 10;
  const half = TAPE_PX / 2 / scale;
  let path = "";
  for (let deg = Math.ceil(pan_deg - half); deg <= pan_deg + half; deg += 1) {
    const x = TAPE_PX / 2 + (deg - pan_deg) * scale;
    path += `M${x.toFixed(1)} 30v-${deg % step === 0 ? 10 : deg % 5 === 0 ? 6 : 3}`;
    if (deg % step === 0) svg.append(shape("text", { x: x.toFixed(1), y: 15, "text-anchor": "middle" }, `${((deg % 360) + 360) % 360}°`));
  }
  svg.append(shape("path", { d: path, class: "tick" }), shape("path", { d: `M${TAPE_PX / 2} 34V2`, class: "now" }),
    shape("path", { d: `M${TAPE_PX / 2 - 7} 44h14l-7-10z`, class: "arrow" }));
  return svg;
}

function tilt({ tilt_deg }) {
  const svg = shape("svg", { class: "tscale", viewBox: `0 0 62 ${TILT_PX}`, width: 62, height: TILT_PX });
  const scale = 5;
  const half = TILT_PX / 2 / scale;
  let path = `M46 0v${TILT_PX}`;
  for (let deg = Math.ceil((tilt_deg - half) / 5) * 5; deg <= tilt_deg + half; deg += 5) {
    const y = TILT_PX / 2 - (deg - tilt_deg) * scale;
    path += `M${deg % 10 ? 43 : 40} ${y.toFixed(1)}h${deg % 10 ? 3 : 6}`;
    if (deg % 10 === 0 && y > 8 && y < TILT_PX - 8) svg.append(shape("text", { x: 36, y: (y + 4).toFixed(1), "text-anchor": "end" }, `${deg > 0 ? "+" : deg < 0 ? "−" : ""}${Math.abs(deg)}°`));
  }
  svg.append(shape("path", { d: path, class: "tick" }), shape("path", { d: `M58 ${TILT_PX / 2 - 6}l-9 6 9 6z`, class: "arrow" }));
  return svg;
}

/**
 * @param {HTMLElement} host
 * @param {{pan_deg: number, tilt_deg: number, zoom: number} | null | undefined} position
 */
export function drawHud(host, position) {
  const key = position ? `${position.pan_deg.toFixed(2)}|${position.tilt_deg.toFixed(2)}|${position.zoom.toFixed(2)}` : "";
  if (host.dataset.key === key) return;
  host.dataset.key = key;
  host.replaceChildren(...(position ? [tape(position, position.zoom), tilt(position)] : []));
}
