// The tab Generate: the text or the items on it, and the requests that generate them.

import { sampleClasses, showCandidates } from "./colors.js";
import { check, itemsRequestOf, requestOf, values } from "./controls.js";
import { copiesSentence, lengthSentence, markCopies } from "./copies.js";
import { itemList, showItems } from "./item_page.js";
import { linkTo } from "./links.js";
import { paced } from "./pace.js";
import { hasProblem, progressOf, showStatus } from "./status.js";
import { fold } from "./tabs.js";
import { TextView } from "./text_view.js";

const $ = (id) => document.getElementById(id);

export class SampleTab {
  view = new TextView($("text"), sampleClasses, showCandidates);
  // The sample on the page: {values, facts, followed, complete, early: whether a limit of copies has ended it, more:
  // what Continue adds to its length}.
  shown = null;
  #page;
  #onChange;

  // page: {source, models, requests}. onChange(): is called when the text has changed.
  constructor(page, onChange) {
    [this.#page, this.#onChange] = [page, onChange];
  }

  // What the page shows, also once its model is gone: {text, count, unit: what it counts, file: its name for Download}.
  get content() {
    if ($("item-list").hidden)
      return { text: this.view.text, count: this.view.items.length, unit: "characters", file: "sample.txt" };
    return { text: itemList.text, count: itemList.items.length, unit: "items", file: "items.txt" };
  }

  // Whether the sample on the page is that of the selected model with the values of the controls.
  get isOfControls() {
    const { models } = this.#page;
    if (!this.shown || !models.selected || models.differsFrom(this.shown.facts)) return false;
    return JSON.stringify(this.shown.values) === JSON.stringify(values(models.selected));
  }

  // Generates a text. It replaces the one on the page when its first characters arrive.
  // from: number of characters to keep. keepAddress: do not replace the address by that of the text. isAsked: whether
  // the user has asked for it, so that the focus may move to a control with a problem.
  async generate({ from = 0, keepAddress = false, isAsked = true } = {}) {
    if (!check(undefined, { focus: isAsked })) return isAsked && fold(false);
    const sample = from
      ? { ...this.shown, values: { ...this.shown.values, length: $("length").value } }
      : this.#ofControls();
    if (!sample) return null;
    return this.#run((signal) => {
      showStatus("generating…");
      return sample.facts.items
        ? this.#drawItems(sample, keepAddress, signal)
        : this.#generateText(sample, from, keepAddress, signal);
    });
  }

  generateAnother() {
    $("seed").value = Math.floor(Math.random() * 2 ** 32);
    this.generate();
  }

  // The same text, longer. The last character is generated again, since a sample may end inside a character of several
  // bytes.
  continue() {
    const { shown } = this;
    const length = Number(shown.values.length) + (shown.complete ? shown.more : 0);
    $("length").value = Math.min(length, this.#page.models.limits.length);
    this.generate({ from: this.view.items.length - 1 });
  }

  // Colors the text by other values. With the color of copies, asks for them.
  recolor(color) {
    this.view.recolor();
    if (!this.shown) return;
    this.#setShown({ ...this.shown, values: { ...this.shown.values, color } });
    if (color === "copied" && this.shown.complete && !this.#page.requests.isRunning)
      this.#run((signal) => this.#finish(signal));
  }

  // {values, facts, followed, more} of the controls and the selected model; undefined if there is none.
  #ofControls() {
    const { selected, followed } = this.#page.models;
    return selected && { values: values(selected), facts: selected, followed, more: Number($("length").value) };
  }

  #run(request) {
    const stopped = () => `stopped after ${this.content.count} ${this.content.unit}`;
    return this.#page.requests.run($("status"), request, stopped);
  }

  async #generateText(sample, from, keepAddress, signal) {
    const { source } = this.#page;
    const request = requestOf(sample.values, sample.facts, from);
    let [begun, early] = [false, false];
    const begin = () => {
      this.view.truncate(from);
      const color = $("color").value; // which the user may have changed meanwhile
      this.#setShown({ ...sample, values: { ...sample.values, color }, complete: false }, keepAddress);
    };
    const lists = source.sample(request, signal, progressOf(request, $("progress")), () => (early = true));
    for await (const items of paced(lists)) {
      signal.throwIfAborted();
      if (!begun) begin();
      this.view.append(items);
      if (!begun && from) this.view.scrollTo(from + 1);
      begun = true;
      this.#onChange();
    }
    if (!begun) begin(); // a sample without a character
    Object.assign(this.shown, { complete: true, early });
    await this.#finish(signal);
  }

  // Shows the number of characters, and with the color of copies, where they are. The problem of a later request stays:
  // the text is not its answer.
  async #finish(signal) {
    const { source } = this.#page;
    const say = hasProblem() ? () => {} : showStatus;
    const words = lengthSentence(this.view.items.length, this.shown);
    say(words);
    if ($("color").value !== "copied" || !source.copied) return;
    const longest = await markCopies(source, this.shown.facts.id, this.view.items, signal);
    this.view.recolor();
    say(copiesSentence(longest, words, this.shown.facts.text));
  }

  // Draws items. They replace those on the page when the first of them arrive.
  async #drawItems(sample, keepAddress, signal) {
    const request = itemsRequestOf(sample.values, sample.facts);
    const lists = paced(this.#page.source.items(request, signal, progressOf(request, $("progress"))));
    const onFirst = () => this.#setShown({ ...sample, complete: true }, keepAddress);
    showStatus(await showItems(lists, sample.facts.items, request, signal, onFirst));
  }

  // Sets the sample on the page, and the address that restores it.
  #setShown(sample, keepAddress = false) {
    this.shown = sample;
    if (!keepAddress) history.replaceState(null, "", linkTo(sample, sample.followed));
  }
}
