// The drawn items of a model of items, and those that the user keeps: by their stars, until the page closes.

import { ITEM_KINDS } from "./item_kinds.js";
import { controlPictures } from "./text_view.js";

export class ItemList {
  items = []; // {text, known, cut}
  #kept = new Map(); // text -> {item, kind}
  #kind = "line"; // what an item is: line, blank or file
  #list;
  #keptList;
  #onKeep;

  // list, keptList: elements for the rows. onKeep(words): called after each change of what is kept.
  constructor(list, keptList, onKeep) {
    [this.#list, this.#keptList, this.#onKeep] = [list, keptList, onKeep];
    for (const box of [list, keptList]) {
      box.replaceChildren(); // a page that the browser has saved has its items
      box.addEventListener("keydown", (event) => moveFocus(event, box));
    }
  }

  get text() {
    return joined(this.items.map(({ text }) => text), this.#kind);
  }

  get keptText() {
    const kept = [...this.#kept.values()];
    const kind = ["file", "blank"].find((kind) => kept.some((one) => one.kind === kind)) ?? "line";
    return joined(kept.map(({ item }) => item.text), kind);
  }

  get keptCount() {
    return this.#kept.size;
  }

  // Begins another list. Kept items stay.
  clear(kind) {
    [this.items, this.#kind] = [[], kind];
    this.#list.replaceChildren();
    this.#list.scrollTop = 0;
  }

  append(items) {
    this.items.push(...items);
    this.#list.append(...items.map((item) => this.#row(item, this.#kind)));
  }

  #row(item, kind) {
    const row = document.createElement("li");
    const star = document.createElement("button");
    star.type = "button";
    star.className = "star";
    star.setAttribute("aria-label", `Keep ${nameOf(item.text)}`);
    star.dataset.text = item.text;
    showStar(star, this.#kept.has(item.text));
    star.addEventListener("click", () => this.#toggle(item, kind));
    const shown = Object.assign(document.createElement("span"), { className: "item" });
    if (item.text) shown.textContent = controlPictures(item.text);
    else shown.append(note(nameOf("")));
    row.append(star, shown);
    if (item.cut) row.append(note("cut"));
    if (item.known !== null) row.append(note(item.known ? "known" : "new"));
    return row;
  }

  #toggle(item, kind) {
    const { text } = item;
    const isKept = !this.#kept.has(text);
    if (isKept) {
      this.#kept.set(text, { item, kind });
      this.#keptList.append(this.#row(item, kind));
    } else {
      this.#kept.delete(text);
      this.#removeKept(text);
    }
    for (const star of starsIn(this.#list)) if (star.dataset.text === text) showStar(star, isKept);
    this.#onKeep(`${isKept ? "kept" : "no longer kept:"} ${nameOf(text)}; ${this.keptCount} kept`);
  }

  // The focus in a removed row goes to the next one, or to the one before.
  #removeKept(text) {
    const stars = starsIn(this.#keptList);
    const index = stars.findIndex((star) => star.dataset.text === text);
    const hadFocus = stars[index] === document.activeElement;
    stars[index].parentElement.remove();
    if (hadFocus) (stars[index + 1] ?? stars[index - 1] ?? this.#list).focus();
  }
}

function nameOf(text) {
  return text || "(empty)";
}

// As `pycharrnn sample` prints them.
function joined(texts, kind) {
  return texts.map((text) => `${text}\n`).join(ITEM_KINDS[kind].between);
}

function note(words) {
  const className = `note ${words.replace(/\W/g, "")}`;
  return Object.assign(document.createElement("span"), { className, textContent: words });
}

function showStar(star, isKept) {
  star.textContent = isKept ? "\u2605" : "\u2606";
  star.setAttribute("aria-pressed", String(isKept));
}

function starsIn(box) {
  return [...box.querySelectorAll(".star")];
}

function moveFocus(event, box) {
  const stars = starsIn(box);
  const index = stars.indexOf(document.activeElement);
  const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: stars.length - 1 }[event.key];
  if (!(to in stars)) return;
  event.preventDefault();
  stars[to].focus();
}
