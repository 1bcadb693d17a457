// What a camera draws into its own picture for us, what it made of it, and whether it is to.

import { Problem } from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { problemBox } from "../ui.js";

const LOOKS = ["size", "format", "moved", "split", "corner", "mode"];

/** For as long as the part lives; nothing where a camera is not to draw. @param {"caption" | "masks"} what @param {() => void} flip Told that it is to, or not to. */
export function toldBox(app, part, name, what, flip) {
  const said = el("div.place", { role: "status" });
  const node = el("button.btn", { type: "button", on: { click: flip } }, t(`told.${what}`));
  const host = el("div.field", {}, node, said);
  let before = "";
  const draw = () => {
    const camera = app.box.camera(name);
    const drawn = camera?.[`${what}_drawn`];
    const on = (what === "caption" ? camera?.caption?.burn : camera?.mask_burn) !== "none";
    const now = JSON.stringify([drawn, on]);
    if (now === before) return;
    before = now;
    node.setAttribute("aria-pressed", String(on));
    host.hidden = !drawn && on;
    if (!drawn) return said.replaceChildren();
    const { state, code, detail, remarks } = drawn;
    const bad = state === "failed" || state === "impossible";
    said.replaceChildren(
      bad && code.startsWith("onvif.") ? problemBox(new Problem(0, code, detail), "soft") : "",
      el("p.s", { class: state === "drawn" ? "sub" : "warn" }, t(`told.${bad ? `${what}.no` : state}`)),
      ...remarks.map((one) => {
        const kind = one.code.split(".")[1];
        return el("p.s.sub", {}, one.line ? `${one.line}: ` : "", t(`told.${LOOKS.includes(kind) ? "looks" : kind}`, one), " ", el("span.code.mono", {}, one.code));
      }));
  };
  part.listen(app.box, "cameras", draw);
  draw();
  return host;
}
