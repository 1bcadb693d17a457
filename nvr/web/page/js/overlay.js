// What lies over a picture that the camera encodes itself: privacy masks and the caption. Drawn here
// as the box burns them where it can; a snapshot takes both along.

import { el } from "./dom.js";

const FONT = '"Noto Sans SC","PingFang SC","Microsoft YaHei","Noto Sans CJK SC","WenQuanYi Micro Hei",sans-serif';
const DAYS = "日一二三四五六";
const SCROLL = 0.09;
const FIELD = /\{(time|date|weekday|hms|zone|clock)\}/g;

/** How far the box's clock can be trusted, as a caption says it. @param {{state: string, uncertainty_ms: number}} clock */
function clockText({ state, uncertainty_ms }) {
  if (!state) return "";
  if (state === "unsynced") return "时间未校准";
  const off = uncertainty_ms >= 0xffffffff ? "?" : uncertainty_ms < 1000 ? `${uncertainty_ms} ms` : `${(uncertainty_ms / 1000).toFixed(1)} s`;
  return `${state.toUpperCase()} ±${off}`;
}

/** A caption's line with its fields filled in. @param {string} line @param {number} t_us @param {{state: string, uncertainty_ms: number}} clock */
export function expand(line, t_us, clock) {
  if (!line.includes("{")) return line;
  const at = new Date(t_us / 1000);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const off = -at.getTimezoneOffset();
  const said = {
    date: `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`,
    weekday: `星期${DAYS[at.getDay()]}`,
    hms: `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`,
    zone: `${off < 0 ? "-" : "+"}${two(Math.floor(Math.abs(off) / 60))}:${two(Math.abs(off) % 60)}`,
    clock: clockText(clock), time: "",
  };
  said.time = `${said.date} ${said.weekday} ${said.hms} ${said.zone}`;
  return line.replace(FIELD, (_, name) => said[name]);
}

/** Characters of a line that count: what stands for a field does not. @param {string} line */
export const lengthOf = (line) => [...line.replace(FIELD, "")].length;

