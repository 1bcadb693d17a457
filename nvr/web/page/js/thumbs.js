// Small pictures of presets, kept in this browser. They are drawn on canvases: an image element
// would need img-src data: or blob: in the content security policy.

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

/** @param {string} camera @param {number} number @param {HTMLCanvasElement} canvas @returns {Promise<boolean>} */
export async function drawThumb(camera, number, canvas) {
  const text = localStorage.getItem(key(camera, number));
  if (!text) return false;
  try {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return true;
  } catch {
    return false;
  }
}
