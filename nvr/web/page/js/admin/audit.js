// The audit log, newest first, and whether its chain of hashes still holds.

import * as api from "../api.js";
import { Problem, sentence } from "../api.js";
import { el } from "../dom.js";
import { knows, source, stamp, t } from "../i18n.js";
import { icon } from "../icons.js";
import { button } from "../ui.js";

/** The box's name of an action, in words where the dictionary has them. */
const action = (name) => (knows(`audit.${name}`) ? t(`audit.${name}`) : name);

/** The log keeps English and microseconds; people get their words and a clock. @param {string} reason */
function readable(reason) {
  const [, name, role] = /^added (.+?)(?: as (\w+))?$/.exec(reason) ?? [];
  if (name) return role ? t("audit.added.as", { name, role: t(`role.${role}`) }) : t("audit.added", { name });
  if (knows(`code.${reason}`)) return `${sentence(new Problem(0, reason, ""))} ${reason}`;
  const timed = reason.replace(/\b1\d{15}\b/g, (us) => stamp(Number(us)));
  return timed === reason ? reason : timed.replace(/^at /, "").replace(" to ", " – ");
}

function line(row) {
  const denied = row.outcome !== "ok";
  return el("tr", {},
    el("td", {}, stamp(row.at_us)), el("td", {}, row.who || "–"), el("td", {}, action(row.action)),
    el("td", {}, row.target || ""), el("td.sub", {}, row.source ? source(row.source) : ""),
    el(`td${denied ? ".warn" : ".sub"}`, {}, denied ? t(`outcome.${row.outcome}`) : "", denied && row.reason ? " " : "", el("span.reason", { title: readable(row.reason) || null }, readable(row.reason))));
}

/** @param {any} app @param {HTMLElement} host */
export async function auditPage(app, host) {
  const body = el("tbody", {});
  const chain = el("span.chip", {});
  const more = button("down", t("audit.more"), () => load());
  let before = "";

  async function load() {
    more.disabled = true;
    try {
      const page = await api.get(`/api/audit${before === "" ? "" : `?before=${before}`}`);
      body.append(...page.rows.map(line));
      const last = page.rows.at(-1);
      more.hidden = !last || last.seq <= 1 || page.rows.length < 100;
      if (last) before = String(last.seq);
      const whole = page.chain.ok;
      chain.className = `chip ${whole ? "" : "alarm"}`;
      chain.replaceChildren(icon(whole ? "shield" : "event"), el("span", {}, t(whole ? "audit.whole" : "audit.broken", { seq: page.chain.seq ?? "?" })));
    } catch (error) {
      app.notes.problem(error);
    } finally {
      more.disabled = false;
    }
  }

  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.audit")), chain),
    el("section.panel.scroll", { tabindex: "0", "aria-label": t("manage.audit") }, el("table.audit", {},
      el("thead", {}, el("tr", {}, ...["at", "who", "what", "target", "source", "outcome"].map((key) => el("th", {}, t(`audit.col.${key}`))))), body)),
    el("div.row", {}, more));
  await load();
}
