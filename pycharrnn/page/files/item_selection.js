// Chooses among drawn items, as sampling/item_selection.py does; divides a text into items, as text/items.py does.

import { ITEM_KINDS } from "./item_kinds.js";

export const MAX_TRIES = 1000; // items in a row that are left out, after which no more are drawn

export class ItemSelection {
  counts = { drawn: 0, known: null, repeated: 0, empty: 0, gave_up: false };
  #request;
  #knownItems;
  #before = new Set();
  #selected = 0;
  #leftOut = 0; // since the last that was not

  // request: {items, new, unique, topk}. knownItems: KnownItems, or null if there are none to compare with.
  constructor(request, knownItems) {
    [this.#request, this.#knownItems] = [request, knownItems];
    if (knownItems) this.counts.known = 0;
  }

  // Whether no further item is needed.
  get hasEnded() {
    return this.counts.gave_up || this.#selected === this.#request.items;
  }

  // Counts the next item in the order of seeds, a Uint8Array, whose text begins at `start`, after the label. Returns
  // {known}, or null if it is left out.
  take(item, start) {
    const { counts } = this;
    const key = item.join();
    const known = this.#knownItems ? this.#knownItems.has(item) : null;
    const repeated = this.#before.has(key);
    this.#before.add(key);
    counts.drawn++;
    if (known) counts.known++;
    if (repeated) counts.repeated++;
    const isEmpty = item.length === start;
    if (isEmpty) counts.empty++;
    const isNew = !isEmpty && !known; // a list has no empty items: a training drops them
    if ((!isNew && this.#request.new) || (repeated && this.#request.unique)) {
      const tries = this.#request.topk === 1 ? 1 : MAX_TRIES; // with topk 1 all items are equal
      counts.gave_up = ++this.#leftOut === tries;
      return null;
    }
    this.#leftOut = 0;
    this.#selected++;
    return { known };
  }
}

// The items of a text as input.txt holds them. labels: of the model; one of them alone is no item. label: of items that
// begin with none of them; "" = none.
export function inputOf(text, kind, labels, label = "") {
  const known = new Set(labels);
  const input = [];
  for (const item of itemsOf(text, kind)) {
    const tab = item.indexOf("\t");
    const isLabelled = tab >= 0 && known.has(item.slice(0, tab));
    if (isLabelled && tab === item.length - 1) continue;
    input.push((label && !isLabelled ? `${label}\t` : "") + item + ITEM_KINDS[kind].end);
  }
  return input.join("");
}

// The items of a text, labels alone too. kind: what an item is.
export function itemsOf(text, kind) {
  const { end } = ITEM_KINDS[kind];
  if (kind === "line" || text.includes(end)) return text.split(end).filter(Boolean);
  if (kind === "file") return [text.replace(/^[\r\n]+|[\r\n]+$/g, "")].filter(Boolean);
  const blocks = [[]];
  for (const line of text.split("\n")) {
    if (/[^ \t\r]/.test(line)) blocks.at(-1).push(line);
    else blocks.push([]);
  }
  return blocks.filter((block) => block.length).map((block) => block.join("\n"));
}
