// A picture to take away, at the camera's own size, named by camera and time.

import { el } from "./dom.js";
import { fileStamp, t } from "./i18n.js";
import { drawOver, through } from "./overlay.js";
import { download, fileName } from "./ui.js";

/**
 * @param {any} app @param {string} camera @param {CanvasImageSource} picture
 * @param {{width: number, height: number}} size @param {number} t_us When it was.
 * @param {string} stream Of which it was.
 * @param {any} [footage] And of which footage.
 */
export async function savePicture(app, camera, picture, size, t_us, stream, footage = null) {
  const canvas = el("canvas", { prop: size });
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ctx.drawImage(picture, 0, 0);
  const known = app.box.camera(camera);
  const seen = through(footage ? footage.dressed(known, t_us) : known, stream);
  const now = app.box.info.clock;
  if (seen) drawOver(ctx, size.width, size.height, seen, picture, t_us, footage?.clockAt(t_us, now) ?? now);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) return;
  const name = `${fileName(app.box.camera(camera)?.title || camera)}-${fileStamp(t_us)}.png`;
  download(blob, name);
  app.notes.say(t("snapshot.saved", { name }), "ok");
}
