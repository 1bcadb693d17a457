// One camera in one look: what is the matter and what to do first, where the way of the picture
// breaks, its last hour, when it was like that before, and what was counted.

import * as api from "../api.js";
import { el, put, show } from "../dom.js";
import { bitrate, bytes, clock, locale, span, stamp, t, unit } from "../i18n.js";
import { icon } from "../icons.js";
import { whyWords } from "../tile.js";
import { button, iconButton, problemBox } from "../ui.js";
import { bars, plot } from "./plot.js";

const POLL_MS = 2000;
const HOPS = [["network", "wifi"], ["login", "lock"], ["stream", "cam"], ["disk", "disk"]];

/** Which part of the way each code is about; the stream where none is named. */
const PLACE = {
  "camera.unreachable": 0, "camera.lost": 0, "camera.silent": 0, "camera.tls": 0, "camera.forbidden": 0, "camera.redirected": 0,
  "camera.loss": 0, "camera.damaged": 0, "camera.unsteady": 0, "camera.refused": 1, "camera.not_recorded": 3, "record.behind": 3,
};

/** What to do, in this order. */
const STEPS = {
  "camera.unreachable": ["power", "cable", "address"], "camera.lost": ["power", "cable", "reboot"], "camera.silent": ["again", "reboot"],
  "camera.frozen": ["again", "reboot"], "camera.refused": ["account", "again"], "camera.loss": ["cable", "radio"], "camera.damaged": ["cable", "radio"],
  "camera.unsteady": ["power", "cable", "firmware"], "camera.gop_long": ["keys"], "camera.no_key_frames": ["keys", "reboot"],
  "camera.clock_drift": ["time", "firmware"], "camera.frame_rate": ["night", "viewers"], "camera.sound_missing": ["sound"], "camera.sound_unsupported": ["sound"],
  "camera.no_signal": ["signal", "power"], "camera.no_power": ["power"],
  "camera.sub_missing": ["address", "again"], "camera.not_found": ["address"], "camera.unsupported": ["codec"], "camera.not_recorded": ["disk"], "record.behind": ["disk"],
};

/** @param {any} app @param {HTMLElement} host @param {import("../dom.js").Part} part @param {string} name */
export async function diagnosisPage(app, host, part, name) {
  const camera = () => app.box.camera(name);
  if (!camera()) throw new api.Problem(404, "camera.unknown", "");
  const title = el("h2", {});
  const which = el("div.seg", { role: "group", "aria-label": t("plan.stream") });
  const said = el("section.panel.diag", { "aria-live": "polite" });
  const chain = el("ol.chain", {});
  const plots = el("div.plots", {});
  const past = el("section.panel", {});
  const steps = el("section.panel", {});
  const counted = el("section.panel", {});
  const seen = { stream: "main", span: "hour", report: /** @type {any} */ (null) };
  const draw = () => {
    if (!seen.report || !camera()) return;
    const { report } = seen;
    if (!report.sub) seen.stream = "main";
    const one = report[seen.stream];
    put(title, `${app.number(name)} ${camera().title || name}`);
    choose(which, report.sub ? ["main", "sub"] : [], seen.stream, (value) => t(`stream.${value}`), (value) => { seen.stream = value; draw(); });
    drawSaid(said, app, camera(), one, report.now_us);
    drawChain(chain, camera(), one, seen.stream, report.now_us);
    drawPlots(plots, seen, draw);
    drawPast(past, one, report.now_us);
    drawSteps(steps, one);
    drawCounters(counted, app, report);
  };
  const look = async () => {
    try {
      seen.report = await api.get(api.cameraPath(name, "/health"), part.life);
      draw();
    } catch (error) {
      if (!part.life.aborted && !seen.report) said.replaceChildren(problemBox(error));
    }
  };
  host.replaceChildren(
    el("div.head", {}, iconButton("left", t("manage.cameras"), () => app.go("manage/cameras"), "q"), title, el("span.grow", {}), which),
    el("div.diagnosis", {},
      el("div", {}, said, el("section.panel.o3", {}, el("h2", {}, t("diag.where")), chain), plots, past),
      el("div", {}, app.box.may(name, "live") ? el("div.o1", {}, el("nvr-tile", { prop: { app, camera: name } })) : null, steps, counted)));
  part.every(POLL_MS, look);
  part.listen(app.box, "cameras", () => draw());
  await look();
}

