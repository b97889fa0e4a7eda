// The runs: one is shown whole, the others as rows, those that wait in the order in which they will be learnt.

import { Problem } from "./problem.js";
import { UNREACHABLE } from "./studio_api.js";
import { $, announce, button, el, sentence, showAgain } from "./studio_dom.js";
import { askMinutes } from "./studio_go_on.js";
import { RunCard } from "./studio_run_card.js";

export class Runs {
  #api;
  #actions;
  #card;
  #runs = [];
  #queue = [];
  #rows = ""; // as JSON, what the rows show
  #chosen = ""; // id of the run that the user has chosen to see
  #shown = ""; // id of the run that is shown
  #states = new Map(); // id -> state, to announce changes

  // actions: {play(id), send(id), remove(run), onChange()}
  constructor(api, actions) {
    [this.#api, this.#actions] = [api, actions];
    this.#card = new RunCard($("current-run"), {
      stop: (run) => this.#act(run, "stop", { at_once: run.state === "stopping" }),
      goOn: (run) =>
        run.state === "finished" ? askMinutes(run, (body) => this.#act(run, "go_on", body)) : this.#act(run, "go_on"),
      play: (run) => actions.play(run.best_model),
      send: (run) => actions.send(run.best_model),
      remove: (run) => actions.remove(run),
    });
  }

  // Whether something runs or waits, so that the server has news each second.
  get isBusy() {
    return this.#runs.some(({ state }) => ["running", "stopping", "waiting"].includes(state));
  }

  // Asks the server for what has changed, and shows it.
  async refresh() {
    const answer = await this.#api.changed("api/studio/runs");
    if (answer) [this.#runs, this.#queue] = [[...answer.runs], [...answer.queue]]; // an error where these are no lists
    const run = this.#current();
    if (answer) this.#showRows(run);
    $("current-run").hidden = !run;
    document.body.classList.toggle("has-run", Boolean(run) && this.isBusy);
    $("learn").classList.toggle("first", !this.#runs.length);
    if (!run) return;
    if (!answer && run.id === this.#shown && !this.isBusy) return;
    this.#shown = ""; // until there is an answer: else a lost one would be the last, once all runs have ended
    this.#card.show(await this.#api.get(`api/studio/runs/${run.id}`));
    this.#shown = run.id;
  }

  // Shows why something was not done with the run that is shown; refresh shows, and clears, UNREACHABLE.
  showProblem(words) {
    this.#card.showProblem(words === UNREACHABLE ? "" : words);
  }

  // Shows a run whole.
  async choose(id, { focus = true } = {}) {
    this.#chosen = id;
    this.#rows = "";
    this.#api.forget("api/studio/runs");
    this.#card.showProblem("");
    await this.refresh();
    if (focus) $("run-title").focus();
  }

  // The run that is shown: the chosen one once it has begun, or the one that runs, or the next, or the newest.
  #current() {
    const chosen = this.#runs.find(({ id }) => id === this.#chosen);
    if (chosen && chosen.state !== "waiting") return chosen;
    const running = this.#runs.find(({ state }) => ["running", "stopping"].includes(state));
    return running ?? this.#runs.find(({ id }) => id === this.#queue[0]) ?? this.#runs[0];
  }

  #showRows(current) {
    for (const { id, name, state, sentence: words } of this.#runs) {
      if (this.#states.has(id) && this.#states.get(id) !== state) announce(`${name}: ${words}`);
      this.#states.set(id, state);
    }
    const waiting = this.#queue
      .map((id) => this.#runs.find((run) => run.id === id))
      .filter((run) => run && run !== current);
    const others = this.#runs.filter((run) => run !== current && run.state !== "waiting");
    $("no-runs").hidden = this.#runs.length > 0;
    const parts = [waiting, others].map((runs) =>
      runs.map(({ id, name, state, can, sentence: words }) => [id, name, state, can, state === "running" ? "" : words]),
    );
    const now = JSON.stringify(parts);
    if (now === this.#rows) return;
    this.#rows = now;
    $("waiting").hidden = !waiting.length;
    $("others").hidden = !others.length;
    showAgain(
      $("waiting-list"),
      waiting.map((run) => this.#waitingRow(run)),
      $("waiting-title"),
    );
    showAgain(
      $("other-list"),
      others.map((run) => this.#otherRow(run)),
      $("others-title"),
    );
  }

  #waitingRow(run) {
    const place = this.#queue.indexOf(run.id);
    const move = (by, sign, words) => {
      const disabled = !this.#queue[place + by];
      return button(sign, () => this.#move(place, by), {
        key: `${words} ${run.id}`,
        kind: "icon",
        disabled,
        "aria-label": `Move ${run.name} ${words}`,
      });
    };
    const goOn = run.can.includes("go_on") && button("Go on", () => this.#act(run, "go_on"), {
      key: `go on ${run.id}`,
      "aria-label": `Go on with ${run.name} and the queue`,
    });
    const leave = button("Remove", () => this.#act(run, "stop"), {
      key: `stop ${run.id}`,
      "aria-label": `Remove ${run.name} from the queue`,
    });
    return el(
      "li",
      {},
      el("div", { class: "what" }, run.name, goOn && el("small", { class: "quiet" }, sentence(run.sentence))),
      el("div", { class: "buttons" }, move(-1, "↑", "up"), move(1, "↓", "down"), goOn, leave),
    );
  }

  #otherRow(run) {
    const show = button("Show", () => this.choose(run.id), { key: `show ${run.id}`, "aria-label": `Show ${run.name}` });
    const words = run.state === "running" ? "learning now" : run.sentence;
    const small = el("small", { class: run.error ? "problem" : "quiet" }, sentence(words));
    return el("li", {}, el("div", { class: "what" }, run.name, small), el("div", { class: "buttons" }, show));
  }

  async #move(place, by) {
    const queue = [...this.#queue];
    [queue[place], queue[place + by]] = [queue[place + by], queue[place]];
    await this.#try(async () => {
      await this.#api.post("api/studio/queue", { runs: queue }, { method: "PUT" });
      const name = this.#runs.find(({ id }) => id === queue[place + by])?.name;
      announce(`${name} is now number ${place + by + 1} of ${queue.length}.`);
    });
  }

  #act(run, what, body = {}) {
    return this.#try(() => this.#api.post(`api/studio/runs/${run.id}/${what}`, body));
  }

  // Does something, and shows what has become of the runs, or the sentence why not.
  async #try(action) {
    this.#card.showProblem("");
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.showProblem(error.message);
    }
    await this.#actions.onChange();
  }
}
