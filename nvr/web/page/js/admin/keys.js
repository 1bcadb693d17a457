// What recordings are sealed with: the recovery key, another box's disk, destruction.

import * as api from "../api.js";
import { el } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { LEAST, button, confirmLoss, dialog, field, form, problemBox } from "../ui.js";

/** @typedef {{seals: boolean, suite: string, box: string, owner: string, signs: string, passphrase: boolean, tpm: boolean, pcrs: number[], refused: {code: string, detail: string} | null, locked: boolean, keys: number, foreign: number, first_day: string | null, last_day: string | null}} Keys */

/** @param {any} app @param {HTMLElement} host */
export async function keysPage(app, host) {
  const keys = /** @type {Keys} */ (await api.get("/api/key"));
  const again = () => keysPage(app, host);
  host.replaceChildren(
    el("div.head", {}, el("h2", {}, t("manage.keys"))),
    el("div.box-grid", {},
      keys.locked ? (keys.tpm ? refused(app, keys, again) : locked(app, again)) : null,
      keys.locked && keys.owner ? regain(app, keys, again) : null,
      state(app, keys, again), recovery(app, keys, again),
      keys.foreign && !keys.locked ? foreign(app, keys, again) : null,
      keys.keys ? destruction(app, keys, again) : null));
}

function panel(picture, title, ...body) {
  return el("section.panel", {}, el("h2", {}, icon(picture), title), el("div.pb", {}, ...body));
}

/** @param {any} app @param {Keys} keys @param {() => any} again */
function state(app, keys, again) {
  const rows = [
    ["suite", keys.suite || "–"],
    ["days", keys.first_day ? (keys.first_day === keys.last_day ? keys.first_day : `${keys.first_day} – ${keys.last_day}`) : "–"],
    ["box", el("span.mono", {}, keys.box)],
    ["signs", el("span.mono", {}, keys.signs)],
  ];
  const kept = keys.tpm ? (keys.pcrs.length ? "key.on.pcr" : "key.on.tpm") : keys.passphrase ? "key.on.phrase" : "key.on.what";
  return panel("lock", t(keys.seals ? "key.on" : "key.off"),
    el("p.s.sub", {}, t(keys.seals ? kept : "key.off.what", { pcrs: keys.pcrs.join(", ") })),
    el("dl.kv", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, t(`key.${name}`)), el("dd", {}, value)])),
    keys.locked ? null : el("div.row", {}, el("span.grow", {}),
      keys.tpm ? button("", t("key.file"), () => toFile(app, again)) : null,
      button("", t(keys.tpm ? "key.tpm.change" : "key.tpm.set"), () => tpm(app, keys, again)),
      button("", t(keys.passphrase ? "key.phrase.change" : "key.phrase.set"), () => phrase(app, keys, again)),
      button("", t("key.rotate"), () => rotate(app, again))));
}

/** After a start with a passphrase: what was recorded before it waits for this. */
function locked(app, again) {
  const word = field(t("key.phrase"), { type: "password", required: true });
  return panel("lock", t("key.locked"), el("p.warn", {}, t("key.locked.what")), form({
    rows: [word.row], act: t("key.unlock"),
    onSubmit: async () => {
      await api.post("/api/key/unlock", { passphrase: word.input.value });
      word.input.value = "";
      app.notes.say(t("key.unlocked"), "ok");
      await again();
    },
  }));
}

/** The TPM keeps the key back: why, and what may help. @param {any} app @param {Keys} keys @param {() => any} again */
function refused(app, keys, again) {
  const why = keys.refused ?? { code: "key.locked", detail: "" };
  return panel("lock", t("key.locked"), problemBox(new api.Problem(0, why.code, why.detail)),
    el("p.s.sub", {}, t("key.refused.what")),
    el("div.row", {}, el("span.grow", {}), button("", t("key.refused.again"), async () => {
      await attempt(app, () => {}, async () => {
        await api.post("/api/key/unlock", { passphrase: "" });
        app.notes.say(t("key.unlocked"), "ok");
      });
      await again();
    })));
}

/** The way back when the passphrase or the TPM is gone for good. @param {any} app @param {Keys} keys @param {() => any} again */
function regain(app, keys, again) {
  return panel("shield", t("key.regain"), el("p.s.sub", {}, t(keys.tpm ? "key.regain.tpm" : "key.regain.phrase")), adoption(app, again));
}

/** @param {any} app @param {Keys} keys @param {() => any} again */
function tpm(app, keys, again) {
  const pcrs = field(t("key.tpm.pcrs"), { value: keys.pcrs.join(", "), pattern: "[0-9, ]*", hint: t("key.tpm.pcrs.hint"), placeholder: "0, 2, 7" });
  const box = dialog({
    title: t(keys.tpm ? "key.tpm.change" : "key.tpm.set"),
    body: [
      el("p.s.sub", {}, t("key.tpm.what")),
      el("p.s.sub", {}, t("key.tpm.not")),
      keys.owner ? null : el("p.warn", {}, t("key.tpm.owner")),
      form({
        rows: [pcrs.row], act: t("save"),
        onSubmit: async () => {
          const chosen = pcrs.input.value.split(/[, ]+/).filter(Boolean).map(Number);
          const { left } = await api.put("/api/key/tpm", { pcrs: chosen });
          box.close();
          app.notes.say(left ? t("key.rotate.left", { n: left }) : t("key.tpm.done"), left ? "warn" : "ok");
          await again();
        },
      }),
    ],
    actions: [],
  });
}

async function toFile(app, again) {
  if (!(await confirmLoss({ title: t("key.file.title"), lost: [t("key.file.lost")], kept: [t("key.rotate.kept")], act: t("key.file") }))) return;
  await attempt(app, again, async () => {
    await api.put("/api/key/passphrase", { passphrase: "" });
    app.notes.say(t("key.file.done"), "ok");
  });
}