/** What may be put up with. */
const TOLERABLE = ["camera.clock_drift", "camera.frame_rate", "camera.gop_long", "camera.loss", "camera.sound_missing", "camera.sound_unsupported", "camera.sub_missing", "camera.unsteady"];

/** Codes of what is the matter, the worst first. */
const codesOf = (health) => (health.state === "lost" ? (health.last ? [health.last.code] : []) : health.why.map((one) => one.code));

/** Buttons of which one is chosen; drawn anew only when they change. */
function choose(node, values, chosen, words, pick) {
  const key = `${values}|${chosen}`;
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  node.hidden = !values.length;
  node.replaceChildren(...values.map((value) => el("button.btn", { type: "button", "aria-pressed": String(value === chosen), on: { click: () => pick(value) } }, words(value))));
}

/** Have a node show something else, if that is a change. */
function redraw(node, key, make) {
  if (node.dataset.key === key) return;
  node.dataset.key = key;
  show(node, ...make());
}

function drawSaid(node, app, camera, one, nowUs) {
  const { health } = one;
  const codes = codesOf(health);
  const kind = health.state === "lost" ? "alarm" : health.state === "degraded" ? "warn" : "";
  const before = one.spells.filter((spell) => nowUs - spell.from_us < 86400e6 && spell.codes.some((code) => codes.includes(code))).length;
  const since = () => t("diag.since", { time: clock(health.since_us), span: span((nowUs - health.since_us) / 1e6) });
  const wait_s = (health.next_try_us - nowUs) / 1e6;
  const next = health.state !== "lost" ? "" : wait_s > 0.5 ? t("diag.next", { span: span(wait_s), n: health.failures }) : t("diag.trying", { n: health.failures });
  const quiet = health.tolerated.map((one) => one.code);
  const accept = (code, on) => (TOLERABLE.includes(code) && health.state !== "lost" && app.box.may(camera.name, "config")
    ? el("button.link", { type: "button", on: { click: () => tolerate(app, camera, on ? [...quiet, code] : quiet.filter((one) => one !== code)) } }, t(on ? "diag.tolerate" : "diag.report")) : null);
  redraw(node, JSON.stringify([health.state, codes, quiet, health.why.map((why) => why.value), before, app.box.may(camera.name, "config")]), () => {
    node.className = `panel diag ${kind}`;
    const [first, ...others] = codes;
    const about = first ? api.sentence(new api.Problem(0, first, health.last?.detail ?? "")) : "";
    const [what, ...rest] = about.split(/(?<=[。.])\s?/);
    const measured = health.why[0] ? measure(health.why[0]) : "";
    return [el("div.pb", {},
      el("div", {},
        el("h2", {}, icon(kind === "alarm" ? "cut" : kind ? "event" : health.state === "connecting" ? "sync" : "rec"), what || t(`health.${health.state}`)),
        rest.length || measured ? el("p", {}, [rest.join(" "), measured].filter(Boolean).join(" ")) : null,
        ...others.map((code) => el("p.s", {}, api.sentence(new api.Problem(0, code, "")), " ", el("span.code.mono", {}, code), accept(code, true))),
        ...quiet.map((code) => el("p.s.sub", {}, t("diag.tolerated", { what: whyWords({ why: [{ code }] }) }), " ", accept(code, false))),
        el("p.s.sub", {}, el("span.since", {}), first ? el("span.code.mono", {}, ` · ${first}`) : null, before > 1 ? ` · ${t("diag.times", { n: before })}` : null, first ? accept(first, true) : null)),
      el("div.acts", {}, app.box.may(camera.name, "config")
        ? button("sync", t("diag.again"), (event) => again(app, camera, event.currentTarget), { cls: kind ? "p" : "" }) : null))];
  });
  put(node.querySelector(".since"), [since(), next].filter(Boolean).join(" · "));
}

/** What was measured against what it should keep to. */
function measure(why) {
  const units = { "camera.loss": "%", "camera.damaged": "%", "camera.frame_rate": "%", "camera.gop_long": "s", "camera.no_key_frames": "s", "camera.clock_drift": "ppm", "camera.sound_missing": "s" };
  const name = units[why.code];
  return name ? t("diag.measured", { value: unit(Math.round(why.value * 10) / 10, name), limit: unit(why.limit, name) }) : "";
}

/** @param {string[]} codes */
async function tolerate(app, camera, codes) {
  try {
    await api.put(api.cameraPath(camera.name, "/tolerate"), { codes });
  } catch (error) {
    app.notes.problem(error);
  }
}

