// Where the page gets its models from: the server's API. Whatever has the same functions can stand in its place.

import { Problem } from "./problem.js";

const STORED_TOKEN = "pycharrnn-token";
const BROKEN = "The connection broke off.";

export class ServerSource {
  #tag = ""; // of the last list of models

  set token(token) {
    if (token) sessionStorage.setItem(STORED_TOKEN, token);
    else sessionStorage.removeItem(STORED_TOKEN);
  }

  get token() {
    return sessionStorage.getItem(STORED_TOKEN);
  }

  // {models, follow, limits}, or null if they are as they were.
  async models() {
    const answer = await this.#ask("api/models", { headers: this.#tag ? { "If-None-Match": this.#tag } : {} });
    if (answer.status === 304) return null;
    const list = await answer.json();
    this.#tag = answer.headers.get("ETag");
    return list;
  }

  // {train, val, epochs_per_iteration, window}
  async losses(model) {
    return (await this.#ask(`api/losses?${new URLSearchParams({ model })}`)).json();
  }

  // Lists of {text, given, probability, candidates, activation}, as they are drawn.
  async *sample(request, signal) {
    const answer = await this.#ask("api/sample", { body: request, signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let ended = false; ; ) {
      const { value, done } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : new Problem(BROKEN);
      });
      if (done && !ended) throw new Problem(BROKEN);
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      const items = parts.map((line) => JSON.parse(line));
      yield items.filter((item) => "text" in item);
      for (const item of items) {
        if (item.error) throw new Problem(item.error);
        ended ||= item.done;
      }
    }
  }

  // {characters: [{text, bits}], bits_per_character, known, unknown}
  async score(request, signal) {
    return (await this.#ask("api/score", { body: request, signal })).json();
  }

  async #ask(path, { body, headers = {}, signal } = {}) {
    const { token } = this;
    headers = { ...headers, ...(body && { "Content-Type": "application/json" }) };
    if (token) headers.Authorization = `Bearer ${token}`;
    let answer;
    try {
      answer = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Problem("The server can't be reached.");
    }
    if (answer.ok || answer.status === 304) return answer;
    if (answer.status === 401) {
      this.token = "";
      throw token ? new Problem("This token is wrong.", "wrong") : new Problem("", "missing");
    }
    const problem = await answer.json().catch(() => ({}));
    throw new Problem(typeof problem.detail === "string" ? problem.detail : `The server answered ${answer.status}.`);
  }
}
