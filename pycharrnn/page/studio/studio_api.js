// The studio's requests to its server. Errors are Problems, whose message is a sentence to show.

import { saveBlob } from "./links.js";
import { Problem, received } from "./problem.js";
import { detailOf, fetchWithToken, tokenHeaders } from "./server_request.js";
import { sentence } from "./studio_dom.js";

export const UNREACHABLE = "The server can't be reached. Is pycharrnn studio still running?";

// source: has the token of the server. onRefused(problem): is called when the server misses or refuses it; the Problem
// that is thrown then has no message.
export class StudioApi {
  #etags = new Map(); // path -> ETag of the last answer
  #source;
  #onRefused;

  constructor(source, onRefused) {
    [this.#source, this.#onRefused] = [source, onRefused];
  }

  // The answer of a GET request, or null if it has not changed since the last one.
  async changed(path) {
    const etag = this.#etags.get(path);
    const response = await this.#fetch(path, { headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status === 304) return null;
    const answer = await received(response.json());
    if (response.headers.has("ETag")) this.#etags.set(path, response.headers.get("ETag"));
    return answer;
  }

  // Makes the next `changed` of a path answer whether or not something has changed.
  forget(path) {
    this.#etags.delete(path);
  }

  async get(path) {
    return received((await this.#fetch(path)).json());
  }

  async post(path, body = {}, { method = "POST", signal } = {}) {
    const headers = { "Content-Type": "application/json" };
    return received((await this.#fetch(path, { method, headers, body: JSON.stringify(body), signal })).json());
  }

  // A file of the server, which the browser saves under its name.
  async download(path, name) {
    saveBlob(await received((await this.#fetch(path)).blob()), name);
  }

  // Uploads a file as the body of a request. onProgress(bytes). Browsers report the progress of an XMLHttpRequest only.
  upload(path, file, onProgress, signal) {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted(); // it has no event any more
      const request = new XMLHttpRequest();
      const { token } = this.#source;
      request.open("PUT", path);
      for (const [key, value] of Object.entries(tokenHeaders(token))) request.setRequestHeader(key, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "json";
      request.upload.addEventListener("progress", ({ loaded }) => onProgress(loaded));
      request.addEventListener("load", () => {
        if (request.status < 300) resolve(request.response);
        else reject(this.#problemOf(request.status, request.response, token));
      });
      request.addEventListener("error", () =>
        reject(new Problem("The upload was interrupted. Nothing of it was kept.")),
      );
      request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
      signal.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  }

  async #fetch(path, options = {}) {
    const { token } = this.#source;
    const response = await fetchWithToken(path, options, token, UNREACHABLE);
    if (response.ok || response.status === 304) return response;
    throw this.#problemOf(response.status, await response.json().catch(() => null), token);
  }

  // token: of the request.
  #problemOf(status, answer, token) {
    if (status === 401) {
      const problem = this.#source.refused(token);
      this.#onRefused(problem);
      return new Problem("", problem.token);
    }
    return new Problem(sentence(detailOf(status, answer)));
  }
}