async function again(app, camera, node) {
  node.disabled = true;
  try {
    await api.post(api.cameraPath(camera.name, "/reconnect"));
    app.notes.say(t("diag.again.done", { title: camera.title || camera.name }), "ok");
  } catch (error) {
    app.notes.problem(error);
  } finally {
    node.disabled = false;
  }
}

function drawChain(node, camera, one, stream, nowUs) {
  const { health, rates } = one;
  const shown = stream === "sub" ? camera.sub ?? camera : camera;
  const bad = new Map();
  for (const code of codesOf(health)) if (!bad.has(PLACE[code] ?? 2)) bad.set(PLACE[code] ?? 2, code);
  const lost = health.state === "lost";
  const end = lost ? Math.min(...bad.keys(), 3) : 4;
  const behind_s = shown.recorded_until_us ? (nowUs - shown.recorded_until_us) / 1e6 : 0;
  const words = [
    lost && !end ? t("diag.none") : rates.loss_percent === null ? t("diag.reached") : t("diag.loss", { n: rates.loss_percent.toFixed(rates.loss_percent ? 2 : 0) }),
    end < 1 ? "–" : bad.has(1) ? t("diag.refused") : t("diag.login"),
    end < 2 || rates.fps === null ? "–" : `${unit(rates.fps.toFixed(0), "fps")}${rates.gop_s ? ` · ${t("diag.gop", { s: rates.gop_s.toFixed(1) })}` : ""}`,
    health.state === "off" ? t("health.off") : health.state === "watched" ? t("sub.watched") : behind_s ? t("ago", { span: span(behind_s) }) : "–",
  ];
  redraw(node, JSON.stringify([words, [...bad], end, lost]), () => HOPS.map(([name, picture], at) => {
    const cls = at > end ? "off" : bad.has(at) ? (lost ? "brk lost" : "brk") : "";
    return el(`li.hop${cls ? `.${cls.replace(" ", ".")}` : ""}`, {}, el("span.o", {}, icon(picture)), el("b", {}, t(`hop.${name}`)), el("small", {}, words[at]));
  }));
}

function drawPlots(node, seen, again) {
  const one = seen.report[seen.stream];
  const history = one[seen.span];
  const { rates } = one;
  const whole = history.state.length >= (seen.span === "hour" ? 360 : 288);
  const from = whole ? t(`diag.${seen.span}`) : span(history.state.length * history.step_s);
  const lost = history.lost.reduce((sum, value) => sum + value, 0);
  const each = [
    ["fps", rates.fps === null ? "–" : rates.fps.toFixed(1), rates.usual_fps ? `/ ${rates.usual_fps.toFixed(0)}` : "fps", history.fps, rates.usual_fps ?? 0],
    ["rate", ...(bitrate(rates.bitrate_bps ?? 0) || "– ").split(/\s/), history.kbit_s, 0],
    ["lost", rates.loss_percent === null ? "–" : rates.loss_percent.toFixed(2), `% · ${t("diag.packets", { n: lost })}`, history.lost, 10],
    ["jitter", rates.jitter_ms === null ? "–" : rates.jitter_ms.toFixed(0), "ms", history.jitter_ms, 200],
  ];
  if (!node.firstChild) node.replaceChildren(...each.map(([name]) => {
    const part = el("section.panel.plot", { data: { name } }, el("div.row", {}, el("h3.s.sub.grow", {}, t(`diag.${name}`)), el("b", {}), el("span.dim.xs", {})), el("div.draw", {}), el("div.ax", {}, el("span", {}), name === "fps" ? el("span.seg", {}) : null, el("span", {}, t("diag.now"))));
    return part;
  }));
  each.forEach(([name, value, small, values, least], at) => {
    const panel = node.children[at];
    const [, big, about] = panel.firstChild.children;
    put(big, value);
    put(about, small);
    put(panel.lastChild.firstChild, t("ago", { span: from }));
    panel.children[1].replaceChildren(plot(values, history.state, least, `${t(`diag.${name}`)} ${value} ${small}`));
  });
  choose(node.querySelector(".seg"), ["hour", "day"], seen.span, (value) => t(`diag.${value}`), (value) => { seen.span = value; again(); });
}

