// Addresses to copy: of a camera live, or of a stretch of its recordings, for players and hosts.

import { cameraPath, post } from "./api.js";
import { el } from "./dom.js";
import { stamp, t } from "./i18n.js";
import { stretch } from "./lock.js";
import { button, dialog, field, form } from "./ui.js";

const HOURS = [1, 24, 168, 720];

/** @param {any} app @param {string} label @param {string} address @param {string} [hint] */
function line(app, label, address, hint = "") {
  const copy = async () => {
    await navigator.clipboard.writeText(address).then(() => app.notes.say(t("copied"), "ok"), (error) => app.notes.problem(error));
  };
  return el("div.secret", {}, el("span.s.sub", {}, label), el("code.mono", {}, address),
    navigator.clipboard ? button("doc", t("copy"), copy) : null, hint && el("p.hint", {}, hint));
}

/**
 * Ask what of a camera, and show its addresses.
 * @param {any} app @param {string} name @param {{from_us: number, to_us: number} | null} range What is marked.
 * @param {boolean} hasSub There is a sub stream.
 */
export function linkDialog(app, name, range, hasSub) {
  const camera = app.box.camera(name);
  const what = field(t("link.of"), { value: range ? "span" : "live", options: [["live", t("link.live")], ...(range ? [["span", stretch(range)]] : [])] });
  const stream = field(t("plan.stream"), { value: "main", options: [["main", t("stream.main")], ["sub", t("stream.sub")]] });
  stream.row.hidden = !hasSub;
  const hours = field(t("link.keep"), { value: "24", options: HOURS.map((one) => [String(one), t(`link.keep.${one}`)]) });
  const out = el("div", {});
  dialog({
    title: t("link.title", { title: camera?.title || name }), wide: true,
    body: [el("p.s.sub", {}, t("link.what")), form({
      rows: [el("div.two", {}, what.row, hours.row), stream.row], act: t("link.make"),
      onSubmit: async () => {
        const span = what.input.value === "span" ? range : null;
        const body = { hours: Number(hours.input.value), stream: stream.input.value, ...(span ? { from_us: Math.floor(span.from_us), to_us: Math.ceil(span.to_us) } : {}) };
        const made = await post(cameraPath(name, "/link"), body);
        const path = `${span ? "rec" : "cam"}/${name}${body.stream === "sub" ? "/sub" : ""}`;
        out.replaceChildren(
          line(app, "HLS", location.origin + made.path, t("link.until", { time: stamp(made.until_us) })),
          line(app, "RTSP", `rtsp://${location.hostname}:${made.rtsp_port}/${path}`, t(span ? "link.rtsp.span" : "link.rtsp")));
      },
    }), out],
    actions: [],
  });
}
