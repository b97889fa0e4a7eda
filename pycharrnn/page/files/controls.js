// The controls: reading, setting and checking their values.

import { inputOf } from "./item_selection.js";
import { Problem } from "./problem.js";
import { typedNumber } from "./typed_number.js";

const $ = (id) => document.getElementById(id);
const NUM_CANDIDATES = 8; // shown for each character
const NUMBERS = ["temperature", "topk", "topp", "seed", "length"]; // of any request for a sample
const CONTROLS = ["primetext", "adapt", ...NUMBERS];
const TEXT_CONTROLS = [...CONTROLS, "color", "layer", "unit"];
const ITEM_CONTROLS = [...CONTROLS, "items", "new", "unique"];
const ADAPT_CONTROLS = ["adapt_rate", "adapt_length", "adapt_pull"];
const ALL_CONTROLS = [...new Set([...TEXT_CONTROLS, ...ITEM_CONTROLS, "label", "max_copy", ...ADAPT_CONTROLS])];

// {id: text} of the controls of a sample from a model with these facts.
export function values(facts) {
  const ids = [...(facts?.items ? ITEM_CONTROLS : TEXT_CONTROLS), ...(facts?.labels.length ? ["label"] : [])];
  if (facts?.has_text) ids.push("max_copy");
  return { ...Object.fromEntries(ids.map((id) => [id, valueOf(id)])), ...($("adapt").value === "1" && adaptValues()) };
}

// The text of a control, as addresses have it: of a decimal with a point.
function valueOf(id) {
  const { value, inputMode } = $(id);
  return inputMode === "decimal" ? String(typedNumber(value)) : value;
}

// {id: text} of the controls that say how a model learns, and have another value than at first.
function adaptValues() {
  const changed = ADAPT_CONTROLS.filter((id) => valueOf(id) !== $(id).defaultValue);
  return Object.fromEntries(changed.map((id) => [id, valueOf(id)]));
}

// Shows these controls where the model of the visible tab is to learn.
export function showAdaptControls() {
  $("adapt-controls").hidden = $("sample").hidden ? !$("score-adapt").checked : $("adapt").value !== "1";
}

// Offers the labels of a model; the one that the address names, or that was chosen before, stays chosen if it has it.
export function setLabels(labels) {
  const select = $("label");
  const wanted = select.dataset.wanted ?? select.value;
  delete select.dataset.wanted;
  select.replaceChildren(...labels.map((label) => new Option(label, label)));
  if (labels.includes(wanted)) select.value = wanted;
  select.closest(".field").hidden = !labels.length;
}

// The request for a sample. facts: of its model. skip: number of characters of the text to leave out.
// Without a prompt, a text begins as a line does: after a newline, which is not shown.
export function requestOf(values, facts, skip = 0) {
  const isLine = facts.newline && !values.primetext;
  const body = { model: facts.id, candidates: NUM_CANDIDATES, ...numbersOf(values) };
  Object.assign(body, isLine ? { primetext: "\n", skip: skip + 1 } : { primetext: values.primetext, skip });
  if (!isLine) Object.assign(body, adaptOf(values));
  if (values.color === "unit") body.unit = { layer: Number(values.layer), unit: Number(values.unit) };
  return body;
}

// The request for items.
export function itemsRequestOf(values, facts) {
  const { label, primetext } = values; // a model without labels has no label
  const choices = { new: values.new === "1", unique: values.unique === "1", ...adaptOf(values) };
  return { model: facts.id, label, primetext, ...numbersOf(values), items: Number(values.items), ...choices };
}

// The request for a score of a text. Items of a model with labels get the chosen one, unless they begin with one and a
// tab. most: characters of the text with these labels. Throws Problem for more.
export function scoreRequestOf(facts, most) {
  const adapt = $("score-adapt").checked ? "1" : "0";
  const own = $("own").value;
  // A text of empty items is sent as it is: the server refuses an empty one.
  const text = (facts.labels.length && inputOf(own, facts.items, facts.labels, $("label").value)) || own;
  if ([...text].length > most)
    throw new Problem(`Your text: at most ${most} characters, together with a label before each item`);
  return { model: facts.id, text, ...adaptOf({ adapt, ...adaptValues() }) };
}

