// People: name, role, rights for each camera.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { button, confirmLoss, dialog, field, form, iconButton } from "../ui.js";
import { rightsEditor, rightsText } from "./rights.js";

const ROLES = ["operator", "viewer", "auditor", "admin"];

/** @param {any} app @param {HTMLElement} host */
export async function usersPage(app, host) {
  const users = await api.get("/api/user");
  const again = () => usersPage(app, host);
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.users")), el("span.grow", {}), button("plus", t("user.add"), () => add(app, again), { cls: "p" })),
    el("div.cards", {}, ...users.map((user) => el("article.cam-card.panel", {},
      el(`span.av${user.name === app.box.info.user?.name ? "" : ".n"}`, { "aria-hidden": "true" }, [...user.name][0].toUpperCase()),
      el("div.grow", {}, el("b", {}, user.name), el("p.s.sub", {}, user.role === "admin" ? t("role.admin.all") : rightsText(app, user.rights))),
      el("span.chip", {}, t(`role.${user.role}`)),
      el("div.row.acts", {}, iconButton("gear", t("user.edit"), () => edit(app, user, again), "q"), user.name === app.box.info.user?.name ? null : iconButton("bin", t("user.remove"), () => removal(app, user.name, again), "q"))))));
}

function add(app, again) {
  const name = field(t("user.name"), { required: true, hint: t("claim.name.hint"), max: 64 });
  const role = field(t("user.role"), { options: ROLES.map((one) => [one, t(`role.${one}`)]), value: "operator", hint: t("role.hint.operator") });
  const password = field(t("user.password"), { type: "password", required: true, autocomplete: "new-password", hint: t("user.password.hint") });
  const rights = rightsEditor(app, () => role.input.value);
  role.input.addEventListener("change", () => {
    const hint = role.row.querySelector(".hint");
    if (hint) hint.textContent = t(`role.hint.${role.input.value}`);
    rights.draw();
  });
  const box = dialog({
    title: t("user.add"), wide: true,
    body: [form({
      rows: [el("div.two", {}, name.row, password.row), role.row, rights.node], act: t("user.add"),
      onSubmit: async () => {
        await api.post("/api/user", { name: name.input.value.trim(), role: role.input.value, password: password.input.value, rights: rights.value() });
        box.close();
        app.notes.say(t("user.added", { name: name.input.value.trim() }), "ok");
        await again();
      },
    })],
    actions: [],
  });
}

/** Another role, other rights, a new password; what is left empty stays. */
function edit(app, user, again) {
  const mine = user.name === app.box.info.user?.name;
  const role = field(t("user.role"), { options: ROLES.map((one) => [one, t(`role.${one}`)]), value: user.role });
  role.input.disabled = mine;
  const password = field(t("password.new"), { type: "password", autocomplete: "new-password", hint: t("user.password.keep") });
  const rights = rightsEditor(app, () => role.input.value, user.rights);
  role.input.addEventListener("change", () => rights.draw());
  const box = dialog({
    title: user.name, wide: true,
    body: [form({
      rows: [el("div.two", {}, role.row, password.row), rights.node], act: t("save"),
      onSubmit: async () => {
        const change = mine ? {} : { role: role.input.value, rights: rights.value() };
        await api.patch(`/api/user/${encodeURIComponent(user.name)}`, password.input.value ? { ...change, password: password.input.value } : change);
        box.close();
        await again();
      },
    })],
    actions: [],
  });
}

async function removal(app, name, again) {
  if (!(await confirmLoss({ title: t("user.remove.title", { name }), lost: [t("user.remove.lost")], kept: [t("user.remove.kept")], act: t("user.remove") }))) return;
  try {
    await api.remove(`/api/user/${encodeURIComponent(name)}`);
    await again();
  } catch (error) {
    app.notes.problem(error);
  }
}
