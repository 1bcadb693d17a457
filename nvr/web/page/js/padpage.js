// Teach a joystick: do what is asked, then say what each button does. The same for one at this page
// and one that is plugged into the box, whose axes the box tells while it moves nothing.

import * as api from "./api.js";
import { el, put, show } from "./dom.js";
import { t } from "./i18n.js";
import { Lesson, speeds, WAYS } from "./profile.js";
import { button, dialog, problemBox } from "./ui.js";

const ACTIONS = ["stop", "take", "release", "prev", "next", "wiper", "lamp", "zoom in", "zoom out", "focus near", "focus far", "iris open", "iris close"];
const HERE = ["snapshot", "replay", "full"];
const SLIDERS = { dead: [2, 50], expo: [0, 100], zoom_dead: [2, 50], slow_at_tele: [0, 95] };
const LOOK_MS = 33;
const ASK_MS = 120;

/** One at this page. */
const atPage = (app, pad) => ({
  name: pad.id, mine: true, profile: () => app.pads.profile(pad),
  look: () => app.pads.list().find((one) => one.index === pad.index && one.id === pad.id),
  keep: async (profile) => app.pads.keep(pad, profile),
});

/** One at the box. */
function atBox(app, first) {
  let now = first;
  let asked_ms = 0;
  return {
    name: `${t("pad.box", { n: first.number })} ${first.name}`, mine: false, profile: () => now?.profile,
    look: () => {
      if (now && performance.now() - asked_ms > ASK_MS) {
        asked_ms = performance.now();
        api.post(`/api/joystick/${first.number}/learn`).then((told) => (now = told), () => (now = null));
      }
      return now && { axes: now.axes, buttons: now.buttons.map((on) => ({ pressed: on, value: Number(on) })) };
    },
    keep: async (next) => {
      const told = next ? await api.put("/api/joystick/profile", { ...next, device: first.key }) : await api.remove(`/api/joystick/profile?device=${encodeURIComponent(first.key)}`);
      app.pads.take(told.profiles);
      now = told.joysticks.find((one) => one.number === first.number);
    },
  };
}

