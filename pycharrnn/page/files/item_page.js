// The part of the page that shows the drawn items of a model of items, and the kept ones.

import { ItemList } from "./item_list.js";
import { MAX_TRIES } from "./item_selection.js";
import { copy } from "./links.js";
import { showStatus } from "./status.js";

const $ = (id) => document.getElementById(id);

export const itemList = new ItemList($("item-list"), $("kept-list"), (words) => {
  $("kept").hidden = !itemList.keptCount;
  $("announced").textContent = words;
});

// Replaces the items when the first of others arrive; returns a sentence about them.
// lists: of lines, as a source yields them for the request. kind: what an item is. onFirst: is called when the first
// lines arrive.
export async function showItems(lists, kind, request, signal, onFirst) {
  let counts = null;
  for await (const lines of lists) {
    signal.throwIfAborted();
    if (!counts) {
      itemList.clear(kind);
      onFirst();
    }
    itemList.append(lines.filter((line) => !line.done));
    counts = lines.at(-1);
  }
  return sentence(itemList.items, request, counts);
}

// counts: of all drawn items, {drawn, known, gave_up}.
function sentence(items, { items: wanted, topk }, { drawn, known, gave_up: gaveUp }) {
  const words = [`${items.length} ${items.length === 1 ? "item" : "items"}`];
  if (known !== null) words.push(`${items.filter((item) => item.known).length} known`);
  if (drawn > items.length) words.push(`${drawn - items.length} left out`);
  const found = words.join(", ");
  if (gaveUp && topk === 1) return `${found}: fewer than ${wanted}, since with top-k 1 all are equal`;
  if (gaveUp) {
    const tries = MAX_TRIES.toLocaleString("en");
    const why = `since the last ${tries} were left out; raise the temperature, or ask for fewer`;
    return `${found}: fewer than ${wanted}, ${why}`;
  }
  return known === null ? `${found}; the training text is not here, so nothing tells known items from new ones` : found;
}

$("kept").hidden = true; // also in a page that was saved with kept items
$("copy-kept").addEventListener("click", () => copy(itemList.keptText, "kept items copied").then(showStatus));
