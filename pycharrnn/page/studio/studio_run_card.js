// One run: how far it is, its losses, its samples, and what can be done with it.

import { copy } from "./links.js";
import { showLosses } from "./loss_curve.js";
import { button, duration, el, sentence, setText, showAgain } from "./studio_dom.js";

export class RunCard {
  #actions;
  #run = null;
  #shown = new Map(); // part -> as JSON, what it was made of

  // parent: an empty element. actions: {stop, goOn, play, send, remove}, each called with a run.
  constructor(parent, actions) {
    this.#actions = actions;
    this.title = el("h3", { id: "run-title", tabindex: "-1" });
    this.state = el("p", { class: "state" });
    this.bar = el("progress", { max: "1", "aria-label": "Learnt so far" });
    this.facts = el("dl", { class: "facts" });
    this.buttons = el("div", { class: "buttons" });
    this.problem = el("p", { class: "problem", role: "alert" });
    this.curve = el(
      "figure",
      { "aria-labelledby": "curve-title" },
      el("h4", { id: "curve-title" }, "Losses"),
      keyOfCurve(),
    );
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Training and validation loss so far");
    this.curve.append(svg, el("figcaption", { class: "quiet" }));
    this.samples = el("pre", { tabindex: "0", role: "region", "aria-labelledby": "samples-title" });
    this.sampled = el("div", {}, el("h4", { id: "samples-title" }, "What it writes"), this.samples);
    this.notes = el("ul");
    this.command = el("code", { tabindex: "0", role: "region", "aria-label": "Command of this run" });
    this.copied = el("p", { role: "status" });
    const copyCommand = button("Copy command", async () => {
      setText(this.copied, await copy(this.command.textContent, "command copied"));
    });
    const command = el(
      "div",
      { class: "command" },
      this.command,
      el("div", { class: "buttons" }, copyCommand),
      this.copied,
    );
    this.noted = el("details", {}, el("summary", {}, "Messages"), this.notes);
    parent.replaceChildren(
      el(
        "article",
        { class: "run", "aria-labelledby": "run-title" },
        this.title,
        this.state,
        this.bar,
        this.facts,
        this.buttons,
        this.problem,
        el("div", { class: "pair" }, this.sampled, this.curve),
        el("div", {}, this.noted, el("details", {}, el("summary", {}, "Command"), command)),
      ),
    );
  }

  // run: of the server, with train, val, samples and notes.
  show(run) {
    this.#run = run;
    const { state } = run;
    setText(this.title, run.name);
    setText(this.state, sentence(run.sentence));
    this.state.classList.toggle("problem", Boolean(run.error));
    const moves = state === "running" || state === "stopping";
    this.bar.hidden = !moves && state !== "stopped";
    if (run.iterations) this.bar.value = (run.iteration ?? 0) / run.iterations;
    else this.bar.removeAttribute("value");
    this.#showFacts(run, moves);
    this.#showButtons(run);
    this.#showSamples(run, moves);
    const epochs = run.epochs && run.iterations ? run.epochs / run.iterations : null;
    showLosses(this.curve, { train: run.train, val: run.val, epochs_per_iteration: epochs, window: 1 });
    if (this.#differs("notes", run.notes)) this.notes.replaceChildren(...run.notes.map((line) => el("li", {}, line)));
    this.noted.hidden = !run.notes.length;
    setText(this.command, run.command);
  }

  showProblem(words) {
    setText(this.problem, words);
  }

  #showFacts({ best_val_loss, characters_per_second, seconds, seconds_left }, moves) {
    const facts = [
      moves && seconds_left !== null && ["Time left", duration(seconds_left)],
      seconds !== null && ["Time so far", duration(seconds)],
      characters_per_second !== null && ["Characters/second", Math.round(characters_per_second).toLocaleString("en")],
      best_val_loss !== null && ["Lowest loss", best_val_loss.toFixed(4)],
    ].filter(Boolean);
    const names = facts.map(([name]) => name);
    if (this.#differs("facts", names))
      this.facts.replaceChildren(...names.map((name) => el("div", {}, el("dt", {}, name), el("dd"))));
    for (const [k, [, value]] of facts.entries()) setText(this.facts.children[k].lastChild, value);
    this.facts.hidden = !facts.length;
  }

  // The keys name the run: the focus must not go from a button to the same one of another run.
  #showButtons({ can, state, best_model, id }) {
    if (!this.#differs("buttons", [can, state, best_model, id])) return;
    const one = (words, action, key, kind = "") =>
      button(words, () => this.#actions[action](this.#run), { key: `${key} ${id}`, kind });
    const list = [
      best_model && one("Play", "play", "play", can.includes("stop") ? "" : "main"),
      can.includes("stop") && one(state === "stopping" ? "Stop at once" : "Stop", "stop", "stop"),
      can.includes("go_on") && one("Go on", "goOn", can.includes("stop") ? "go on" : "stop"),
      best_model && one("Send", "send", "send"),
      can.includes("delete") && one("Delete", "remove", "delete"),
    ];
    showAgain(this.buttons, list.filter(Boolean), this.title);
  }

  // The newest sample is on top. Those that are shown already stay, with what is selected, and where they are on the
  // screen unless the top is shown.
  #showSamples({ samples, id }, moves) {
    const empty = moves
      ? "It has not written anything yet. The first sample comes soon."
      : "It has not written anything.";
    const parts = samples.length
      ? samples.toReversed().map((sample) => {
          return [JSON.stringify([id, sample]), `after ${sample.epoch.toFixed(2)} epochs`, sample.text];
        })
      : [[JSON.stringify([id, empty]), empty, null]];
    const keys = new Set(parts.map(([key]) => key));
    const [kept, old] = [new Set(), []];
    for (const node of this.samples.children) {
      if (keys.has(node.dataset.sample)) kept.add(node.dataset.sample);
      else old.push(node);
    }
    for (const node of old) node.remove();
    const { scrollTop, scrollHeight } = this.samples;
    const added = parts.filter(([key]) => !kept.has(key));
    this.samples.prepend(
      ...added.map(([key, when, text]) =>
        el(
          "span",
          { "data-sample": key },
          el("span", { class: "when" }, when),
          text !== null && el("span", { class: "sample" }, text),
        ),
      ),
    );
    if (scrollTop && added.length) this.samples.scrollTop = scrollTop + this.samples.scrollHeight - scrollHeight;
  }

  // Whether a part of the card has to be made anew of something.
  #differs(part, what) {
    const [before, now] = [this.#shown.get(part), JSON.stringify(what)];
    this.#shown.set(part, now);
    return now !== before;
  }
}

function keyOfCurve() {
  return el(
    "p",
    { class: "key", "aria-hidden": "true" },
    el("i", { class: "train" }),
    "training ",
    el("i", { class: "val" }),
    "validation",
  );
}