/** @param {CanvasRenderingContext2D} ctx @param {any} caption @param {number} t_us @param {any} clock */
function drawCaption(ctx, width, height, caption, t_us, clock) {
  const { mode } = caption;
  if (!caption.lines.length || (mode === "blink" && Math.floor(t_us / 5e5) % 2)) return;
  const size = Math.max(8, Math.floor((caption.size_permille * height) / 1000));
  const grounded = mode === "box" || mode === "inverse";
  const edge = mode === "plain" || grounded ? 0 : Math.max(1, size / 12);
  const margin = grounded ? size / 4 : edge + 1;
  const pad = grounded ? margin / 2 : margin;
  const [above, below] = [Math.ceil(size * 0.93), Math.ceil(size * 0.22)];
  const tall = above + below + 2 * pad;
  ctx.font = `${size}px ${FONT}`;
  ctx.textBaseline = "alphabetic";
  ctx.lineJoin = "round";
  const lines = caption.lines.map((line) => expand(line, t_us, clock));
  const wide = Math.max(...lines.map((line) => ctx.measureText(line).width)) + 2 * margin;
  let x = Math.min((caption.position_permille[0] * width) / 1000, Math.max(0, width - wide));
  let y = Math.min((caption.position_permille[1] * height) / 1000, Math.max(0, height - tall * lines.length));
  if (mode === "scroll") x = width - (((t_us / 1e6) * SCROLL * width) % (width + wide));
  for (const line of lines) {
    const long = ctx.measureText(line).width;
    if (grounded && long) {
      ctx.fillStyle = mode === "box" ? "rgb(0 0 0/.745)" : "rgb(255 255 255/.88)";
      ctx.fillRect(x, y, long + 2 * margin, tall);
    }
    if (edge) {
      ctx.lineWidth = 2 * edge;
      ctx.strokeStyle = "#000";
      ctx.strokeText(line, x + margin, y + pad + above);
    }
    ctx.fillStyle = mode === "inverse" ? "#000" : "#fff";
    ctx.fillText(line, x + margin, y + pad + above);
    y += tall;
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {number[][]} points */
export function outline(ctx, points, width, height) {
  ctx.beginPath();
  for (const [x, y] of points) ctx.lineTo((x * width) / 1000, (y * height) / 1000);
  ctx.closePath();
}

/** @param {CanvasRenderingContext2D} ctx @param {CanvasImageSource | null} picture @param {any[]} masks */
function drawMasks(ctx, width, height, masks, picture) {
  const block = Math.max(8, Math.floor(height / 24));
  const [columns, rows] = [Math.ceil(width / block), Math.ceil(height / block)];
  /** @type {HTMLCanvasElement | null} */
  let small = null;
  for (const { points_permille, kind } of masks) {
    outline(ctx, points_permille, width, height);
    ctx.fillStyle = "#101010";
    ctx.fill();
    if (kind !== "mosaic" || !picture) continue;
    if (!small) {
      small = el("canvas", { prop: { width: columns, height: rows } });
      const tiny = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
      tiny.imageSmoothingQuality = "high";
      tiny.drawImage(picture, 0, 0, columns, rows);
    }
    ctx.save();
    ctx.clip();
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(small, 0, 0, columns, rows, 0, 0, columns * block, rows * block);
    ctx.restore();
  }
}

/**
 * Draw what lies over a picture of some size.
 * @param {CanvasRenderingContext2D} ctx @param {any} camera @param {CanvasImageSource | null} picture
 * @param {number} t_us @param {any} clock @param {boolean} [bare] Without masks.
 */
export function drawOver(ctx, width, height, camera, picture, t_us, clock, bare = false) {
  if (!bare && !camera.masks_burned && camera.masks?.length) drawMasks(ctx, width, height, camera.masks, picture);
  if (!camera.caption_burned && camera.caption) drawCaption(ctx, width, height, camera.caption, t_us, clock);
}

/** A camera as one of its streams shows it: what a made sub stream carries is not drawn again. @param {any} camera @param {string} [stream] */
export const through = (camera, stream) => (stream === "sub" && camera?.sub?.caption_burned ? { ...camera, caption_burned: true } : camera);

/** True if something lies over a camera's pictures. @param {any} camera */
export const covers = (camera) => (!camera?.caption_burned && camera?.caption?.lines.length > 0) || (!camera?.masks_burned && camera?.masks?.length > 0);

/** True if who looks has no right to what is under a camera's masks. @param {any} camera */
export const hidden = (camera) => !camera?.masks_burned && camera?.masks?.length > 0 && !camera.rights.includes("unmasked");

const MOVING_MS = 100;

/** A canvas over a picture, drawn as often as what lies on it changes. */
export class Overlay {
  node = el("canvas.over", { "aria-hidden": "true", hidden: true });
  /** Without masks, for who may see what is under them and wants to. */
  bare = false;
  #drawn_ms = 0;

  /** @param {() => {camera: any, picture: HTMLVideoElement | HTMLCanvasElement, size: {width: number, height: number}, t_us: number, clock: any} | null} look */
  constructor(look) {
    this.look = look;
  }

  /** Draw what is true now; call it often, it draws when it must. */
  draw() {
    const seen = this.look();
    const on = seen !== null && seen.size.width > 0 && covers(seen.camera);
    this.node.hidden = !on;
    if (!on) return;
    const { width, height } = seen.size;
    if (this.node.width !== width || this.node.height !== height) Object.assign(this.node, { width, height });
    const ctx = /** @type {CanvasRenderingContext2D} */ (this.node.getContext("2d"));
    ctx.clearRect(0, 0, width, height);
    drawOver(ctx, width, height, seen.camera, seen.picture, seen.t_us, seen.clock, this.bare);
  }

  /** Keep drawing until `life` ends. @param {AbortSignal} life */
  run(life) {
    const step = (/** @type {number} */ now_ms) => {
      if (life.aborted) return;
      if (now_ms - this.#drawn_ms >= MOVING_MS) {
        this.#drawn_ms = now_ms;
        this.draw();
      }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}

/**
 * The canvas over what is played back, with what was written there when it was recorded.
 * @param {any} app @param {HTMLVideoElement} video @param {HTMLCanvasElement} canvas @param {AbortSignal} life
 * @param {() => [string, any, any]} played Which camera, by which Replay (null if by none), of which Footage.
 */
export function overReplay(app, video, canvas, life, played) {
  const over = new Overlay(() => {
    const [name, replay, footage] = played();
    const camera = app.box.camera(name);
    if (!camera || !replay || replay.hole) return null;
    const t_us = replay.position_us;
    const element = canvas.hidden;
    const size = element ? { width: video.videoWidth, height: video.videoHeight } : { width: canvas.width, height: canvas.height };
    return { camera: through(footage.dressed(camera, t_us), replay.stream), picture: element ? video : canvas, size, t_us, clock: footage.clockAt(t_us, app.box.info.clock) };
  });
  over.run(life);
  return over;
}
