// The controls: their values, and what is wrong with them, in words that stand beside them until it is mended.

const $ = (id) => document.getElementById(id);
const CANDIDATES = 8; // that are named with each character
const OF_A_SAMPLE = ["primetext", "temperature", "topk", "topp", "seed", "length", "tint", "layer", "unit"];

// {name: text} of all controls that make a sample.
export function values() {
  return Object.fromEntries(OF_A_SAMPLE.map((id) => [id, $(id).value]));
}

// The fields of a request for a sample, but for its model.
export function requestOf(values) {
  const numbers = ["temperature", "topk", "topp", "seed", "length"].map((id) => [id, Number(values[id])]);
  const body = { primetext: values.primetext, candidates: CANDIDATES, ...Object.fromEntries(numbers) };
  if (values.tint === "unit") body.unit = { layer: Number(values.layer), unit: Number(values.unit) };
  return body;
}

export function setValues(parts) {
  for (const id of OF_A_SAMPLE) if (parts.has(id)) $(id).value = parts.get(id);
  check(document.querySelectorAll("#controls [aria-invalid]"));
}

// Whether these controls hold what they should; the first that does not is where the reader goes on.
export function check(inputs = $("controls").elements, { focus = false } = {}) {
  const wrong = [...inputs].filter((input) => !input.closest("[hidden]") && showProblem(input));
  if (focus) wrong[0]?.focus();
  return !wrong.length;
}

// A sentence of the server's, which calls a control by its name in the API, with the name that stands on the page.
export function inWordsOfThePage(sentence) {
  const [, name, rest] = sentence.match(/^(\w+)((?::| has) .*)$/s) ?? [];
  if (OF_A_SAMPLE.includes(name)) return label($(name)) + rest;
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function showProblem(input) {
  const problem = problemOf(input);
  const id = `${input.id}-problem`;
  $(id)?.remove();
  if (problem) {
    const words = Object.assign(document.createElement("p"), { id, className: "problem", textContent: problem });
    input.closest(".field").append(words);
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", id);
  } else if (input.hasAttribute("aria-invalid")) {
    for (const attribute of ["aria-invalid", "aria-describedby"]) input.removeAttribute(attribute);
  }
  return problem;
}

function problemOf(input) {
  const name = label(input);
  const { min, max, step, type, validity, dataset } = input;
  if (dataset.most && [...input.value].length > dataset.most) return `${name}: at most ${dataset.most} characters`;
  if (type === "textarea" && input.required && !input.value) return `${name}: write or paste something first`;
  if (type !== "number" || validity.valid) return "";
  if (validity.stepMismatch) return `${name}: ${step === "1" ? "a whole number" : "two decimals at most"}`;
  return `${name}: a number from ${min} to ${max}`;
}

// What stands above a control, without the small print.
function label(input) {
  return input.labels?.[0]?.firstChild.textContent.trim() ?? "";
}

for (const kind of ["input", "change"]) {
  document.addEventListener(kind, ({ target }) => target.hasAttribute("aria-invalid") && showProblem(target));
}
