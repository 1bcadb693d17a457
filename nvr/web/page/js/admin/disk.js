// What is known of the disks: what reading back found, and how they are worn.

import { Problem, sentence } from "../api.js";
import { el } from "../dom.js";
import { bytes, span, stamp, t, unit } from "../i18n.js";

/** Rows of a list of facts. @param {[string, string][]} facts */
const table = (facts) => el("dl.kv", {}, ...facts.flatMap(([key, value]) => [el("dt", {}, t(key)), el("dd", {}, value)]));

/** The volumes, when there are several. @param {any[]} volumes */
export function volumeList(volumes) {
  if (volumes.length < 2) return "";
  const problem = (one) => one.code ? sentence(new Problem(0, one.code, one.detail)) : "";
  const held = (one) => one.from_us ? span((one.to_us - one.from_us) / 1e6) : "–";
  return el("div.scroll-x", {}, el("table.volumes", {},
    el("thead", {}, el("tr", {}, ...["name", "role", "used", "holds"].map((key) => el("th", { scope: "col" }, t(`vol.${key}`))))),
    el("tbody", {}, ...volumes.map((one) => el("tr", { "data-role": one.role },
      el("th", { scope: "row" }, one.name),
      el("td", {}, one.role === "recording" || one.role === "standby" ? t(`vol.${one.role}`) : el("b", {}, t(`vol.${one.role}`)), el("small", {}, problem(one))),
      el("td", {}, one.size_bytes ? `${bytes(one.used_bytes)} / ${bytes(one.size_bytes)}` : "–"),
      el("td", {}, held(one), one.to_us ? el("small", {}, t("vol.until", { time: stamp(one.to_us) })) : null))))));
}

/** What was read back, and what is damaged. @param {any} box @param {any} found */
export function readBack(box, found) {
  const { last, now, damages, avoided } = found;
  return el("div", {},
    table([
      ["back.last", last.to_us ? `${stamp(last.to_us)} · ${bytes(last.read_bytes)} · ${span((last.to_us - last.from_us) / 1e6)}` : "–"],
      ["back.now", now.from_us ? `${stamp(now.from_us)} · ${bytes(now.read_bytes)}` : "–"],
      ["back.damaged", String(damages.length)],
      ["back.avoided", avoided.length ? avoided.join(", ") : "0"],
    ]),
    damages.length ? el("table.harm", {},
      el("thead", {}, el("tr", {}, ...["camera", "at", "block"].map((key) => el("th", { scope: "col" }, t(`back.${key}`))))),
      el("tbody", {}, ...damages.map((one) => el("tr", {},
        el("th", { scope: "row" }, box.camera(one.camera)?.title || one.camera, one.stream === "main" ? null : el("small", {}, t(`stream.${one.stream}`))),
        el("td", {}, stamp(one.from_us), el("small", {}, span((one.to_us - one.from_us) / 1e6))),
        el("td", {}, String(one.block), el("b", {}, t(one.refused ? "back.refused" : "back.wrong"))))))) : null);
}

/** The disks and how they are worn. @param {any[]} disks */
export function wear(disks) {
  if (!disks.length) return el("p.s.dim", {}, t("disk.none"));
  const known = (value, say) => value === null ? t("disk.later") : say(value);
  const given = (value, say) => value === null || value === "" ? t("disk.not") : say(value);
  return el("div", {}, ...disks.map((one) => el("div.disk", {},
    el("h3", {}, `${t(`disk.kind.${one.kind}`)} · ${one.uses.map((use) => t(`disk.use.${use}`)).join(" · ")}`),
    table([
      ["disk.what", [one.name, one.maker, one.model, one.made].filter(Boolean).join(" ")],
      ["disk.size", bytes(one.size_bytes)],
      ["disk.day", known(one.bytes_a_day, bytes)],
      ...(one.uses.includes("volume") ? [
        ["disk.ours", known(one.recorded_a_day, bytes)],
        ["disk.amplified", known(one.amplification, (value) => value.toFixed(2))],
      ] : []),
      ["disk.year", known(one.disk_writes_a_year, (value) => value.toFixed(1))],
      ["disk.seen", `${bytes(one.written_bytes)} · ${span(one.watched_s)}`],
      ["disk.life", given(one.life_percent, (value) => value > 100 ? t("disk.over") : unit(`≤ ${value}`, "%"))],
      ["disk.spare", given(one.pre_eol, (value) => t(`disk.spare.${value}`))],
      ["disk.left", one.days_left === null ? t("disk.unsure") : span(one.days_left * 86400)],
      ["disk.warm", given(one.celsius, (value) => unit(value.toFixed(0), "°C"))],
    ]))));
}
