// This box: clock, ring, version, certificate.

import * as api from "../api.js";
import { el, put } from "../dom.js";
import { bytes, doubt, span, stamp, t, unit } from "../i18n.js";
import { icon } from "../icons.js";
import { problemBox } from "../ui.js";

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function boxPage(app, host, part) {
  const { box } = app;
  const rows = {};
  const table = (...keys) => el("dl.kv", {}, ...keys.flatMap((key) => [el("dt", {}, t(`box.${key}`)), (rows[key] = el("dd", {}, "–"))]));
  const meter = el("i", {});
  const ringNote = el("div.place", {});
  const keeps = el("div.scroll-x", {});
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.box"))),
    el("div.box-grid", {},
      el("section.panel", {}, el("h2", {}, icon("disk"), t("box.ring")), el("div.pb", {}, el("div.meter", {}, meter), table("used", "reach", "behind", "uuid"), ringNote)),
      el("section.panel", {}, el("h2", {}, icon("clock"), t("keep.title")), el("div.pb", {}, el("p.s.sub", {}, t("keep.what")), keeps)),
      el("section.panel", {}, el("h2", {}, icon("clock"), t("box.clock")), el("div.pb", {}, table("now", "source", "doubt"))),
      el("section.panel", {}, el("h2", {}, icon("chip"), t("box.about")), el("div.pb", {}, table("name", "version", "cameras", "link"))),
      el("section.panel", {}, el("h2", {}, icon("shield"), t("box.tls")), el("div.pb", {}, el("p.s.sub", {}, t("box.tls.what")), el("p.mono.s.finger", {}, box.info.certificate_sha256 || t("box.tls.none"))))));

  const draw = () => {
    const { clock, name, version } = box.info;
    put(rows.now, stamp(box.now_us));
    put(rows.source, t(`clock.${clock?.state ?? "unsynced"}`));
    put(rows.doubt, doubt(clock) || "–");
    rows.doubt.className = clock?.state === "unsynced" ? "oth" : "";
    put(rows.name, name || "–");
    put(rows.version, version || "–");
    put(rows.cameras, `${box.cameras.filter((camera) => camera.state === "live").length} / ${box.cameras.length}`);
    put(rows.link, box.rtt_ms ? unit(box.rtt_ms.toFixed(1), "ms") : "–");
  };

  const ring = async () => {
    try {
      const now = await api.get("/api/ring");
      const share = now.size_bytes ? Math.min(1, now.used_bytes / now.size_bytes) : 0;
      meter.style.width = `${share * 100}%`;
      put(rows.used, `${bytes(now.used_bytes)} / ${bytes(now.size_bytes)} · ${unit(Math.round(share * 100), "%")}`);
      put(rows.reach, now.oldest_us ? `${span((box.now_us - now.oldest_us) / 1e6)} · ${stamp(now.oldest_us)}` : "–");
      put(rows.behind, now.behind_s === undefined ? "–" : unit(now.behind_s.toFixed(1), "s"));
      rows.behind.className = now.behind_s > 1 ? "warn" : "";
      put(rows.uuid, now.uuid ?? "–");
      keeps.replaceChildren(keepTable(box, now.streams ?? []));
      ringNote.replaceChildren();
    } catch (error) {
      ringNote.replaceChildren(problemBox(error));
    }
  };

  part.listen(box, "info", draw);
  part.every(5000, ring);
  draw();
  await ring();
}

/** What each camera is promised, holds and will hold. @param {any} box @param {any[]} streams */
function keepTable(box, streams) {
  if (!streams.length) return el("p.s.dim", {}, t("keep.none"));
  const days = (hours) => span(hours * 3600);
  return el("table.keep", {},
    el("thead", {}, el("tr", {}, ...["camera", "promised", "held", "will"].map((key) => el("th", { scope: "col" }, t(`keep.${key}`))))),
    el("tbody", {}, ...streams.map((one) => el("tr", {},
      el("th", { scope: "row" }, box.camera(one.camera)?.title || one.camera),
      el("td", {}, days(one.promised_h)),
      el("td", {}, one.from_us ? span((box.now_us - one.from_us) / 1e6) : "–"),
      el("td", {}, one.holds_h === null ? t("keep.unknown") : days(one.holds_h), one.short ? el("b", {}, t("keep.short")) : null)))));
}