/** @param {any} app */
export async function learnPad(app) {
  const { pads } = app;
  pads.learning = true;
  let boxed = /** @type {any[]} */ ([]);
  let at = /** @type {any} */ (null);
  let lesson = /** @type {Lesson | null} */ (null);
  let draft = /** @type {any} */ (null); // what is kept with the next change
  let listed = "-";
  const choose = el("select", { "aria-label": t("pad.title"), on: { change: () => take(sources()[choose.selectedIndex]) } });
  const body = el("div.padpage", {});
  const said = el("p.s", { role: "status" });
  const problem = el("div", {});
  const damaged = el("div", {});
  const box = dialog({
    title: t("pad.title"), wide: true, body: [choose, body, said, problem, damaged],
    actions: [
      button("", t("pad.reset"), () => keep(null)),
      app.box.admin ? button("lock", t("pad.keep"), () => pageToBox(), { title: t("pad.keep.do"), cls: "tobox" }) : null,
      button("", t("done"), () => box.close(), { cls: "p wide" }),
    ].filter(Boolean),
    onClose: () => { pads.learning = false; clearInterval(timer); },
  });
  const sources = () => [...pads.list().map((pad) => atPage(app, pad)), ...boxed.map((one) => atBox(app, one))];

  async function attempt(work) {
    problem.replaceChildren();
    try {
      await work();
    } catch (error) {
      problem.replaceChildren(problemBox(error));
    }
  }
  const keep = (profile) => at && attempt(async () => { await at.keep(profile); take(at); if (profile) put(said, t("prog.saved")); });
  const pageToBox = () => at && attempt(async () => { pads.take((await api.put("/api/joystick/profile", { ...draft, device: at.name })).profiles); put(said, t("prog.saved")); });

  function take(source) {
    at = source ?? null;
    lesson = null;
    draft = at?.profile();
    build();
  }

  function change(values) {
    draft = { ...draft, ...values };
    keep(draft);
  }

  function actions(n) {
    const names = [...ACTIONS, ...(at.mine ? HERE : []), ...Array.from({ length: 16 }, (_, i) => `preset ${i + 1}`), ...[...app.box.domes.keys()].map((name) => `camera ${name}`)];
    const does = draft.buttons[n] ?? "";
    if (does && !names.includes(does)) names.push(does);
    return el("select", { "aria-label": t("pad.button", { n }), on: { change: (event) => change({ buttons: Object.fromEntries(Object.entries({ ...draft.buttons, [n]: event.target.value }).filter(([, one]) => one)) }) } },
      el("option", { value: "" }, "–"), ...names.map((name) => el("option", { value: name, selected: name === does }, word(app, name))));
  }

  function build() {
    const state = at?.look();
    at && box.node.querySelector(".tobox")?.toggleAttribute("hidden", !at.mine);
    if (!state) {
      show(body, el("p", {}, t("pad.none")), el("p.sub", {}, t("pad.none.do")));
      return;
    }
    const meters = el("div.axes", {}, ...state.axes.map((_, n) => el("span.axis", {}, el("i", {}), el("b", {}, String(n)))));
    const teach = lesson
      ? el("div.padrow", {}, el("b.grow", { role: "status" }, t(`pad.do.${lesson.asks}`)), button("", t(WAYS.includes(lesson.asks) ? "pad.skip" : "pad.ready"), () => { lesson?.next(at.look()?.axes ?? []); turn(); }, { cls: "p" }))
      : el("div.padrow", {}, el("span.grow", {}, WAYS.map((way) => `${t(`pad.${way}`)} ${draft[way] ? t("pad.axis", { n: draft[way].axis }) : "–"}`).join(" · ")), button("stick", t("pad.learn"), () => { lesson = new Lesson(draft); build(); }, { cls: "p" }));
    const sliders = Object.entries(SLIDERS).map(([name, [min, max]]) => {
      const value = Math.round((draft[name] ?? { dead: 0.1, expo: 0.5, zoom_dead: 0.15, slow_at_tele: 0.8 }[name]) * 100);
      return el("label.padrow", {}, el("span.grow", {}, `${t(`pad.${name}`)} ${value} %`), el("input", { type: "range", min, max, value, on: { change: (event) => change({ [name]: event.target.value / 100 }) } }));
    });
    show(body, meters, el("p.mono.s.speeds", {}), teach,
      ...(lesson ? [] : [...sliders, el("div.padgrid", {}, ...state.buttons.map((_, n) => el("label.padrow", { data: { n } }, el("span.grow", {}, t("pad.button", { n })), actions(n))))]));
  }

  function turn() {
    if (lesson?.asks === "done") {
      const { profile } = lesson;
      lesson = null;
      change(profile);
    }
    build();
  }

  function tick() {
    const now = pads.list().map((pad) => pad.id).concat(boxed.map((one) => one.number)).join();
    if (now !== listed) {
      listed = now;
      const all = sources();
      choose.replaceChildren(...all.map((one) => el("option", {}, one.name)));
      choose.hidden = all.length < 2;
      take(all[0]);
    }
    const state = at?.look();
    if (!state) return;
    body.querySelectorAll(".axis i").forEach((mark, n) => (mark.style.left = `${50 + (state.axes[n] ?? 0) * 46}%`));
    body.querySelectorAll("[data-n]").forEach((row) => row.classList.toggle("b", state.buttons[row.dataset.n]?.pressed ?? false));
    if (lesson?.feed(state.axes, performance.now())) turn();
    const values = state.buttons.map((one) => (one.pressed ? one.value : 0));
    put(body.querySelector(".speeds"), speeds(state.axes, values, draft).map((value, n) => `${t(`pad.${WAYS[n]}`)} ${value.toFixed(2)}`).join("  "));
  }

  const timer = setInterval(tick, LOOK_MS);
  tick();
  await attempt(async () => {
    const told = await api.get("/api/joystick");
    pads.take(told.profiles);
    if (app.box.admin) boxed = told.joysticks;
    show(damaged, ...told.damaged.map((one) => el("p.s.warn", { role: "alert" }, t("pad.damaged", one))));
  });
}

/** What a button does, in words. */
function word(app, action) {
  const [verb, what] = action.split(" ");
  if (verb === "preset") return t("pad.preset", { n: what });
  if (verb === "camera") return app.box.camera(what)?.title || what;
  return t(`pad.${action.replace(" ", "_")}`);
}