function drawPast(node, one, nowUs) {
  const { day, spells } = one;
  const today = spells.filter((spell) => nowUs - spell.from_us < 86400e6);
  const lost_s = today.filter((spell) => spell.state === "lost").reduce((sum, spell) => sum + spell.duration_s, 0);
  redraw(node, JSON.stringify([day.state, spells.slice(0, 20).map((spell) => [spell.from_us, spell.to_us, Math.round(spell.duration_s / 5)])]), () => [
    el("h2", {}, t("diag.past"), el("span.grow", {}), el("span.dim.xs", {}, today.length ? lost_s ? t("diag.past.sum", { n: today.length, span: span(lost_s) }) : t("diag.past.some", { n: today.length }) : t("diag.past.none"))),
    el("div.pb", {},
      bars(day.state, t("diag.past")),
      el("div.ax", {}, el("span", {}, t("ago", { span: day.state.length >= 288 ? t("diag.day") : span(day.state.length * day.step_s) })), el("span", {}, t("diag.now"))),
      spells.length ? el("table.log", {}, ...spells.slice(0, 20).map((spell) => el("tr", {},
        el("td", {}, stamp(spell.from_us).slice(nowUs - spell.from_us < 86400e6 ? 11 : 0)),
        el(`td.${spell.state === "lost" ? "alarm" : "warn"}`, {}, t(`health.${spell.state}`)),
        el("td", {}, spell.codes.map((code) => t(`why.${code}`)).map((words, at) => (words.startsWith("why.") ? spell.codes[at] : words)).join(t("comma"))),
        el("td", {}, spell.to_us ? span(spell.duration_s) : t("diag.lasting"))))) : null),
  ]);
}

function drawSteps(node, one) {
  const names = [...new Set(codesOf(one.health).flatMap((code) => STEPS[code] ?? ["again", "firmware"]))].slice(0, 4);
  node.hidden = !names.length;
  redraw(node, names.join(), () => [el("h2", {}, t("diag.steps")), el("ol.todo.pb", {}, ...names.map((name, at) =>
    el("li", {}, el("span.no", {}, String(at + 1)), el("span", {}, el("b", {}, t(`step.${name}`)), el("small", {}, t(`step.${name}.do`))))))]);
}

function drawCounters(node, app, report) {
  const streams = [report.main, report.sub].filter(Boolean);
  const say = (value, words) => (value === null || value === undefined ? "–" : words(value));
  const rows = [
    ...["lost", "reordered", "damaged", "reconnects", "packets", "frames"].map((name) => [name, (s) => s.counters[name].toLocaleString(locale())]),
    ...["restored", "overrun"].filter((name) => streams.some((s) => s.counters[name])).map((name) => [name, (s) => s.counters[name].toLocaleString(locale())]),
    ["bytes", (s) => bytes(s.counters.bytes_in)],
    ["gop", (s) => say(s.rates.gop_s, (v) => `${unit(v.toFixed(2), "s")} · ${s.rates.gop_frames}`)],
    ["drift", (s) => say(s.rates.drift_ppm, (v) => `${v > 0 ? "+" : ""}${v.toFixed(0)} ±${unit(s.rates.drift_error_ppm.toFixed(0), "ppm")}`)],
    ["offset", (s) => say(s.rates.clock_offset_ms, (v) => `${v > 0 ? "+" : ""}${unit((v / 1000).toFixed(2), "s")}`)],
    ["connected", (s) => (s.counters.connected_us ? stamp(s.counters.connected_us).slice(5) : "–")],
  ];
  const table = rows.map(([name, words]) => [t(`count.${name}`), ...streams.map(words)]);
  const since = t("count.since", { time: stamp(report.main.counters.since_us) });
  redraw(node, JSON.stringify([table, since]), () => [
    el("h2", {}, t("count.title"), el("span.grow", {}), iconButton("doc", t("count.copy"), () => copy(app, report, [[since], ...table]), "q")),
    el("div.pb", {}, el("table.cnt", {},
      streams.length > 1 ? el("tr", {}, el("th", {}), ...["main", "sub"].map((name) => el("th", {}, t(`stream.${name}`)))) : null,
      ...table.map(([name, ...values]) => el("tr", {}, el("td", {}, name), ...values.map((value) => el("td", {}, value))))),
    el("p.xs.dim", {}, since))]);
}

/** For a message to whoever cannot see this page. */
async function copy(app, report, table) {
  const codes = [report.main, report.sub].filter(Boolean).map((one) => [one.health.state, ...codesOf(one.health)].join(" "));
  const text = [`${report.name} ${report.title}`, ...codes, ...table.map((row) => row.join("\t"))].join("\n");
  try {
    await navigator.clipboard.writeText(text);
    app.notes.say(t("count.copied"), "ok");
  } catch {
    app.notes.say(t("count.nocopy"), "warn");
  }
}
