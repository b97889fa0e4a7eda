// The models that there are: Play, Send, Delete.

import { $, button, count, el, showAgain } from "./studio_dom.js";

export class Models {
  #actions;
  #shown = "";

  // actions: {play(id), send(id), remove(id)}
  constructor(actions) {
    this.#actions = actions;
  }

  // models: those of /api/models.
  show(models) {
    const now = JSON.stringify(models);
    if (now === this.#shown) return;
    this.#shown = now;
    $("no-models").hidden = models.length > 0;
    showAgain(
      $("model-list"),
      models.map((model) => this.#row(model)),
      $("models-title"),
    );
  }

  #row(model) {
    const { play, send, remove } = this.#actions;
    const one = (words, action) =>
      button(words, () => action(model.id), { key: `${words} ${model.id}`, "aria-label": `${words} ${model.id}` });
    return el(
      "li",
      { id: `model-${model.id}` },
      el("div", { class: "what" }, model.id, el("small", { class: "quiet" }, describe(model))),
      el("div", { class: "buttons" }, one("Play", play), one("Send", send), one("Delete", remove)),
    );
  }
}

function describe({ text, model, num_layers, rnn_size, vocab_size, multibyte, val_loss, items }) {
  const loss = val_loss === null ? [] : [`loss ${val_loss.toFixed(4)}`];
  const of = text ? [`${items ? "a list, " : ""}${text}`] : [];
  const characters = count(vocab_size, multibyte ? "distinct byte" : "character");
  return [...of, `${model} ${num_layers} × ${rnn_size}`, characters, ...loss].join(" · ");
}