/** @param {any} app @param {Keys} keys @param {() => any} again */
function phrase(app, keys, again) {
  const one = field(t("key.phrase"), { type: "password", autocomplete: "new-password", hint: t(keys.passphrase ? "key.phrase.none" : "key.phrase.hint", { n: LEAST }) });
  const two = field(t("key.phrase.again"), { type: "password", autocomplete: "new-password" });
  const box = dialog({
    title: t(keys.passphrase ? "key.phrase.change" : "key.phrase.set"),
    body: [el("p.s.sub", {}, t("key.phrase.what")), keys.owner ? null : el("p.warn", {}, t("key.phrase.owner")), form({
      rows: [one.row, two.row], act: t("save"),
      onSubmit: async () => {
        if (one.input.value !== two.input.value) throw new api.Problem(0, "page.differ", "");
        if ((one.input.value || !keys.passphrase) && one.input.value.length < LEAST) throw new api.Problem(0, "page.short", "", { n: LEAST });
        await api.put("/api/key/passphrase", { passphrase: one.input.value });
        box.close();
        app.notes.say(t(one.input.value ? "key.phrase.done" : "key.phrase.gone"), "ok");
        await again();
      },
    })],
    actions: [],
  });
}

async function rotate(app, again) {
  if (!(await confirmLoss({ title: t("key.rotate.title"), lost: [t("key.rotate.lost")], kept: [t("key.rotate.kept")], act: t("key.rotate") }))) return;
  await attempt(app, again, async () => {
    const { left } = await api.post("/api/key/rotate", {});
    app.notes.say(left ? t("key.rotate.left", { n: left }) : t("key.rotate.done"), left ? "warn" : "ok");
  });
}

/** @param {any} app @param {Keys} keys @param {() => any} again */
function recovery(app, keys, again) {
  return panel("shield", t("key.owner"),
    keys.owner ? el("p.mono.s", {}, keys.owner) : el("p.warn", {}, t(keys.seals ? "key.owner.none" : "key.owner.later")),
    el("p.s.sub", {}, t("key.owner.what")),
    el("div.row", {}, el("span.grow", {}), button("plus", t("key.owner.make"), () => make(app, keys, again), { cls: keys.owner ? "" : "p" })));
}

async function make(app, keys, again) {
  if (keys.owner && !(await confirmLoss({ title: t("key.owner.title"), lost: [t("key.owner.lost")], kept: [t("key.owner.kept")], act: t("key.owner.make") }))) return;
  await attempt(app, again, async () => {
    const made = await api.post("/api/key/recovery", {});
    const box = dialog({
      title: t("key.owner"),
      body: [
        el("p.warn", {}, t("key.owner.once")),
        el("div.secret", {}, el("span.s.sub", {}, t("key.owner.words")), el("code.mono", {}, made.recovery_key)),
        el("div.secret", {}, el("span.s.sub", {}, t("key.fingerprint")), el("code.mono", {}, made.owner)),
        made.without ? el("p.warn", {}, t("key.owner.without", { n: made.without })) : null,
      ],
      actions: [button("", t("key.owner.noted"), () => box.close(), { cls: "p wide" })],
    });
  });
}

/** @param {any} app @param {Keys} keys @param {() => any} again */
function foreign(app, keys, again) {
  return panel("disk", t("key.adopt"), el("p.warn", {}, t("key.adopt.what", { n: keys.foreign, all: keys.keys })), adoption(app, again));
}

function adoption(app, again) {
  const words = field(t("key.owner.words"), { required: true, hint: t("key.adopt.hint") });
  words.input.classList.add("mono");
  return form({
    rows: [words.row], act: t("key.adopt.do"),
    onSubmit: async () => {
      const { left, new_key: fresh } = await api.post("/api/key/adopt", { recovery_key: words.input.value });
      words.input.value = "";
      const done = fresh ? t("key.regain.done") : t("key.adopt.done");
      app.notes.say(left ? t("key.adopt.left", { n: left }) : done, left ? "warn" : "ok");
      await again();
    },
  });
}

/** @param {any} app @param {Keys} keys @param {() => any} again */
function destruction(app, keys, again) {
  const camera = field(t("key.destroy.camera"), { options: app.box.cameras.map((one) => [one.name, one.title || one.name]) });
  const first = field(t("key.destroy.first"), { type: "date", required: true, value: keys.first_day });
  const last = field(t("key.destroy.last"), { type: "date", required: true, value: keys.first_day });
  const why = field(t("lock.why"), { required: true, max: 200, hint: t("key.destroy.why.hint") });
  const ask = form({
      rows: [camera.row, el("div.two", {}, first.row, last.row), why.row], act: t("key.destroy.do"),
      onSubmit: async () => {
        const title = app.box.camera(camera.input.value)?.title || camera.input.value;
        const sure = await confirmLoss({
          title: t("key.destroy.title", { title }),
          lost: [t("key.destroy.lost", { first: first.input.value, last: last.input.value })],
          kept: [t("key.destroy.kept")], act: t("key.destroy.do"),
        });
        if (!sure) return;
        await api.post("/api/key/destroy", { camera: camera.input.value, first_day: first.input.value, last_day: last.input.value, why: why.input.value.trim() });
        app.notes.say(t("key.destroy.done"), "ok");
        await again();
      },
    });
  ask.querySelector("[type=submit]")?.classList.replace("p", "danger");
  return panel("bin", t("key.destroy"), el("p.s.sub", {}, t("key.destroy.what")), ask);
}

async function attempt(app, again, act) {
  try {
    await act();
    await again();
  } catch (error) {
    app.notes.problem(error);
  }
}
