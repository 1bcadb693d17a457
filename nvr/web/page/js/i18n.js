// Words and numbers in the language of the person. Both dictionaries have the same keys; a test
// holds them together.

const LANGS = ["zh", "en"];
let lang = "zh";
/** @type {Record<string, string>} */
let words = {};

/** The language in use: "zh" or "en". */
export const language = () => lang;
/** BCP 47 tag for Intl and the document. */
export const locale = () => (lang === "zh" ? "zh-CN" : "en-GB");

/** Chosen before, else what the browser asks for, else Chinese. */
export function preferred() {
  const saved = localStorage.getItem("nvr.lang");
  if (saved && LANGS.includes(saved)) return saved;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** @param {string} next */
export async function speak(next) {
  const module = next === "en" ? await import("./words/en.js") : await import("./words/zh.js");
  words = module.default;
  lang = next;
  document.documentElement.lang = locale();
}

/**
 * @param {string} key
 * @param {Record<string, any>} [values] Fills `{name}` in the text.
 */
export function t(key, values) {
  const text = words[key];
  if (text === undefined) return key;
  // What the box says in both languages comes as `name` and `name_zh`.
  const said = (name) => (lang === "zh" && values?.[`${name}_zh`]) || (values?.[name] ?? "");
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => String(said(name))) : text;
}

/** What the box says in both languages. @param {any} said @param {string} key */
export const spoken = (said, key) => said[lang === "zh" ? `${key}_zh` : key];

/** True if the dictionary has the key. @param {string} key */
export const knows = (key) => key in words;

/** Where an operation came from: "page/7" is one open page; an address stays one. @param {string} text */
export function source(text) {
  const page = /^page\/(\d+)$/.exec(text ?? "");
  const pad = /^keyboard\/(.+)$/.exec(text ?? "");
  if (pad) return t("source.keyboard", { name: pad[1] });
  const hand = /^joystick\/(\d+)$/.exec(text ?? "");
  if (hand) return t("source.joystick", { n: hand[1] });
  if (/^request\/\d+$/.test(text ?? "")) return t("source.request");
  return page ? t("source.page", { n: page[1] }) : text || "–";
}

const NARROW = "\u202f";

/** A number with its unit and a thin gap. */
export const unit = (value, name) => `${value}${NARROW}${name}`;

/** @param {number} bps */
export function bitrate(bps) {
  if (!(bps > 0)) return "";
  return bps >= 1e6 ? unit((bps / 1e6).toFixed(1), "Mbit/s") : unit(Math.round(bps / 1e3), "kbit/s");
}

/** @param {number} count */
export function bytes(count) {
  const names = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let value = count;
  while (value >= 1000 && at < names.length - 1) {
    value /= 1000;
    at += 1;
  }
  return unit(at && value < 100 ? value.toFixed(1) : Math.round(value), names[at]);
}

/**
 * How far the box's clock may be off, as "±12 ms"; empty when nobody knows.
 * @param {{state?: string, uncertainty_ms?: number}} [clock]
 */
export function doubt(clock) {
  const off_ms = clock?.uncertainty_ms ?? 0;
  if (!off_ms || off_ms >= 0xffffffff) return "";
  return `±${off_ms < 1000 ? unit(Math.round(off_ms), "ms") : unit((off_ms / 1000).toFixed(1), "s")}`;
}

/**
 * Whether a clock cannot be relied on to the second; one of which nothing is known is not doubted.
 * @param {{clock?: string, uncertainty_ms?: number}} [run]
 */
export const unsure = (run) => run?.clock === "unsynced" || (["ntp", "gb28181"].includes(run?.clock ?? "") && (run?.uncertainty_ms ?? 0) > 1000);

/** The same in words, empty if there is no doubt. */
export const doubtOf = (run) => (unsure(run) ? doubt(run) || t("clock.unsynced") : "");

/** That a stretch was fetched from the camera afterwards, when and from where; else empty. @param {any} run */
export const fetchedOf = (run) => (!run?.fetch ? "" : run.fetch.at_us ? t("fetched.from", { time: stamp(run.fetch.at_us), source: run.fetch.source }) : t("fetched"));

/** How long, in the two largest units. @param {number} seconds */
export function span(seconds) {
  const s = Math.max(0, seconds);
  const say = (key, a, b) => t(key, { a, b });
  if (s < 10) return say("span.s", s.toFixed(1));
  if (s < 60) return say("span.s", Math.round(s));
  if (s < 3600) return s < 600 ? say("span.ms", Math.floor(s / 60), Math.floor(s % 60)) : say("span.m", Math.floor(s / 60));
  if (s < 86400) return say("span.hm", Math.floor(s / 3600), Math.floor((s % 3600) / 60));
  return say("span.dh", Math.floor(s / 86400), Math.floor((s % 86400) / 3600));
}

const two = (n) => String(n).padStart(2, "0");

/** 14:32:07, 24 hours. @param {number} us @param {boolean} [ms] */
export function clock(us, ms = false) {
  const d = new Date(us / 1000);
  const base = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return ms ? `${base}.${String(d.getMilliseconds()).padStart(3, "0")}` : base;
}

/** 2026-11-23. @param {number} us */
export function day(us) {
  const d = new Date(us / 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** 2026-11-23 14:32:07. @param {number} us */
export const stamp = (us) => `${day(us)} ${clock(us)}`;

/** Weekday with date, for the head of a timeline. @param {number} us */
export function dayName(us) {
  return new Intl.DateTimeFormat(locale(), { month: "short", day: "numeric", weekday: "short" }).format(new Date(us / 1000));
}

/** Local wall time for a file name: 20261123-143207. @param {number} us */
export const fileStamp = (us) => stamp(us).replaceAll("-", "").replaceAll(":", "").replace(" ", "-");

/** Parse "14:02:36", "14:02", "2026-11-23 14:02:36.5" as local time. @returns {number | null} us */
export function parseTime(text, nearUs) {
  const m = /^\s*(?:(\d{4})-(\d{1,2})-(\d{1,2})[ T]+)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?\s*$/.exec(text);
  if (!m) return null;
  const near = new Date(nearUs / 1000);
  const [hours, minutes, seconds] = [Number(m[4]), Number(m[5]), Number(m[6] ?? 0)];
  if (hours > 23 || minutes > 59 || seconds > 59) return null;
  const d = new Date(
    m[1] ? Number(m[1]) : near.getFullYear(),
    m[2] ? Number(m[2]) - 1 : near.getMonth(),
    m[3] ? Number(m[3]) : near.getDate(),
    hours, minutes, seconds, Number((m[7] ?? "0").padEnd(3, "0")),
  );
  return d.getTime() * 1000;
}
