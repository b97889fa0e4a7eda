// Where a page gets its models from that has them inside: from itself, computed by a worker. As source.js otherwise.

import { Problem } from "./problem.js";

const LIMITS = { length: 10_000, primetext: 2_000, score: 20_000 }; // as those of the server

export class FileSource {
  token = ""; // that of a server: a file needs none
  #payloads; // by their models' names
  #makeWorker;
  #worker = null;
  #sent = new Set(); // names of the models that the worker has
  #tasks = new Map(); // number -> {answers: those that have come, wake: called when another comes}
  #last = 0; // number of the last task
  #listed = false;

  // payloads: a list of models, each as checkpoints/payload.py encodes it, with its facts and losses. makeWorker: makes a
  // Worker of worker.js.
  constructor(payloads, makeWorker) {
    this.#payloads = new Map(payloads.map((payload) => [payload.facts.id, payload]));
    this.#makeWorker = makeWorker;
  }

  // {models, follow, limits}, then null, since they are as they were.
  async models() {
    if (this.#listed) return null;
    this.#listed = true;
    return { models: [...this.#payloads.values()].map(({ facts }) => facts), follow: false, limits: LIMITS };
  }

  // {train, val, epochs_per_iteration, window}
  async losses(model) {
    return this.#payload(model).losses;
  }

  // Lists of {text, given, probability, candidates, activation}, as they are drawn.
  async *sample({ model, ...sample }, signal) {
    for await (const { items } of this.#turns({ name: model, sample }, signal)) yield items;
  }

  // {characters: [{text, bits}], bits_per_character, known, unknown}
  async score({ model, ...score }, signal) {
    const characters = [];
    let found = {};
    for await (const { items, result } of this.#turns({ name: model, score }, signal)) {
      characters.push(...items);
      found = result;
    }
    return { characters, ...found };
  }

  // The worker's answers, one for each of its turns.
  async *#turns(work, signal) {
    signal.throwIfAborted();
    const payload = this.#payload(work.name);
    const worker = (this.#worker ??= this.#started());
    if (!this.#sent.has(work.name)) worker.postMessage({ name: work.name, payload });
    this.#sent.add(work.name);
    const number = ++this.#last;
    const task = { answers: [], wake: () => {} };
    const wake = () => task.wake();
    this.#tasks.set(number, task);
    signal.addEventListener("abort", wake);
    worker.postMessage({ ...work, task: number });
    worker.postMessage({ task: number, more: true }); // one turn ahead of those that are asked for below
    try {
      for (let done = false; !done; ) {
        worker.postMessage({ task: number, more: true });
        if (!task.answers.length) await new Promise((resolve) => (task.wake = resolve));
        signal.throwIfAborted();
        const answer = task.answers.shift();
        if (answer.problem) throw new Problem(answer.problem);
        yield answer;
        ({ done } = answer);
      }
    } finally {
      worker.postMessage({ task: number, stop: true });
      this.#tasks.delete(number);
      signal.removeEventListener("abort", wake);
    }
  }

  #payload(model) {
    const payload = this.#payloads.get(model);
    if (!payload) throw new Problem(`The model ${model} is not here.`);
    return payload;
  }

  #started() {
    const worker = this.#makeWorker();
    worker.addEventListener("message", ({ data }) => this.#take(data.task, data));
    worker.addEventListener("error", ({ message }) => {
      if (worker !== this.#worker) return; // an earlier error has ended it
      worker.terminate();
      this.#worker = null;
      this.#sent.clear();
      const problem = `The model stopped computing (${message || "the browser does not say why"}).`;
      for (const number of this.#tasks.keys()) this.#take(number, { problem });
    });
    return worker;
  }

  #take(number, answer) {
    const task = this.#tasks.get(number);
    task?.answers.push(answer);
    task?.wake();
  }
}
