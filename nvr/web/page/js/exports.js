// Background exports: ask for one, watch it, fetch it. The box makes them; the page may be left.

import { get, post, Problem, remove, sentence } from "./api.js";
import { el, Part, show } from "./dom.js";
import { bytes, clock, day, parseTime, span, stamp, t } from "./i18n.js";
import { icon } from "./icons.js";
import { stretch } from "./lock.js";
import { confirmLoss, dialog, field, form, iconButton } from "./ui.js";

const WAITS = ["queued", "running", "waiting", "paused"];

/**
 * @typedef {{number: number, form: string, cameras: string[], streams: string, from_us: number, to_us: number, by: string,
 *   state: string, share: number, left_s: number | null, written_bytes: number, size_bytes: number, code: string,
 *   captions: boolean, missing: string, files: {name: string, size_bytes: number, sha256: string}[], target: string, place: string, safe: boolean | null}} Job
 * @typedef {{name: string, kind: "download" | "usb" | "s3", title: string, file_system: string, free_bytes: number, code: string}} Target
 */

/** @param {Target} target */
const targetWords = ({ kind, title, file_system, free_bytes }) => (kind === "usb" ? t("exports.to.usb", { title, fs: file_system, free: bytes(free_bytes) }) : t(`exports.to.${kind}`, { title }));

/** Ask where to, if there is anything but this computer. @param {HTMLElement} after */
async function askWhere(after) {
  const targets = await get("/api/export/target").catch(() => []);
  const [usable, not] = [targets.filter((one) => !one.code), targets.filter((one) => one.code)];
  after.after(...not.map((one) => el("p.hint", {}, `${one.title}: ${t(`code.${one.code}`)}`)));
  if (usable.length < 2) return null;
  const where = field(t("exports.to"), { value: "", options: usable.map((one) => [one.name, targetWords(one)]) });
  after.after(where.row);
  return where.input;
}

/** Where a file of an export is. @param {Job} job @param {string} name */
const filePath = (job, name) => `/api/export/${job.number}/${encodeURIComponent(name)}`;

