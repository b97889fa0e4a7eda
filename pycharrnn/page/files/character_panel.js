// The panel about the chosen character: in a column of its own, or on a narrow screen beside the character.

import { characterName } from "./text_view.js";

const $ = (id) => document.getElementById(id);
const NARROW = matchMedia("(max-width: 64rem)"); // as in style.css
const MARGIN = 8; // pixels to the edges of the screen

let span = null; // of the chosen character

// title: of the panel. words: about the character. rows: [name, probability, whether it is the chosen character].
// announced: the text for screen readers.
export function showCharacter(chosenSpan, title, words, announced, rows = []) {
  span = chosenSpan;
  const table = document.createElement("table");
  const caption = table.createCaption();
  caption.className = "quiet";
  caption.textContent = words;
  for (const [name, probability, isChosen] of rows) {
    const row = table.insertRow();
    if (isChosen) row.className = "chosen";
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = characterName(name);
    const meter = document.createElement("meter");
    meter.value = probability;
    meter.setAttribute("aria-hidden", "true");
    row.append(head);
    row.insertCell().append(meter);
    row.insertCell().textContent = percent(probability);
  }
  $("character-title").textContent = title;
  $("candidates").replaceChildren(table);
  $("announced").textContent = announced;
  place();
}

export function clearCharacter(words = "Hover over a character.") {
  span = null;
  const hint = Object.assign(document.createElement("p"), { className: "quiet", textContent: words });
  $("candidates").replaceChildren(hint);
  $("announced").textContent = "";
  place();
}

// onLeave(): is called to close the overlay beside a character, when the user goes on elsewhere.
export function listenForLeaving(onLeave) {
  document.addEventListener("pointerdown", ({ target }) => {
    if (NARROW.matches && !target.closest("pre, #character")) onLeave();
  });
}

export function percent(probability) {
  return `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`;
}

// Puts the overlay below the character, or the first of its lines on the screen, or above it if it does not fit below;
// hides it if the character is scrolled out of its box.
function place() {
  const panel = $("character");
  panel.hidden = NARROW.matches && !span;
  panel.style.left = panel.style.top = "";
  if (!NARROW.matches || !span) return;
  const at = [...span.getClientRects()].find(({ bottom }) => bottom > 0) ?? span.getBoundingClientRect();
  const box = span.closest("pre").getBoundingClientRect();
  panel.hidden = at.bottom < box.top || at.top > box.bottom;
  const { width, height } = panel.getBoundingClientRect();
  const maxLeft = document.documentElement.clientWidth - width - MARGIN;
  panel.style.left = `${Math.max(MARGIN, Math.min(at.left, maxLeft))}px`;
  const below = at.bottom + MARGIN;
  panel.style.top = `${below + height + MARGIN <= innerHeight ? below : Math.max(MARGIN, at.top - height - MARGIN)}px`;
}

NARROW.addEventListener("change", place);
for (const kind of ["scroll", "resize"]) addEventListener(kind, () => span && NARROW.matches && place(), true);
