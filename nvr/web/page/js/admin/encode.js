// What this box encodes with, and how a local camera is encoded.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t, unit } from "../i18n.js";
import { field } from "../ui.js";

/** @param {any} one An encoder. */
function said(one) {
  if (one.state === "trying" || one.state === "untried") return t(`enc.${one.state}`);
  if (one.state !== "works") return el("span", {}, el("b", {}, t("enc.failed")), el("small", {}, one.detail));
  return el("span", {}, t("enc.works", { n: one.psnr_db }), one.proven || one.costs.length ? null : el("small", {}, t("enc.untested")));
}

/** Encoders of the box, and what each local camera gets. @param {any} box @param {any} report */
export function encoders(box, report) {
  const most = (one) => [one.sessions < 64 ? t("enc.sessions", { n: one.used, of: one.sessions }) : String(one.used), one.mpixel_s ? t("enc.pixels", { n: one.mpixel_s }) : ""].filter(Boolean).join(" · ");
  const gets = (one) => one.encoder ? el("span", {}, `${one.encoder} ${one.preset}`.trim(), one.instead_of ? el("b", {}, t("enc.instead", { name: one.instead_of })) : null) : el("b", {}, api.sentence(new api.Problem(0, one.code, one.detail)));
  const cost = (one) => one.pictures ? t("enc.cost", { n: unit((one.cpu_s * 1000 / one.pictures).toFixed(1), "ms"), late: one.late }) : "–";
  const streams = report.streams.length
    ? el("table.encoders", {},
      el("thead", {}, el("tr", {}, ...["camera", "with", "cost.head"].map((key) => el("th", { scope: "col" }, t(`enc.${key}`))))),
      el("tbody", {}, ...report.streams.map((one) => el("tr", {},
        el("th", { scope: "row" }, box.camera(one.stream.split("/")[0])?.title || one.stream, one.stream.endsWith("/sub") ? el("small", {}, t("stream.sub")) : null),
        el("td", {}, gets(one)), el("td", {}, cost(one))))))
    : el("p.s.dim", {}, t("enc.none"));
  return el("div", {},
    el("table.encoders", {},
      el("thead", {}, el("tr", {}, ...["name", "state", "used"].map((key) => el("th", { scope: "col" }, t(`enc.${key}`))))),
      el("tbody", {}, ...report.encoders.map((one) => el("tr", { "data-state": one.state },
        el("th", { scope: "row" }, one.name, el("small", {}, one.codec === "h265" ? "H.265" : "H.264")),
        el("td", {}, said(one)), el("td", {}, most(one)))))),
    el("p.s.sub", {}, t("enc.cores", { used: report.used_cores, n: report.cores })),
    streams);
}

/** Fields of a local camera's dialog; nothing for a network camera. @param {any} given @param {any} report */
export function encodeFields(given, report) {
  if (!given) return { row: null, read: () => null };
  const choice = (key, values, words) => field(t(`enc.${key}`), { value: String(given[key]), options: values.map((value) => [value, words(value)]) });
  const names = ["auto", ...new Set(report.encoders.filter((one) => one.state !== "failed").map((one) => one.name)), given.encoder];
  const encoder = choice("encoder", [...new Set(names)], (value) => value === "auto" ? t("enc.auto") : value);
  const codec = choice("codec", ["h264", "h265"], (value) => value === "h265" ? "H.265" : "H.264");
  const profile = choice("profile", ["baseline", "main", "high"], (value) => t(`enc.profile.${value}`));
  const latency = choice("latency", ["low", "normal"], (value) => t(`enc.latency.${value}`));
  const number = (key, pattern) => field(t(`enc.${key}`), { value: given[key] ? String(given[key]) : "", pattern, max: 6, hint: t(`enc.${key}.hint`) });
  const numbers = { kbit_s: number("kbit_s", "[1-9][0-9]{1,5}"), gop_s: number("gop_s", "[0-9]{1,2}(\\.[0-9])?"), fps: number("fps", "[1-9][0-9]?") };
  return {
    row: el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("enc.title")),
      el("div.two", {}, encoder.row, codec.row), el("div.two", {}, numbers.kbit_s.row, numbers.fps.row),
      el("div.two", {}, numbers.gop_s.row, latency.row), profile.row),
    read: () => ({
      encoder: encoder.input.value, codec: codec.input.value, profile: profile.input.value, latency: latency.input.value,
      kbit_s: Number(numbers.kbit_s.input.value), fps: Number(numbers.fps.input.value), gop_s: Number(numbers.gop_s.input.value) || 2,
    }),
  };
}

/** Encode a camera otherwise, if that is a change. */
export async function saveEncode(name, before, now) {
  if (!now || Object.keys(now).every((key) => now[key] === before[key])) return;
  await api.put(api.cameraPath(name, "/encode"), now);
}
