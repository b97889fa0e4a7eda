// Everything else: the other flags of `pycharrnn train`, with their own help. An empty field: as the choice sets it.

import { el, setText } from "./studio_dom.js";
import { typedNumber } from "./typed_number.js";

const AS_CHOSEN = "as the choice has it";
const OF_THE_MODEL = ["rnn_size", "num_layers", "model", "dropout"]; // which a model to start from sets

// flags: of the server. Returns one <fieldset> for each group.
export function flagFields(flags) {
  return [...grouped(flags)].map(([group, members]) =>
    el("fieldset", {}, el("legend", {}, group), ...members.map(field)),
  );
}

// Says beside each flag which value holds while its field is empty.
// choice: its name. set: {name: value} of the flags that it sets; null if unknown. start: id of the model to start
// from.
export function showUsual(form, choice, set, start) {
  for (const node of form.querySelectorAll("[data-usual]")) {
    const { usualOf: name, usual } = node.dataset;
    setText(node, usualWords(name, usual, choice, start && set ? { ...set, vocab: "extend" } : set, start));
  }
}

function usualWords(name, usual, choice, set, start) {
  if (start && OF_THE_MODEL.includes(name)) return ` As in ${start}.`;
  const value = String(set?.[name] ?? usual);
  return value && (set ? ` With ${choice}: ${value}.` : ` As in char-rnn: ${value}.`);
}

// {name: value} of the fields that are not empty.
export function flagValues(form) {
  const inputs = [...form.querySelectorAll("[data-flag]")].filter(({ value }) => value !== "");
  return Object.fromEntries(inputs.map(({ dataset, value }) => [dataset.flag, valueOf(dataset.kind, value)]));
}

// What is not a number goes to the server as it is, which has a sentence for it; so does a whole number with a comma,
// since 1,000 may be one or a thousand.
function valueOf(kind, value) {
  if (kind !== "number" && kind !== "integer" && kind !== "switch") return value;
  const number = kind === "number" ? typedNumber(value) : Number(value);
  return Number.isFinite(number) ? number : value;
}

function grouped(flags) {
  const groups = new Map();
  for (const flag of flags) groups.set(flag.group, [...(groups.get(flag.group) ?? []), flag]);
  return groups;
}

function field({ name, default: usual, help, kind, choices, allowed }) {
  const id = `flag-${name}`;
  const common = { id, "data-flag": name, "data-kind": kind, "aria-describedby": `${id}-help` };
  const options = kind === "switch" ? ["0", "1"] : choices;
  const input =
    kind === "switch" || kind === "choice"
      ? el(
          "select",
          common,
          el("option", { value: "" }, AS_CHOSEN),
          ...options.filter((one) => one !== "").map((value) => el("option", { value }, String(value))),
        )
      : el("input", {
          ...common,
          type: "text",
          inputmode: kind === "text" ? false : "decimal",
          autocomplete: "off",
          spellcheck: "false",
          placeholder: AS_CHOSEN,
        });
  const says = `${help.replace(/[.?]+$/, "")}.`;
  const usualNode = el("span", { "data-usual-of": name, "data-usual": String(usual) });
  const range = allowed && !options.length ? ` Allowed: ${allowed}.` : "";
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, `-${name}`),
    input,
    el("small", { id: `${id}-help` }, says, usualNode, range),
  );
}
