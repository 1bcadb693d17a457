// Press to talk: while the button is held, this computer's microphone is heard at the camera. The
// box is told by what comes: a page that sends nothing for a second has let go.

import { cameraPath, get, Problem, sentence, socketUrl } from "./api.js";
import { attr, el } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** Encoders of ITU-T G.711, of samples from -1 to 1. @type {Record<string, (value: number) => number>} */
export const G711 = {
  pcmu: (value) => {
    const sign = value < 0 ? 0x80 : 0;
    const magnitude = Math.min(32635, Math.round(Math.abs(value) * 32767)) + 132;
    const segment = Math.max(0, 24 - Math.clz32(magnitude));
    return ~(sign | (segment << 4) | ((magnitude >> (segment + 3)) & 15)) & 255;
  },
  pcma: (value) => {
    const sign = value < 0 ? 0 : 0x80;
    const magnitude = Math.min(32767, Math.round(Math.abs(value) * 32767));
    const segment = Math.max(0, 24 - Math.clz32(magnitude));
    const low = segment ? (magnitude >> (segment + 3)) & 15 : magnitude >> 4;
    return (sign | (segment << 4) | low) ^ 0x55;
  },
};

const NO_MIC = { NotAllowedError: "talk.denied", NotFoundError: "talk.nomic" };

/** One time of speaking, from press to release. */
class Spurt {
  #socket = /** @type {WebSocket | null} */ (null);
  #stream = /** @type {MediaStream | null} */ (null);
  #context = /** @type {AudioContext | null} */ (null);
  #over = false;

  /** @param {string} camera @param {(state: "ready" | "over", problem?: any) => void} told */
  constructor(camera, told) {
    this.told = told;
    this.#begin(camera).catch((error) => this.#fail(NO_MIC[error.name] ? new Problem(0, NO_MIC[error.name], "") : error));
  }

  async #begin(camera) {
    if (!navigator.mediaDevices) throw new Problem(0, "talk.nomic", "");
    // Asked together: the camera takes a moment to listen, a person to allow the microphone.
    const context = new AudioContext();
    this.#context = context;
    const [stream] = await Promise.all([
      navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } }),
      context.audioWorklet.addModule(new URL("./mic.js", import.meta.url)),
    ]);
    this.#stream = stream;
    if (this.#over) return this.close();
    const mic = new AudioWorkletNode(context, "nvr-mic", { numberOfOutputs: 0 });
    context.createMediaStreamSource(stream).connect(mic);
    const socket = new WebSocket(socketUrl(`/ws/talk/${encodeURIComponent(camera)}`));
    this.#socket = socket;
    let encode = /** @type {((value: number) => number) | null} */ (null);
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "error") return this.#fail(new Problem(0, message.code, message.detail, { by: message.by }));
      encode = G711[message.codec];
      return this.told("ready");
    };
    socket.onclose = () => this.#fail(null);
    mic.port.onmessage = (event) => {
      if (encode && socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 4000) socket.send(Uint8Array.from(event.data, encode));
    };
  }

  #fail(problem) {
    if (this.#over) return;
    this.close();
    this.told("over", problem);
  }

  close() {
    this.#over = true;
    this.#stream?.getTracks().forEach((track) => track.stop());
    if (this.#context && this.#context.state !== "closed") this.#context.close();
    const socket = this.#socket;
    if (!socket) return;
    socket.onclose = null;
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}

/**
 * A button that is held to speak, hidden until the camera is known to listen.
 * @param {any} app @param {string} camera
 */
export function talkButton(app, camera) {
  const node = /** @type {HTMLElement & {look?: () => void, leave?: () => void}} */ (
    el("button.btn.ic.talk", { type: "button", hidden: true, "aria-label": t("talk"), title: t("talk.hold"), "aria-pressed": "false" }, icon("mic")));
  let spurt = /** @type {Spurt | null} */ (null);
  let asked = false;

  const end = () => {
    spurt?.close();
    spurt = null;
    node.classList.remove("wait", "on");
    attr(node, "aria-pressed", "false");
  };
  const begin = () => {
    if (spurt) return;
    node.classList.add("wait");
    attr(node, "aria-pressed", "true");
    spurt = new Spurt(camera, (state, problem) => {
      if (state === "ready") {
        node.classList.replace("wait", "on");
        return;
      }
      end();
      if (problem) app.notes.say(sentence(problem), "warn");
    });
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.stopPropagation();
    node.setPointerCapture(event.pointerId);
    begin();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) node.addEventListener(name, end);
  node.addEventListener("contextmenu", (event) => event.preventDefault());
  node.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) begin();
  });
  node.addEventListener("keyup", (event) => {
    if (event.key === " " || event.key === "Enter") end();
  });

  /** Ask the box once whether this camera can be spoken through. */
  node.look = () => {
    if (asked || !app.box.may(camera, "relay")) return;
    asked = true;
    get(cameraPath(camera, "/talk")).then((found) => { node.hidden = !found.available; }, () => { asked = false; });
  };
  node.leave = end;
  return node;
}
