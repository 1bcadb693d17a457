// Before anybody is known: claim a new box, or log in to a claimed one.

import * as api from "./api.js";
import { el, Part } from "./dom.js";
import { language, t } from "./i18n.js";
import { icon } from "./icons.js";
import { LEAST, button, field, form, problemBox } from "./ui.js";

/** Letters and digits in groups of four, as the box prints them. @param {string} text */
export const grouped = (text) => (text.toUpperCase().replace(/[^A-Z0-9]/g, "").match(/.{1,4}/g) ?? []).join("-");

export class Enter extends Part {
  /** @type {any} */
  app;
  /** The log-in was ended by the box. */
  ended = false;

  start() {
    const claimed = this.app.box.info.claimed;
    document.title = `${t(claimed ? "login.title" : "claim.title")} · nvr`;
    this.className = "enter";
    this.replaceChildren(
      el("header.enter-bar", {}, el("span.logo", {}, "nvr"), el("span.sub.s", {}, this.app.box.info.name ?? ""), el("span.grow", {}),
        button("globe", language() === "zh" ? "English" : "中文", () => this.app.setLanguage(language() === "zh" ? "en" : "zh"), { cls: "q" }),
        button("lamp", t("theme"), () => this.app.setTheme(), { cls: "q only-desk" })),
      el("main.enter-main", {}, claimed ? this.#login() : this.#claim()));
    this.querySelector("input")?.focus();
  }

  #login() {
    const name = field(t("user.name"), { autocomplete: "username", required: true });
    const password = field(t("user.password"), { type: "password", autocomplete: "current-password", required: true });
    return el("section.card", {}, el("h1", {}, t("login.title")), el("p.sub", {}, t("login.sub")),
      this.ended ? problemBox(new api.Problem(401, "auth.needed", ""), "soft") : null,
      form({
        rows: [name.row, password.row], act: t("login.do"),
        onSubmit: async () => {
          await api.post("/api/login", { name: name.input.value.trim(), password: password.input.value });
          password.input.value = "";
          await this.app.entered();
        },
      }),
      el("p.hint", {}, t("login.forgot")));
  }

  #claim() {
    const code = field(t("claim.code"), { required: true, hint: t("claim.code.hint"), placeholder: "XXXX-XXXX-XXXX" });
    code.input.classList.add("mono", "code-in");
    code.input.addEventListener("input", () => {
      const atEnd = code.input.selectionStart === code.input.value.length;
      if (atEnd) code.input.value = grouped(code.input.value);
    });
    const name = field(t("claim.name"), { autocomplete: "username", required: true, hint: t("claim.name.hint"), max: 32 });
    const one = field(t("claim.password"), { type: "password", autocomplete: "new-password", required: true, hint: t("claim.password.hint", { n: LEAST }) });
    const two = field(t("claim.again"), { type: "password", autocomplete: "new-password", required: true });
    const steps = ["claim.next.1", "claim.next.2", "claim.next.3"].map((key) => el("li", {}, icon("ok", "s"), t(key)));
    return el("div.claim", {},
      el("section.card", {}, el("h1", {}, t("claim.title")), el("p.sub", {}, t("claim.sub")),
        form({
          rows: [code.row, name.row, one.row, two.row], act: t("claim.do"),
          onSubmit: async () => {
            if (one.input.value !== two.input.value) throw new api.Problem(0, "page.differ", "");
            if ([...one.input.value].length < LEAST) throw new api.Problem(0, "page.short", "", { n: LEAST });
            await api.post("/api/claim", { code: code.input.value.trim(), name: name.input.value.trim(), password: one.input.value });
            one.input.value = "";
            two.input.value = "";
            await this.app.entered();
          },
        })),
      el("aside.card.next", {}, el("h2", {}, t("claim.next")), el("ul", {}, ...steps), el("p.hint", {}, t("claim.cert"))));
  }
}

customElements.define("nvr-enter", Enter);