/** Have the browser save a file of an export. @param {Job} job @param {string} name */
function save(job, name) {
  const link = el("a", { href: filePath(job, name), download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Where a finished export is. @param {Job} job */
const arrived = (job) => t(!job.target ? "exports.done" : job.safe === null ? "exports.stored" : job.safe ? "exports.safe" : "exports.unsafe");

/**
 * What, of which cameras, and ask the box to make it.
 * @param {any} app @param {string} name @param {{from_us: number, to_us: number}} range
 * @param {string | null} chosen Which stream is taken at first, null if there is only one.
 */
export function exportDialog(app, name, range, chosen) {
  const times = [range.from_us, range.to_us].map((us) => stamp(us));
  const from = field(t("lock.from"), { required: true, value: times[0], hint: t("lock.time.hint") });
  const to = field(t("lock.to"), { required: true, value: times[1] });
  const kind = field(t("exports.form"), { value: "mp4", options: ["mp4", "ps", "evidence"].map((one) => [one, t(`exports.form.${one}`)]) });
  const what = el("p.hint", {}, t("exports.what.mp4"));
  const streams = field(t("plan.stream"), { value: chosen ?? "main", options: ["main", "sub", "both"].map((one) => [one, t(`stream.${one}`)]) });
  const burn = el("input", { type: "checkbox" });
  const burnRow = el("label.check", {}, burn, el("span", {}, t("exports.captions")));
  const explain = () => {
    const mp4 = kind.input.value === "mp4";
    burnRow.hidden = !mp4;
    what.textContent = t(mp4 && burn.checked ? "exports.what.captions" : `exports.what.${kind.input.value}`);
  };
  kind.input.addEventListener("change", explain);
  burn.addEventListener("change", explain);
  const others = app.box.cameras.filter((one) => one.name === name || one.rights.includes("export"));
  const ticks = others.map((one) => el("input", { type: "checkbox", value: one.name, prop: { checked: one.name === name } }));
  const read = (input, at) => (input.value === times[at] ? [range.from_us, range.to_us][at] : parseTime(input.value, range.from_us));
  let where = null;
  const box = dialog({
    title: t("export"),
    body: [form({
      rows: [el("div.two", {}, from.row, to.row), chosen ? el("div.two", {}, kind.row, streams.row) : kind.row, burnRow, what,
        others.length > 1 ? el("fieldset.picks", {}, el("legend.s.sub", {}, t("manage.cameras")), ...others.map((one, at) => el("label.check", {}, ticks[at], el("span", {}, one.title || one.name)))) : null],
      act: t("exports.do"),
      onSubmit: async () => {
        const [from_us, to_us] = [read(from.input, 0), read(to.input, 1)];
        if (from_us === null || to_us === null) throw new Problem(0, "page.format", "", { label: t(from_us === null ? "lock.from" : "lock.to") });
        const cameras = ticks.filter((one) => one.checked).map((one) => one.value);
        if (!cameras.length) throw new Problem(0, "page.missing", "", { label: t("manage.cameras") });
        const captions = burn.checked && kind.input.value === "mp4";
        const job = await post("/api/export", { cameras, form: kind.input.value, streams: streams.input.value, captions, from_us: Math.floor(from_us), to_us: Math.ceil(to_us), target: where?.value ?? "" });
        box.close();
        if (captions && !job.captions) app.notes.say(t("exports.carried"), "ok");
        if (job.missing) app.notes.say(t("caption.missing", { glyphs: job.missing }), "warn");
        app.notes.say(t("export.started", { day: day(job.from_us), from: clock(job.from_us), to: clock(job.to_us) }), "ok");
        window.dispatchEvent(new CustomEvent("nvr-exports"));
        fetchWhenDone(app, job.number);
      },
    })],
    actions: [],
  });
  /** @type {HTMLElement} */ (box.node.querySelector("button[type=submit]")).focus();
  askWhere(what).then((input) => { where = input; });
}

/** Save what was asked for on this page as soon as it is there, or tell that it has arrived, wherever in the page one is. */
async function fetchWhenDone(app, number) {
  for (;;) {
    await new Promise((done) => { setTimeout(done, 500); });
    let job;
    try {
      job = (await get("/api/export")).find((one) => one.number === number);
    } catch (error) {
      if (error?.status === 401) return;
      continue;
    }
    if (!job) return;
    if (job.state === "failed") app.notes.problem(new Problem(0, job.code, job.detail));
    if (job.state === "done" && job.target) app.notes.say(arrived(job), job.safe === false ? "warn" : "ok");
    else if (job.state === "done") {
      for (const file of job.files) save(job, file.name);
      app.notes.say(t("exports.ready", { size: bytes(job.files.reduce((sum, file) => sum + file.size_bytes, 0)) }), "ok");
    }
    if (!WAITS.includes(job.state)) return;
  }
}

/** The exports of the box, with what can be done with each. */
export class Exports extends Part {
  /** @type {any} */
  app;
  /** Only so many, and nothing where there are none. */
  most = 0;

  start() {
    this.className = "cards";
    this.listen(window, "nvr-exports", () => this.load());
    this.every(1000, () => { if (this.waits) this.load(); });
    this.waits = false;
    this.load();
  }

  async load() {
    let jobs;
    try {
      jobs = await get("/api/export", this.life);
    } catch {
      return; // the banner says that the box is away
    }
    this.waits = jobs.some((job) => WAITS.includes(job.state));
    const shown = this.most ? jobs.slice(0, this.most) : jobs;
    const text = JSON.stringify(shown);
    if (text === this.drawn) return;
    this.drawn = text;
    if (shown.length) show(this, ...shown.map((job) => this.#card(job)));
    else if (this.most) show(this);
    else show(this, el("div.blank", {}, icon("exp", "xl"), el("h2", {}, t("exports.none")), el("p.sub", {}, t("exports.none.do"))));
  }

  /** @param {Job} job */
  #card(job) {
    const names = job.cameras.map((name) => this.app.box.camera(name)?.title || name).join(t("comma"));
    return el(`article.cam-card.panel${job.state === "failed" ? ".alarm-card" : ""}`, { key: String(job.number), data: { export: String(job.number) } },
      el("div.grow", {},
        el("div.row", {}, el("b", {}, names), el("span.chip", {}, t(`exports.form.${job.form}`)), job.streams === "main" ? null : el("span.chip", {}, t(`stream.${job.streams}`)), job.captions ? el("span.chip", {}, t("exports.burned")) : null, job.target ? el("span.chip", {}, t(`exports.kind.${job.target.split(":")[0]}`)) : null),
        el("p.sub.s", {}, stretch(job), job.place ? ` · ${job.place}` : ""),
        WAITS.includes(job.state) ? el("div.meter", { role: "progressbar", "aria-valuenow": Math.round(job.share * 100) }, el(`i${job.state === "paused" ? ".w" : ""}`, { style: { width: `${job.share * 100}%` } })) : null,
        el("p.s", {}, this.#state(job)),
        ...job.files.map((file) => el("p.s", {}, job.target ? `${file.name} · ${bytes(file.size_bytes)}` : el("a", { href: filePath(job, file.name), download: file.name }, `${file.name} · ${bytes(file.size_bytes)}`)))),
      el("div.row.acts", {},
        job.state === "paused" ? iconButton("play", t("exports.resume"), () => this.#turn(job, "resume"), "q", "turn") : null,
        ["queued", "running", "waiting"].includes(job.state) ? iconButton("pause", t("exports.pause"), () => this.#turn(job, "pause"), "q", "turn") : null,
        iconButton(WAITS.includes(job.state) ? "x" : "bin", t(WAITS.includes(job.state) ? "exports.cancel" : "exports.remove"), () => this.#remove(job), "q")));
  }

  /** @param {Job} job */
  #state(job) {
    const percent = Math.floor(job.share * 100);
    if (job.state === "running") return `${job.left_s === null ? t("exports.running", { percent }) : t("exports.left", { percent, left: span(job.left_s) })}${job.target.startsWith("usb:") ? ` · ${t("exports.leave")}` : ""}`;
    if (job.state === "failed") return `${t("exports.failed")} ${sentence(new Problem(0, job.code, job.detail))} ${job.code}`;
    if (job.state === "waiting") return t("exports.waiting", { percent, why: sentence(new Problem(0, job.code, job.detail)) });
    if (job.state === "done") return arrived(job);
    return job.state === "paused" ? t("exports.paused", { percent }) : t("exports.queued");
  }

  async #turn(job, how) {
    try {
      await post(`/api/export/${job.number}/${how}`);
    } catch (error) {
      this.app.notes.problem(error);
    }
    await this.load();
  }

  async #remove(job) {
    const done = job.state === "done" && !job.target;
    if (done && !await confirmLoss({ title: t("exports.remove.title"), lost: job.files.map((file) => file.name), kept: [t("exports.kept")], act: t("exports.remove") })) return;
    try {
      await remove(`/api/export/${job.number}`);
    } catch (error) {
      this.app.notes.problem(error);
    }
    await this.load();
  }
}

customElements.define("nvr-exports", Exports);