// The fields of a request that set how a model learns; none if it does not learn.
function adaptOf(values) {
  if (values.adapt !== "1") return {};
  const given = ADAPT_CONTROLS.filter((id) => id in values);
  return { adapt: true, ...Object.fromEntries(given.map((id) => [id, Number(values[id])])) };
}

// The inputs of a score.
export function scoreInputs() {
  return [$("own"), ...ADAPT_CONTROLS.map($)];
}

// The numbers of a request; a limit of copies only where one is set.
function numbersOf(values) {
  const ids = [...NUMBERS, ...(Number(values.max_copy) ? ["max_copy"] : [])];
  return Object.fromEntries(ids.map((id) => [id, Number(values[id])]));
}

// Whether an address has settings. params: URLSearchParams, here and below.
export function hasValues(params) {
  return ALL_CONTROLS.some((id) => params.has(id));
}

export function setValues(params) {
  for (const id of ALL_CONTROLS) if (params.has(id) && takes($(id), params.get(id))) $(id).value = params.get(id);
  $("adapt").value = params.get("adapt") === "1" ? "1" : "0"; // which addresses leave out
  for (const id of ADAPT_CONTROLS) if (!params.has(id)) $(id).value = $(id).defaultValue;
  $("max_copy").value = params.get("max_copy") ?? "0";
  if (params.has("label")) $("label").dataset.wanted = params.get("label"); // the labels come with the model
  check(document.querySelectorAll("#controls [aria-invalid]"));
}

// Whether a control can have a value. A link that was cut off may have another than a list offers.
function takes({ options }, value) {
  return !options || [...options].some((option) => option.value === value && !option.disabled);
}

// Whether the inputs are valid; shows a message beside each invalid one. focus: move the focus to the first.
export function check(inputs = $("controls").elements, { focus = false } = {}) {
  const invalid = [...inputs].filter((input) => !input.closest("[hidden]") && showProblem(input));
  if (focus) invalid[0]?.focus();
  return !invalid.length;
}

// A message of the server for the page: with the label of a control in place of the API's field name.
export function withLabel(message) {
  const [, field, rest] = message.match(/^(\w+)((?::| has| contains| begins) .*)$/s) ?? [];
  if (ALL_CONTROLS.includes(field)) return labelOf($(field)) + rest;
  return message.charAt(0).toUpperCase() + message.slice(1);
}

// Shows or removes the message beside an input; returns it, "" for a valid input.
function showProblem(input) {
  const problem = problemOf(input);
  const id = `${input.id}-problem`;
  $(id)?.remove();
  if (problem) {
    const shown = Object.assign(document.createElement("p"), { id, className: "problem", textContent: problem });
    input.closest(".field").append(shown);
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", id);
  } else if (input.hasAttribute("aria-invalid")) {
    for (const attribute of ["aria-invalid", "aria-describedby"]) input.removeAttribute(attribute);
  }
  return problem;
}

function problemOf(input) {
  const label = labelOf(input);
  const { min, max, type, validity, dataset, inputMode } = input;
  if (dataset.max && [...input.value].length > dataset.max) return `${label}: at most ${dataset.max} characters`;
  if (type === "textarea" && input.required && !input.value) return `${label}: write or paste something first`;
  if (inputMode === "decimal") return decimalProblem(label, typedNumber(input.value), dataset);
  if (type !== "number" || validity.valid) return "";
  if (validity.stepMismatch) return `${label}: a whole number`;
  return `${label}: a number from ${min} to ${max}`;
}

function decimalProblem(label, number, { from, to }) {
  return number >= from && number <= to ? "" : `${label}: a number from ${from} to ${to}`;
}

// Without the small print after it.
function labelOf(input) {
  return input.labels?.[0]?.firstChild.textContent.trim() ?? "";
}

$("label").addEventListener("change", ({ target }) => delete target.dataset.wanted); // by the user, who wants another
for (const kind of ["input", "change"]) {
  document.addEventListener(kind, ({ target }) => target.hasAttribute("aria-invalid") && showProblem(target));
}
