// How large the volume is, and is to be.

import * as api from "../api.js";
import { el } from "../dom.js";
import { bytes, stamp, t } from "../i18n.js";
import { icon } from "../icons.js";
import { confirmLoss, field, form } from "../ui.js";

const GB = 1e9;
const MIB = 2 ** 20;

/** @param {any} one a volume */
const gb = (one) => String(Math.round(one.wanted_bytes / GB * 100) / 100);

/** @param {any} app @param {any[]} volumes those that are there @param {() => any} again */
export function sizePanel(app, volumes, again) {
  const which = field(t("size.volume"), { options: volumes.map((one) => [one.name, one.name]) });
  const size = field(t("size.field"), { type: "number", value: gb(volumes[0]), required: true, hint: t("size.hint") });
  size.input.min = "0.07";
  size.input.step = "any";
  which.input.addEventListener("change", () => { size.input.value = gb(volumes.find((one) => one.name === which.input.value)); });
  return el("section.panel.size", {}, el("h2", {}, icon("disk"), t("size.title")), el("div.pb", {}, el("p.s.sub", {}, t("size.what")), form({
    rows: volumes.length > 1 ? [which.row, size.row] : [size.row], act: t("size.do"),
    onSubmit: async () => {
      const size_mib = Math.round(Number(size.input.value) * GB / MIB);
      const volume = which.input.value;
      const plan = await api.get(`/api/ring/size?size_mib=${size_mib}&volume=${encodeURIComponent(volume)}`);
      if (plan.refused) throw new api.Problem(409, plan.refused.code, plan.refused.detail);
      if (plan.lost.length && !(await confirmLoss({
        title: t("size.lost.title", { size: bytes(plan.asked_bytes) }),
        lost: plan.lost.map((one) => t("size.lost", { camera: `${app.box.camera(one.camera)?.title || one.camera}${one.stream === "sub" ? "/sub" : ""}`, from: stamp(one.from_us), to: stamp(one.to_us), size: bytes(one.used_bytes) })),
        kept: [t("size.kept")],
        act: t("size.give"),
      }))) return;
      await api.post("/api/ring/size", { size_mib, volume, give_up: plan.lost.length > 0 });
      app.notes.say(t("size.done"), "ok");
      await again();
    },
  })));
}
