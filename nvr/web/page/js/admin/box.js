// This box: clock, ring, version, certificate.

import * as api from "../api.js";
import { el, put, show } from "../dom.js";
import { bytes, doubt, span, stamp, t, unit } from "../i18n.js";
import { icon } from "../icons.js";
import { LEAST, field, form, problemBox } from "../ui.js";
import { readBack, volumeList, wear } from "./disk.js";
import { encoders } from "./encode.js";
import { timeForm } from "./ntp.js";
import { lineTable } from "./serial.js";
import { sizePanel } from "./size.js";

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part */
export async function boxPage(app, host, part) {
  const { box } = app;
  const rows = {};
  const table = (...keys) => el("dl.kv", {}, ...keys.flatMap((key) => [el("dt", {}, t(`box.${key}`)), (rows[key] = el("dd", {}, "–"))]));
  const meter = el("i", {});
  const ringNote = el("div.place", {});
  const volumes = el("div", {});
  const keeps = el("div.scroll-x", {});
  const back = el("div.scroll-x", {});
  const disks = el("div", {});
  const coding = el("div.scroll-x", {});
  const serial = el("div.scroll-x", {});
  const size = el("div.slot", {});
  const timed = el("div.slot", {});
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.box"))),
    el("div.box-grid", {},
      el("section.panel", {}, el("h2", {}, icon("disk"), t("box.ring")), el("div.pb", {}, el("div.meter", {}, meter), table("used", "locked", "reach", "behind", "uuid"), volumes, ringNote)),
      box.admin ? size : null,
      el("section.panel", {}, el("h2", {}, icon("clock"), t("keep.title")), el("div.pb", {}, el("p.s.sub", {}, t("keep.what")), keeps)),
      el("section.panel.back", {}, el("h2", {}, icon("shield"), t("back.title")), el("div.pb", {}, el("p.s.sub", {}, t("back.what")), back)),
      el("section.panel.disks", {}, el("h2", {}, icon("disk"), t("disk.title")), el("div.pb", {}, el("p.s.sub", {}, t("disk.about")), disks)),
      el("section.panel.encoders", {}, el("h2", {}, icon("chip"), t("enc.box")), el("div.pb", {}, el("p.s.sub", {}, t("enc.about")), coding)),
      el("section.panel.lines", {}, el("h2", {}, icon("link"), t("serial.title")), el("div.pb", {}, el("p.s.sub", {}, t("serial.about")), serial)),
      el("section.panel", {}, el("h2", {}, icon("clock"), t("box.clock")), el("div.pb", {}, table("now", "source", "doubt"), timed)),
      el("section.panel", {}, el("h2", {}, icon("chip"), t("box.about")), el("div.pb", {}, table("name", "version", "cameras", "link"))),
      el("section.panel", {}, el("h2", {}, icon("shield"), t("box.tls")), el("div.pb", {}, el("p.s.sub", {}, t("box.tls.what")), el("p.mono.s.finger", {}, box.info.certificate_sha256 || t("box.tls.none")))),
      box.admin ? backupPanel(app) : null));

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
      put(rows.locked, bytes(now.locked_bytes ?? 0));
      put(rows.reach, now.oldest_us ? `${span((box.now_us - now.oldest_us) / 1e6)} · ${stamp(now.oldest_us)}` : "–");
      put(rows.behind, now.behind_s === undefined ? "–" : unit(now.behind_s.toFixed(1), "s"));
      rows.behind.className = now.behind_s > 1 ? "warn" : "";
      put(rows.uuid, now.uuid ?? "–");
      if (now.wanted_bytes !== now.size_bytes) rows.used.append(el("small", {}, t("size.running", { size: bytes(now.wanted_bytes) })));
      const there = now.volumes.filter((one) => one.size_bytes);
      if (size.childElementCount === 0 && there.length) size.replaceChildren(sizePanel(app, there, ring));
      show(volumes, volumeList(now.volumes));
      show(keeps, keepTable(box, now.streams ?? []));
      show(back, readBack(box, now.readback));
      show(ringNote);
    } catch (error) {
      show(ringNote, problemBox(error));
    }
  };

  const worn = async () => {
    try {
      show(disks, wear(await api.get("/api/disk")));
    } catch (error) {
      show(disks, problemBox(error));
    }
  };

  const coded = async () => {
    try {
      show(coding, encoders(box, await api.get("/api/encoder")));
    } catch (error) {
      show(coding, problemBox(error));
    }
  };

  const wired = async () => {
    try {
      show(serial, lineTable(app, (await api.get("/api/serial")).lines, wired));
    } catch (error) {
      show(serial, problemBox(error));
    }
  };

  part.listen(box, "info", draw);
  part.every(5000, ring);
  part.every(5000, coded);
  part.every(2000, wired);
  part.every(60000, worn);
  draw();
  if (box.admin) show(timed, await timeForm(app, part));
  await Promise.all([ring(), worn(), coded(), wired()]);
}

/** What is said of a camera beside its promise. @param {any} one */
function terms(one) {
  return [
    one.guaranteed_h ? t("keep.guaranteed", { span: span(one.guaranteed_h * 3600) }) : "",
    one.limit_h ? t("keep.limit", { most: span(one.limit_h * 3600) }) : "",
    one.limit_gb ? t("keep.limit", { most: unit(one.limit_gb, "GB") }) : "",
    one.own_gb ? t("keep.own", { most: unit(one.own_gb, "GB") }) : "",
  ].filter(Boolean);
}

/** What each camera is promised, holds and will hold. @param {any} box @param {any[]} streams */
function keepTable(box, streams) {
  if (!streams.length) return el("p.s.dim", {}, t("keep.none"));
  const days = (hours) => span(hours * 3600);
  return el("table.keep", {},
    el("thead", {}, el("tr", {}, ...["camera", "promised", "held", "will"].map((key) => el("th", { scope: "col" }, t(`keep.${key}`))))),
    el("tbody", {}, ...streams.map((one) => el("tr", {},
      el("th", { scope: "row" }, box.camera(one.camera)?.title || one.camera, one.stream === "main" ? null : el("small", {}, t(`stream.${one.stream}`))),
      el("td", {}, days(one.promised_h), ...terms(one).map((words) => el("small", {}, words))),
      el("td", {}, one.from_us ? span((box.now_us - one.from_us) / 1e6) : "–"),
      el("td", {}, one.holds_h === null ? t("keep.unknown") : days(one.holds_h), one.short ? el("b", {}, t(one.broken ? "keep.broken" : "keep.short")) : null)))));
}

/** @param {any} app */
function backupPanel(app) {
  const word = field(t("backup.phrase"), { type: "password", autocomplete: "new-password", required: true, hint: t("backup.phrase.hint", { n: LEAST }) });
  return el("section.panel", {}, el("h2", {}, icon("disk"), t("backup.title")), el("div.pb", {}, el("p.s.sub", {}, t("backup.what")), form({
    rows: [word.row], act: t("backup.do"),
    onSubmit: async () => {
      if ([...word.input.value].length < LEAST) throw new api.Problem(0, "page.short", "", { n: LEAST });
      const blob = await (await api.request("/api/backup", { method: "POST", body: { passphrase: word.input.value } })).blob();
      word.input.value = "";
      const link = el("a", { href: URL.createObjectURL(blob), download: `nvr-${app.box.info.name || "box"}-${stamp(app.box.now_us).replace(/[ :]/g, "-")}.backup` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      app.notes.say(t("backup.done"), "ok");
    },
  })));
}
