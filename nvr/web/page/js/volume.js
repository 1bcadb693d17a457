// How loud: one slider beside a button for sound, one loudness for the whole page. Silent at first.

import { el } from "./dom.js";
import { t } from "./i18n.js";

const KEY = "nvr.volume";

const stored = () => {
  const value = Number(localStorage.getItem(KEY) ?? 1);
  return value >= 0 && value <= 1 ? value : 1;
};

/** A slider for an element's loudness, hidden until `showVolume`. @param {HTMLVideoElement} video */
export function volumeSlider(video) {
  video.volume = stored();
  return el("input.volume", {
    type: "range", min: "0", max: "100", step: "5", hidden: true, "aria-label": t("volume"), title: t("volume"), value: String(Math.round(stored() * 100)),
    on: {
      input: (event) => {
        video.volume = Number(event.target.value) / 100;
        localStorage.setItem(KEY, String(video.volume));
      },
      // The picture below takes arrows, drags and taps as moves of the camera.
      keydown: (event) => event.stopPropagation(),
      pointerdown: (event) => event.stopPropagation(),
    },
  });
}

/** Show it while there is something to hear. @param {HTMLInputElement} slider @param {HTMLVideoElement} video */
export function showVolume(slider, video) {
  slider.hidden = video.muted;
  video.volume = stored();
  slider.value = String(Math.round(stored() * 100));
}
