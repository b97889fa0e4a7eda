// Source of models for the page of `pycharrnn serve`: the server's API.

import { CONNECTION_LOST, Problem, received } from "./problem.js";
import { detailOf, fetchWithToken } from "./server_request.js";

const STORED_TOKEN = "pycharrnn-token";
const UNREACHABLE = "The server can't be reached.";

export class ServerSource {
  #etag = ""; // of the last list of models

  // A header holds ASCII only. Any other character becomes ?, which no token has: the server then refuses the token.
  set token(token) {
    if (token) sessionStorage.setItem(STORED_TOKEN, token.replace(/[^!-~]/g, "?"));
    else sessionStorage.removeItem(STORED_TOKEN);
  }

  get token() {
    return sessionStorage.getItem(STORED_TOKEN);
  }

  // Forgets a token that the server has refused in a request, "" or null for none. Returns the Problem.
  refused(token) {
    if (token === this.token) this.token = ""; // unless the user has typed another one since
    return token ? new Problem("This token is wrong.", "wrong") : new Problem("", "missing");
  }

  // {models, follow, limits}, or null if they have not changed.
  async models() {
    const response = await this.#fetch("api/models", { headers: this.#etag ? { "If-None-Match": this.#etag } : {} });
    if (response.status === 304) return null;
    const list = await received(response.json());
    this.#etag = response.headers.get("ETag");
    return list;
  }

  // {train, val, epochs_per_iteration, window}
  async losses(model) {
    return received((await this.#fetch(`api/losses?${new URLSearchParams({ model })}`)).json());
  }

  // Yields lists of {text, given, probability, candidates, activation}. onEarly: called if max_copy ends the sample.
  async *sample(request, signal, onProgress, onEarly) {
    for await (const lines of this.#lines("api/sample", request, signal)) {
      yield lines.filter((line) => "text" in line);
      if (lines.some((line) => line.early)) onEarly?.();
    }
  }

  // Yields lists of {text, known, seed, cut}; in the last one {done, drawn, known, repeated, empty, gave_up}.
  items(request, signal) {
    return this.#lines("api/items", request, signal);
  }

  // {characters: [{text, bits}], bits_per_character, known, code_points, unknown}, with `adapt` also {plain}.
  // onProgress: as in FileSource.
  async score(request, signal, onProgress) {
    if (!request.adapt) return received((await this.#fetch("api/score", { body: request, signal })).json());
    let last;
    for await (const lines of this.#lines("api/score", { ...request, progress: true }, signal)) {
      for (last of lines) if (!last.done) onProgress?.(last.progress);
    }
    return last;
  }

  // {passages: [{start, length, text_line, text_column}], or null without the training text}
  async copied(request, signal) {
    return received((await this.#fetch("api/copied", { body: request, signal })).json());
  }

  // Yields lists of the lines of a response, the last one included.
  async *#lines(path, request, signal) {
    const response = await this.#fetch(path, { body: request, signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let complete = false; ; ) {
      const { value, done } = await received(reader.read());
      if (done && !complete) throw new Problem(CONNECTION_LOST); // the last line is missing
      if (done) return;
      const pieces = (rest + value).split("\n");
      rest = pieces.pop();
      const lines = pieces.map((piece) => JSON.parse(piece));
      yield lines.filter((line) => !line.error);
      for (const line of lines) {
        if (line.error) throw new Problem(line.error);
        complete ||= line.done;
      }
    }
  }

  // Throws Problem unless the server answers with the requested content, or 304.
  async #fetch(path, { body, headers = {}, signal } = {}) {
    const { token } = this;
    headers = { ...headers, ...(body && { "Content-Type": "application/json" }) };
    const posted = body && { method: "POST", body: JSON.stringify(body), signal };
    const response = await fetchWithToken(path, { headers, ...posted }, token, UNREACHABLE);
    if (response.ok || response.status === 304) return response;
    if (response.status === 401) throw this.refused(token);
    throw new Problem(detailOf(response.status, await response.json().catch(() => null)));
  }
}
