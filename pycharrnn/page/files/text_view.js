// A text in a box, character by character, each with a tint; one character can be chosen.

export class TextView {
  items = [];
  here = -1; // the chosen one's place
  #spans = []; // one for each item, in a block for each line: so a long text is not laid out anew with each addition
  #box;
  #classes;
  #chosen;

  // box: a <pre>. classes(item) gives names of CSS classes. chosen(item, span) hears of each choice, also of none.
  constructor(box, classes, chosen) {
    this.#box = box;
    this.#classes = classes;
    this.#chosen = chosen;
    box.addEventListener("pointerover", (event) => event.pointerType === "mouse" && this.#chooseAt(event.target));
    box.addEventListener("click", (event) => this.#chooseAt(event.target));
    box.addEventListener("keydown", (event) => this.#walk(event));
  }

  get text() {
    return this.items.map((item) => item.text).join("");
  }

  get span() {
    return this.#spans[this.here];
  }

  // Leave out what stands from this place on.
  cut(from = 0) {
    this.items.length = from;
    for (const span of this.#spans.splice(from)) span.remove();
    while (this.#box.lastChild && !this.#box.lastChild.hasChildNodes()) this.#box.lastChild.remove();
    if (this.here >= from) this.choose(-1);
  }

  // follow: whether a box that shows its end still does so with more text.
  append(items, follow) {
    const box = this.#box;
    const atEnd = follow && box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    for (const item of items) {
      const span = document.createElement("span");
      span.textContent = visible(item.text);
      span.className = this.#classNames(item);
      if (!this.items.length || this.items.at(-1).text === "\n") box.append(document.createElement("div"));
      box.lastChild.append(span);
      this.items.push(item);
      this.#spans.push(span);
    }
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  tint() {
    this.#spans.forEach((span, k) => (span.className = this.#classNames(this.items[k])));
    this.span?.classList.add("here");
  }

  choose(index) {
    this.span?.classList.remove("here");
    this.here = index;
    this.span?.classList.add("here");
    this.#chosen(this.items[index], this.span);
  }

  scrollTo(index) {
    this.#spans[index]?.scrollIntoView({ block: "nearest" });
  }

  #classNames(item) {
    return [item.text === "\n" && "newline", ...this.#classes(item)].filter(Boolean).join(" ");
  }

  #chooseAt(target) {
    const index = target.localName === "span" ? this.#spans.indexOf(target) : -1;
    if (index >= 0) this.choose(index);
  }

  #walk(event) {
    if (event.key === "Escape") this.choose(-1);
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !this.items.length) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(this.items.length - 1, this.here + step));
    this.scrollTo(index);
    this.choose(index);
  }
}

// Control characters as their pictures, like screen_text.visible.
export function visible(text) {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f]/g, (c) => (c === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0))));
}

// A character by a name that can be read where it stands alone.
export function named(text) {
  return { " ": "space", "\n": "newline", "\t": "tab" }[text] ?? visible(text);
}
