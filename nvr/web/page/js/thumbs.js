// Small pictures of presets: the box's, and until it has one this browser's own. They are drawn on
// canvases: an image element would need img-src data: or blob: in the content security policy.

import * as api from "./api.js";

const key = (camera, number) => `nvr.thumb.${camera}.${number}`;

/** @param {string} camera @param {number} number @param {HTMLCanvasElement | null} picture */
export async function keepThumb(camera, number, picture) {
  if (!picture) return;
  const text = picture.toDataURL("image/jpeg", 0.7);
  try {
    localStorage.setItem(key(camera, number), text.slice(text.indexOf(",") + 1));
  } catch {
    // A full store loses a thumbnail, nothing else.
  }
}

/** @param {string} camera @param {number} number */
export const dropThumb = (camera, number) => localStorage.removeItem(key(camera, number));

/**
 * @param {string} camera @param {{number: number, pictured_us?: number}} preset @param {HTMLCanvasElement} canvas
 * @returns {Promise<boolean>}
 */
export async function drawThumb(camera, { number, pictured_us }, canvas) {
  if (pictured_us) {
    try {
      const answer = await api.request(api.cameraPath(camera, `/preset/${number}/picture.jpg?at=${pictured_us}`));
      return await draw(await answer.blob(), canvas);
    } catch {
      // Not to be seen by this person, or just erased.
    }
  }
  const text = localStorage.getItem(key(camera, number));
  if (!text) return false;
  try {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return await draw(new Blob([bytes], { type: "image/jpeg" }), canvas);
  } catch {
    return false;
  }
}

/** @param {Blob} jpeg @param {HTMLCanvasElement} canvas */
async function draw(jpeg, canvas) {
  const bitmap = await createImageBitmap(jpeg);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return true;
}
