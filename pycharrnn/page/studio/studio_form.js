// The settings of a new run, and the command that they make.

import { Problem } from "./problem.js";
import { copy } from "./links.js";
import { $, announce, el, minutesProblem, sentence, setText } from "./studio_dom.js";
import { flagFields, flagValues, showUsual } from "./studio_flags.js";
import { estimateWords } from "./studio_found.js";
import { typedNumber } from "./typed_number.js";

const DELAY = 300; // milliseconds after the last key, before the server is asked for the command

export class RunForm {
  #api;
  #text = null; // id of the uploaded text
  #unread = ""; // why no run of the text can start as the form has it
  #timer = 0;
  #set = {}; // choice -> the flags that it sets for the text, {name: value}; of choices whose flags are known
  #asked = null; // AbortController of the request for the command
  #isStarting = false;

  // options: {flags, choices} of the server. actions: {start(values), reread(values), forget()}
  constructor(api, options, actions) {
    this.#api = api;
    this.#build(options);
    const form = $("new-run");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.showProblem(""); // so that a screen reader says an equal one again
      if (this.#hasMinutes()) actions.start(this.values);
    });
    form.addEventListener("change", () => this.#showUsual());
    form.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.showCommand(), DELAY);
    });
    for (const id of ["run-items", "run-label", "run-text-encoding"])
      $(id).addEventListener("change", () => actions.reread(this.values));
    $("other-text").addEventListener("click", () => actions.forget());
    $("copy-command").addEventListener("click", async () => {
      setText($("copied"), await copy($("command").textContent, "command copied"));
    });
  }

  // The form for a text that was read.
  open(text, facts, models) {
    this.#text = text;
    $("new-run").reset();
    $("run-name").value = facts.name;
    $("run-items").value = facts.suggested_items;
    const selected = models.map(({ id }) => el("option", { value: id }, id));
    $("run-init").replaceChildren(el("option", { value: "" }, "nothing"), ...selected);
    for (const node of document.querySelectorAll("[data-estimate]")) setText(node, "");
    this.showUnread(sentence(facts.too_short));
    this.#set = {};
    this.#showUsual();
    return this.showCommand();
  }

  // Fills in what was found in a text that could not be read before, where the user has set nothing.
  suggest({ name, suggested_items }) {
    $("run-name").value ||= name;
    $("run-items").value ||= suggested_items;
  }

  get values() {
    const minutes = typedNumber($("run-minutes").value);
    const choice = $("new-run").querySelector("[name=choice]:checked").value;
    return {
      text: this.#text,
      name: $("run-name").value,
      choice,
      ...(choice === "minutes" && { minutes }),
      items: $("run-items").value,
      label: $("run-items").value ? $("run-label").value : "",
      encoding: $("run-unit").value,
      text_encoding: $("run-text-encoding").value.trim(),
      init_from: $("run-init").value,
      flags: flagValues($("new-run")),
    };
  }

  async showCommand() {
    $("run-label").closest(".field").hidden = !$("run-items").value;
    this.#showAdvice();
    setText($("copied"), "");
    this.#asked?.abort();
    if (!this.#hasMinutes()) return;
    const { signal } = (this.#asked = new AbortController());
    try {
      const { command } = await this.#api.post("api/studio/command", this.values, { signal });
      setText($("command"), command);
      this.showProblem(this.#unread);
    } catch (error) {
      if (error instanceof Problem) this.showProblem(error.message);
      else if (error.name !== "AbortError") throw error;
    }
  }

  // Whether the minutes, if they are chosen, are some; shows why not.
  #hasMinutes() {
    const { choice, minutes } = this.values;
    const problem = choice === "minutes" ? minutesProblem(minutes) : "";
    if (problem) this.showProblem(problem);
    return !problem;
  }

  showEstimates({ choices, how, problem }) {
    const quick = choices.find(({ choice }) => choice === "quick");
    const same = `the same as Quick for a ${this.values.items ? "list" : "text"} this short`;
    for (const estimate of choices) {
      const node = document.querySelector(`[data-estimate=${estimate.choice}]`);
      if (node) setText(node, isSame(estimate, quick) ? same : estimateWords(estimate));
    }
    this.#set = Object.fromEntries(
      choices.filter(({ seconds }) => seconds !== null).map(({ choice, flags }) => [choice, flags]),
    );
    this.#showUsual();
    setText($("how"), sentence(how));
    if (problem) this.showUnread(sentence(problem));
    if (quick?.seconds) announce(`Quick takes ${estimateWords(quick)}.`);
  }

  // Shows why no run of the text can start as the form has it, until one can.
  showUnread(words) {
    this.#unread = words;
    this.showProblem(words);
    this.#allowStart();
  }

  // Whether the server was asked to start; its answer closes the form.
  set isStarting(isStarting) {
    this.#isStarting = isStarting;
    this.#allowStart();
  }

  #allowStart() {
    const start = $("start-run");
    const had = document.activeElement === start;
    start.disabled = this.#isStarting || Boolean(this.#unread);
    $("other-text").disabled = this.#isStarting;
    if (had && this.#unread) $("other-text").focus();
  }

  // Shows a sentence beside Start, and below the flag that it names, which may be far above Start.
  showProblem(words) {
    setText($("run-problem"), words);
    $("flag-problem")?.remove();
    for (const input of $("new-run").querySelectorAll("[aria-invalid]")) {
      input.removeAttribute("aria-invalid");
      input.setAttribute("aria-describedby", `${input.id}-help`);
    }
    const flag =
      words &&
      [...$("new-run").querySelectorAll("[data-flag]")].find(({ dataset }) =>
        new RegExp(`(?<!\\w)-${dataset.flag}\\b`).test(words),
      );
    if (!flag) return;
    flag.setAttribute("aria-invalid", "true");
    flag.setAttribute("aria-describedby", `flag-problem ${flag.id}-help`);
    flag.after(el("p", { id: "flag-problem", class: "problem" }, words));
    $("more").open = true;
  }

  #showUsual() {
    const { choice, init_from } = this.values;
    showUsual($("flags"), choice, this.#set[choice] ?? null, init_from);
    for (const node of document.querySelectorAll("[data-estimate]")) node.hidden = Boolean(init_from); // of other sizes
    this.#showAdvice();
  }

  // Hides what was found about the encoding of a text, once the form says what a character is.
  #showAdvice() {
    const { encoding, init_from } = this.values;
    const advice = $("encoding-advice");
    if (advice) advice.hidden = Boolean(encoding || init_from);
  }

  #build({ flags, choices }) {
    $("flags").replaceChildren(...flagFields(flags));
    for (const [id, values] of [
      ["run-items", choices.items],
      ["run-label", choices.label],
      ["run-unit", choices.encoding],
    ]) {
      $(id).replaceChildren(...Object.entries(values).map(([value, words]) => el("option", { value }, words)));
    }
  }
}

// Whether another choice sets the same as quick, so that both are one training.
function isSame({ choice, seconds, flags }, quick) {
  return choice !== "quick" && seconds !== null && JSON.stringify(flags) === JSON.stringify(quick?.flags);
}
