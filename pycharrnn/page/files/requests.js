// The requests of the page, of which one runs at a time.

import { showStatus } from "./status.js";

const $ = (id) => document.getElementById(id);

export class Requests {
  #running = null; // {controller: AbortController, status, stopped}
  #onChange;
  #report;

  // onChange(): is called when a request begins, and when the last one has ended. report(error, where): shows an error.
  constructor(onChange, report) {
    [this.#onChange, this.#report] = [onChange, report];
  }

  get isRunning() {
    return this.#running !== null;
  }

  // Whether the request that runs shows in `status` how it ended.
  isOf(status) {
    return this.#running?.status === status;
  }

  stop() {
    this.#running?.controller.abort();
  }

  // Stops the request before, runs another, and shows in `status` how it ended. stopped(): what to show if the user
  // stops it.
  async run(status, request, stopped) {
    const before = this.#running;
    before?.controller.abort();
    if (before && before.status !== status) showStatus(before.stopped(), before.status); // of the other tab
    const mine = (this.#running = { controller: new AbortController(), status, stopped });
    this.#onChange();
    try {
      await request(mine.controller.signal);
    } catch (error) {
      if (mine !== this.#running) return;
      if (error.name === "AbortError") showStatus(stopped(), status);
      else this.#report(error, status);
    } finally {
      if (mine === this.#running) {
        for (const id of ["progress", "score-progress"]) $(id).hidden = true;
        this.#running = null;
        this.#onChange();
      }
    }
  }
}
