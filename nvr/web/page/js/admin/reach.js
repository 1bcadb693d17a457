// How a camera is reached: its transport, whose certificate is taken, and whether its sound is.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { field } from "../ui.js";

const WAYS = ["auto", "tcp", "udp", "multicast", "http"];
/** Names that are the same in every language. */
const NAMES = { tcp: "TCP", udp: "UDP", http: "HTTP" };

/** @param {string} way */
const named = (way) => NAMES[way] ?? t(`reach.way.${way}`);

/** How packets come, in a few words, and why not otherwise; empty without any. @param {any} carried */
export function carriedWords(carried) {
  if (!carried?.way) return "";
  const way = named(carried.way) + (carried.proof ? ` ${t("reach.tls")}` : "");
  return carried.why ? t("reach.instead", { way, other: named(carried.instead_of), why: t(`reach.why.${carried.why}`) }) : way;
}

/** A fingerprint as people compare it: pairs, in capitals. @param {string} hex */
function pairs(hex) {
  return (hex.replaceAll(":", "").match(/../g) ?? []).join(":").toUpperCase();
}

/**
 * Fields of a form. TLS has some only where there is TLS: at an rtsps:// address.
 * @param {any} reach As the box has it.
 */
export function reachFields(reach) {
  const shown = reach.main.certificate_sha256;
  const pin = reach.tls_pin.replaceAll(":", "").toLowerCase();
  const secure = Boolean(shown || pin || reach.tls_ca);
  const way = field(t("reach.transport"), { value: reach.transport, options: WAYS.map((key) => [key, t(`reach.${key}`)]), hint: t(`reach.${reach.transport}.hint`) });
  const known = [...new Set([pin, shown].filter(Boolean))];
  const proof = field(t("reach.certificate"), {
    value: pin, hint: t(pin ? "reach.pinned.hint" : reach.tls_ca ? "reach.ca.hint" : "reach.unverified.hint"),
    options: [["", t(reach.tls_ca ? "reach.ca" : "reach.unverified")], ...known.map((hex) => [hex, t(hex === shown ? "reach.shown" : "reach.pinned", { hex: pairs(hex).slice(0, 11) })])],
  });
  const sound = field(t("reach.sound"), { value: reach.audio ? "yes" : "no", hint: t("reach.sound.hint"), options: [["yes", t("reach.sound.yes")], ["no", t("reach.sound.no")]] });
  const hint = (row, text) => row.querySelector(".hint").replaceChildren(text);
  way.input.addEventListener("change", () => hint(way.row, t(`reach.${way.input.value}.hint`)));
  proof.input.addEventListener("change", () => hint(proof.row, t(proof.input.value ? "reach.pinned.hint" : reach.tls_ca ? "reach.ca.hint" : "reach.unverified.hint")));
  const now = carriedWords(reach.main.carried);
  const row = el("fieldset.sub-stream", {}, el("legend.s.sub", {}, t("reach.title")), way.row,
    now ? el("p.s.sub", {}, t("reach.now", { now })) : null,
    sound.row,
    secure ? proof.row : null,
    shown ? el("p.s.sub", {}, t("reach.seen"), " ", el("code.mono.xs.finger", {}, pairs(shown))) : null);
  return {
    row,
    /** What is to be otherwise, null for nothing. */
    read() {
      const said = {};
      if (way.input.value !== reach.transport) said.transport = way.input.value;
      if ((sound.input.value === "yes") !== reach.audio) said.audio = sound.input.value === "yes";
      if (secure && proof.input.value !== pin) said.tls_pin = proof.input.value;
      return Object.keys(said).length ? said : null;
    },
  };
}

/** Reach it another way, if that is a change. @param {string} name @param {any} change */
export async function saveReach(name, change) {
  if (change) await api.put(api.cameraPath(name, "/reach"), change);
}
