// What is known of the chosen character: in a column of its own, or on a narrow screen beside the character.

import { named } from "./text_view.js";

const $ = (id) => document.getElementById(id);
const NARROW = matchMedia("(max-width: 64rem)"); // as in style.css
const MARGIN = 8; // pixels to the edges of the screen

let span = null;

// title: of the panel. words: about the character. rows: [name, probability, whether it is the one that came].
export function showCharacter(beside, title, words, rows = []) {
  span = beside;
  const table = document.createElement("table");
  const caption = table.createCaption();
  caption.className = "quiet";
  caption.textContent = words;
  for (const [name, probability, came] of rows) {
    const row = table.insertRow();
    if (came) row.className = "came";
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = named(name);
    const meter = document.createElement("meter");
    meter.value = probability;
    meter.setAttribute("aria-hidden", "true");
    row.append(head);
    row.insertCell().append(meter);
    row.insertCell().textContent = percent(probability);
  }
  $("character-title").textContent = title;
  $("candidates").replaceChildren(table);
  place();
}

export function showNoCharacter() {
  span = null;
  const none = Object.assign(document.createElement("p"), { className: "quiet", textContent: "No character is chosen." });
  $("candidates").replaceChildren(none);
  place();
}

// Whether the panel stands beside the character, in front of other things.
export function isBeside() {
  return NARROW.matches;
}

export function percent(probability) {
  return `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`;
}

// Below the character, or above it where there is no room; nowhere if it is scrolled out of its box.
function place() {
  const panel = $("character");
  panel.hidden = NARROW.matches && !span;
  panel.style.left = panel.style.top = "";
  if (!NARROW.matches || !span) return;
  const at = span.getClientRects()[0] ?? span.getBoundingClientRect();
  const box = span.closest("pre").getBoundingClientRect();
  panel.hidden = at.bottom < box.top || at.top > box.bottom;
  const { width, height } = panel.getBoundingClientRect();
  const most = document.documentElement.clientWidth - width - MARGIN;
  panel.style.left = `${Math.max(MARGIN, Math.min(at.left, most))}px`;
  const below = at.bottom + MARGIN;
  panel.style.top = `${below + height + MARGIN <= innerHeight ? below : Math.max(MARGIN, at.top - height - MARGIN)}px`;
}

NARROW.addEventListener("change", place);
for (const kind of ["scroll", "resize"]) addEventListener(kind, () => span && NARROW.matches && place(), true);
