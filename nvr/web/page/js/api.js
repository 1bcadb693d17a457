// HTTP to the box. A refusal becomes a Problem with the box's stable code.

import { knows, t } from "./i18n.js";

/** What went wrong, with the code a person can read out on the phone. */
export class Problem extends Error {
  /** @param {number} status @param {string} code @param {string} detail @param {Record<string, any>} context */
  constructor(status, code, detail, context = {}) {
    super(`${code}: ${detail}`);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.context = context;
  }
}

/** One sentence for a person. The box's own sentence stands in where the dictionary has none. */
export function sentence(problem) {
  if (!(problem instanceof Problem)) return t("err.page", { detail: String(problem?.message ?? problem) });
  const key = `code.${problem.code}`;
  if (knows(key)) return t(key, problem.context);
  return problem.detail ? t("err.box", { detail: problem.detail }) : t("err.unknown");
}

/** Code shown after the sentence. */
export const codeOf = (problem) => (problem instanceof Problem ? problem.code : "page.error");

/**
 * @param {string} path
 * @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, { method = "GET", body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  if (method !== "GET") headers["X-NVR"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, credentials: "same-origin",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "page.offline", "");
  }
  if (response.ok) return response;
  let told = {};
  try {
    told = await response.json();
  } catch {
    // A proxy in between may answer with something else than our JSON.
  }
  // A wrong password is 401 as well, and no end of a session.
  if (["auth.needed", "claim.needed"].includes(told.code)) window.dispatchEvent(new CustomEvent("nvr-signed-out"));
  throw new Problem(response.status, told.code ?? `http.${response.status}`, told.detail ?? "", told.context ?? {});
}

/** @returns {Promise<any>} Parsed JSON, or null where the box answers without a body. */
export async function json(path, options) {
  const response = await request(path, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const get = (path, signal) => json(path, { signal });
export const post = (path, body = {}) => json(path, { method: "POST", body });
export const put = (path, body) => json(path, { method: "PUT", body });
export const patch = (path, body) => json(path, { method: "PATCH", body });
export const remove = (path) => json(path, { method: "DELETE" });

/** Path of a camera's resource. */
export const cameraPath = (name, rest = "") => `/api/camera/${encodeURIComponent(name)}${rest}`;

/** WebSocket address on the same host. @param {string} path */
export function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
