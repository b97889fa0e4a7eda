// A text in a box, each character in a span with CSS classes. The user can choose one character.

import { RECORD_SEPARATOR } from "./item_kinds.js";

const SHOWN_SEPARATOR = "\u00b6"; // a record separator, of which few fonts have a picture

export class TextView {
  items = [];
  chosen = -1; // index of the chosen item, or -1
  #spans = []; // one for each item, in a <div> for each line, so that additions do not lay out the whole text again
  #box;
  #classesOf;
  #onChoose;
  #goal = null; // horizontal position that the up and down keys keep to, in pixels; null after another choice

  // box: a <pre>. classesOf(item): names of CSS classes. onChoose(item, span): called at each choice; with undefined
  // when none is chosen.
  constructor(box, classesOf, onChoose) {
    this.#box = box;
    this.#classesOf = classesOf;
    this.#onChoose = onChoose;
    box.replaceChildren(); // a page that the browser has saved has its text
    box.addEventListener("pointerover", (event) => event.pointerType === "mouse" && this.#chooseSpan(event.target));
    box.addEventListener("click", (event) => this.#chooseSpan(event.target));
    box.addEventListener("keydown", (event) => this.#onKey(event));
  }

  get text() {
    return this.items.map((item) => item.text).join("");
  }

  get span() {
    return this.#spans[this.chosen];
  }

  // Removes the items from an index on; without one, a new text begins, which is read from its start.
  truncate(length = 0) {
    this.items.length = length;
    for (const span of this.#spans.splice(length)) span.remove();
    while (this.#box.lastChild && !this.#box.lastChild.hasChildNodes()) this.#box.lastChild.remove();
    if (!length) this.#box.scrollTop = 0;
    if (this.chosen >= length) this.choose(-1);
  }

  append(items) {
    const box = this.#box;
    for (const item of items) {
      const span = document.createElement("span");
      span.textContent = item.text === RECORD_SEPARATOR ? SHOWN_SEPARATOR : controlPictures(item.text);
      span.className = this.#classNames(item);
      // In the score of a model of items, the end of an item ends a line, too.
      const isNewLine = !this.items.length || ["\n", RECORD_SEPARATOR].includes(this.items.at(-1).text);
      if (isNewLine) box.append(Object.assign(document.createElement("div"), { dir: "auto" }));
      box.lastChild.append(span);
      this.items.push(item);
      this.#spans.push(span);
    }
  }

  // Applies classesOf again.
  recolor() {
    this.#spans.forEach((span, k) => (span.className = this.#classNames(this.items[k])));
    this.span?.classList.add("here");
  }

  choose(index) {
    this.#goal = null;
    this.span?.classList.remove("here");
    this.chosen = index;
    this.span?.classList.add("here");
    this.#onChoose(this.items[index], this.span);
  }

  scrollTo(index) {
    this.#spans[index]?.scrollIntoView({ block: "nearest" });
  }

  #classNames(item) {
    return [item.text === "\n" && "newline", ...this.#classesOf(item)].filter(Boolean).join(" ");
  }

  #chooseSpan(target) {
    const index = target.localName === "span" ? this.#spans.indexOf(target) : -1;
    if (index >= 0) this.choose(index);
  }

  #onKey(event) {
    const { key } = event;
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser has commands of its own there
    if (key === "Escape") this.choose(-1);
    const right = this.span && getComputedStyle(this.span).direction === "rtl" ? -1 : 1; // as one sees the line
    const steps = { ArrowRight: right, ArrowLeft: -right, Home: -Infinity, End: Infinity, ArrowDown: 1, ArrowUp: -1 };
    const step = steps[key];
    if (!step || !this.items.length) return;
    event.preventDefault();
    const isLine = (key === "ArrowDown" || key === "ArrowUp") && this.span;
    const goal = isLine ? this.#goal ?? middle(this.span).x : null;
    const beside = Math.max(0, Math.min(this.items.length - 1, this.chosen + step));
    const index = isLine ? this.#inNextLine(step, goal) : beside;
    this.scrollTo(index);
    this.choose(index);
    this.#goal = goal;
  }

  // The index of the character nearest to a horizontal position in the next line on the screen; step: 1 or -1. In the
  // last line, the chosen one.
  #inNextLine(step, goal) {
    const isBeyond = (span, y) => {
      const { top, bottom } = span.getBoundingClientRect();
      return step > 0 ? top >= y : bottom <= y;
    };
    const last = step > 0 ? this.items.length : -1;
    const { y } = middle(this.span);
    let index = this.chosen;
    while (index !== last && !isBeyond(this.#spans[index], y)) index += step;
    if (index === last) return this.chosen;
    const line = middle(this.#spans[index]).y;
    const distance = (k) => Math.abs(middle(this.#spans[k]).x - goal);
    let nearest = index;
    for (; index !== last && !isBeyond(this.#spans[index], line); index += step) {
      if (distance(index) < distance(nearest)) nearest = index;
    }
    return nearest;
  }
}

// The middle of an element on the screen.
function middle(element) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return { x: (left + right) / 2, y: (top + bottom) / 2 };
}

// Control characters, except tab and newline, as pictures, and U+0080 to U+009F as U+FFFD: control_pictures of
// common/display.py.
export function controlPictures(text) {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

// A character as text that is legible by itself: an invisible one has the name of quote_code_point in
// common/display.py, a mark stands on a circle. A byte of a character of several bytes arrives in hexadecimal, as 0xE2.
export function characterName(text) {
  const name = { " ": "space", "\n": "newline", "\t": "tab", [RECORD_SEPARATOR]: "record separator" }[text];
  if (name) return name;
  if (/^0x[0-9A-F]{2}$/.test(text)) return `byte ${text}`;
  if (/^[\p{Z}\p{Cf}\p{Default_Ignorable_Code_Point}]$/u.test(text)) {
    return `U+${text.codePointAt().toString(16).toUpperCase().padStart(4, "0")}`;
  }
  return controlPictures(/^\p{M}/u.test(text) ? `\u25cc${text}` : text);
}
