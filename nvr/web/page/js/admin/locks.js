// What is locked: for whom, why and until when.

import { el } from "../dom.js";
import { bytes, stamp, t } from "../i18n.js";
import { icon } from "../icons.js";
import { loadLocks, stretch, unlock, untilWords } from "../lock.js";
import { iconButton } from "../ui.js";

/** @param {any} app @param {HTMLElement} host */
export async function locksPage(app, host) {
  const again = () => locksPage(app, host);
  const locks = await loadLocks();
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.locks"))),
    el("p.s.sub", {}, t("lock.list")),
    locks.length ? el("div.cards", {}, ...locks.map((lock) => card(app, lock, again)))
      : el("div.blank", {}, icon("lock", "xl"), el("h2", {}, t("lock.none")), el("p.sub", {}, t("lock.none.do"))));
}

/** @param {any} app @param {import("../lock.js").Lock} lock @param {() => any} again */
function card(app, lock, again) {
  const { box } = app;
  const known = box.camera(lock.camera);
  return el("article.cam-card.panel", { data: { lock: String(lock.number) } },
    icon("lock"),
    el("div.grow", {},
      el("div.row", {}, el("b", {}, known?.title || lock.camera), el("span.chip", {}, t(`lock.kind.${lock.kind}`))),
      el("p.s", {}, lock.why),
      el("p.sub.s", {}, `${stretch(lock)} · ${bytes(lock.used_bytes)}`),
      lock.copy === "none" ? null : el("p.s", { class: lock.copy === "copied" ? "sub s" : "warn s" }, t(`lock.copy.${lock.copy}`)),
      el("p.sub.s", {}, `${untilWords(lock)} · ${t("lock.by", { name: lock.by, time: stamp(lock.made_us) })}`)),
    el("div.row.acts", {},
      known ? iconButton("back", t("nav.playback"), () => app.go("playback", { cam: lock.camera, t: String(lock.from_us) }), "q") : null,
      box.admin || box.may(lock.camera, "config") ? iconButton("bin", t("lock.remove"), () => unlock(app, lock, again), "q") : null));
}
