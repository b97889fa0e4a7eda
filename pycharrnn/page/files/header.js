// The heading, the facts of the selected model, and the controls that it has.

import { setLabels } from "./controls.js";

const $ = (id) => document.getElementById(id);

// Without a title of its own, the page has the name of the text that the model was trained on; else the facts have it.
export function showModel(model) {
  const hasTitle = "fixed" in $("title").dataset;
  if (!hasTitle) document.title = $("title").textContent = model.text || model.id;
  const text = hasTitle && model.text && !model.id.includes(model.text) ? `, trained on ${model.text}` : "";
  const loss = model.val_loss === null ? "" : `, validation loss ${model.val_loss.toFixed(4)}`;
  const characters = `${model.vocab_size} ${model.multibyte ? "distinct bytes" : "characters"}`;
  const size = `${model.num_layers} × ${model.rnn_size}, ${characters}`;
  $("facts").textContent = `${model.id}: ${model.model}, ${size}${text}${loss}, ${model.program}`;
  const kind = model.items ? "items" : "text";
  for (const element of document.querySelectorAll("[data-of]")) element.hidden = element.dataset.of !== kind;
  for (const element of document.querySelectorAll(".counted")) element.textContent = unitOf(model);
  setLabels(model.labels);
  $("max_copy").closest(".field").hidden = !model.has_text;
  $("primetext").placeholder = `how ${model.items ? "every item" : "the text"} begins; may be empty`;
  document.querySelector(".skip").href = model.items ? "#item-list" : "#text";
  $("layer").max = model.num_layers;
  $("unit").max = model.rnn_size;
}

// The address stays that of the text, which a link to a part of the page would replace.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.querySelector(event.currentTarget.hash).focus();
});

// What the numbers in the controls count; what the page shows, it counts in characters.
export function unitOf({ multibyte }) {
  return multibyte ? "bytes" : "characters";
}
