// Source of models for a page that holds them: a worker computes. Same methods as ServerSource.

import { Problem } from "./problem.js";

const LIMITS = { length: 10_000, primetext: 2_000, score: 20_000, items: 500 }; // as the server's

export class FileSource {
  token = ""; // unused: a file needs none
  #payloads; // by model id
  #makeWorker;
  #worker = null;
  #sent = new Set(); // ids of the models that the worker has
  #tasks = new Map(); // task number -> {replies: received and not yet yielded, wake: called when one is received}
  #lastTask = 0;
  #listed = false;

  // payloads: models as checkpoints/payload.py encodes them, with their facts and losses. makeWorker: returns a Worker
  // that runs worker.js.
  constructor(payloads, makeWorker) {
    this.#payloads = new Map(payloads.map((payload) => [payload.facts.id, payload]));
    this.#makeWorker = makeWorker;
  }

  // {models, follow, limits} at first, then null: they never change.
  async models() {
    if (this.#listed) return null;
    this.#listed = true;
    return { models: [...this.#payloads.values()].map(({ facts }) => facts), follow: false, limits: LIMITS };
  }

  // {train, val, epochs_per_iteration, window}
  async losses(model) {
    return this.#payload(model).losses;
  }

  // Yields lists of {text, given, probability, candidates, activation}. onProgress: called with a number up to 1 while
  // the model learns, for `adapt`.
  async *sample({ model, ...sample }, signal, onProgress) {
    for await (const { items } of this.#slices({ model, sample }, signal, onProgress)) yield items;
  }

  // Yields lists of {text, known, seed, cut}; in the last one {done, drawn, known, repeated, empty, gave_up}.
  async *items({ model, ...items }, signal, onProgress) {
    for await (const { items: found, done, result } of this.#slices({ model, items }, signal, onProgress)) {
      yield done ? [...found, { done, ...result }] : found;
    }
  }

  // {characters: [{text, bits}], bits_per_character, known, code_points, unknown}, with `adapt` also {plain}
  async score({ model, ...score }, signal, onProgress) {
    const characters = [];
    let summary = {};
    for await (const { items, result } of this.#slices({ model, score }, signal, onProgress)) {
      characters.push(...items);
      summary = result;
    }
    return { characters, ...summary };
  }

  // The worker's replies to a task, one for each time slice.
  async *#slices(task, signal, onProgress) {
    signal.throwIfAborted();
    const payload = this.#payload(task.model);
    const worker = (this.#worker ??= this.#startWorker());
    if (!this.#sent.has(task.model)) worker.postMessage({ model: task.model, payload });
    this.#sent.add(task.model);
    const number = ++this.#lastTask;
    const state = { replies: [], wake: () => {} };
    const wake = () => state.wake();
    this.#tasks.set(number, state);
    signal.addEventListener("abort", wake);
    worker.postMessage({ ...task, task: number });
    worker.postMessage({ task: number, more: true }); // so that the worker is one slice ahead of the page
    try {
      for (let done = false; !done; ) {
        worker.postMessage({ task: number, more: true });
        if (!state.replies.length) await new Promise((resolve) => (state.wake = resolve));
        signal.throwIfAborted();
        const reply = state.replies.shift();
        if (reply.problem) throw new Problem(reply.problem);
        if (reply.progress) onProgress?.(reply.progress);
        yield reply;
        ({ done } = reply);
      }
    } finally {
      worker.postMessage({ task: number, stop: true });
      this.#tasks.delete(number);
      signal.removeEventListener("abort", wake);
    }
  }

  #payload(model) {
    const payload = this.#payloads.get(model);
    if (!payload) throw new Problem(`This page has no model ${model}.`);
    return payload;
  }

  #startWorker() {
    const worker = this.#makeWorker();
    worker.addEventListener("message", ({ data }) => this.#receive(data.task, data));
    worker.addEventListener("error", ({ message }) => {
      if (worker !== this.#worker) return; // an earlier error has terminated it
      worker.terminate();
      this.#worker = null; // the next task starts another one, which has no models yet
      this.#sent.clear();
      const problem = `The computation failed (${message || "the browser gives no reason"}).`;
      for (const number of this.#tasks.keys()) this.#receive(number, { problem });
    });
    return worker;
  }

  #receive(number, reply) {
    const task = this.#tasks.get(number);
    task?.replies.push(reply);
    task?.wake();
  }
}
