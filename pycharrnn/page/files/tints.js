// What the tints of both texts mean, and what is told of a chosen character.

import { percent, showCharacter, showNoCharacter } from "./character_panel.js";
import { named } from "./text_view.js";

const $ = (id) => document.getElementById(id);
const MOST_BITS = 10; // the surprise that has the deepest tint

// In the panel: what might have come in a character's place.
export function showCandidates(item, span) {
  if (!item) {
    showNoCharacter();
    return;
  }
  let words = `${named(item.text)}, ${percent(item.probability)}${item.given ? ", given" : ""}`;
  if (item.activation !== undefined) words += `, unit ${item.activation.toFixed(2)}`;
  const rows = item.candidates.map(([name, probability]) => [name, probability, name === item.text]);
  showCharacter(span, "In its place", words, rows);
}

// In the panel: how much a character of one's own text surprised the model.
export function showSurprise(item, span) {
  if (!item) showNoCharacter();
  else if (item.bits === null) showCharacter(span, "Surprise", `${named(item.text)}: the model has never seen it`);
  else showCharacter(span, "Surprise", `${named(item.text)}: ${item.bits.toFixed(2)} bits, ${percent(2 ** -item.bits)}`);
}

// answer: of a score. codePoints: whether the model's characters are those of UTF-8, not bytes.
export function scoreInWords({ bits_per_character: mean, known, unknown }, codePoints) {
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  const words = mean === null ? "no score" : `${mean.toFixed(3)} bits per character, ${count(known, "character")}`;
  if (!unknown) return words;
  return `${words}; left out ${count(unknown, codePoints ? "character" : "byte")} that the model has never seen`;
}

export function sampleTint(item) {
  const tint = $("tint").value;
  const names = [item.given && "given"];
  if (tint === "probability") names.push(shade("o", 1 - item.probability));
  if (tint === "unit" && item.activation !== undefined) {
    names.push(shade(item.activation < 0 ? "o" : "b", Math.abs(item.activation)));
  }
  return names;
}

export function scoreTint(item) {
  return [item.bits === null ? "unknown" : shade("o", item.bits / MOST_BITS)];
}

// The legends of both texts.
export function showScales() {
  const tint = $("tint").value;
  const blocks = (names) => {
    const group = document.createElement("span");
    group.setAttribute("aria-hidden", "true");
    group.append(...names.map((name) => Object.assign(document.createElement("i"), { className: name })));
    return group;
  };
  const orange = ["", "o2", "o4", "o6", "o8", "o10"];
  const both = [...orange.toReversed(), "b2", "b4", "b6", "b8", "b10"];
  const content = {
    probability: ["certain", blocks(orange), "improbable"],
    unit: ["−1", blocks(both), "+1"],
    none: [],
  };
  $("scale").replaceChildren(...content[tint]);
  $("score-scale").replaceChildren("0", blocks(orange), `${MOST_BITS} bits or more`);
  for (const field of document.querySelectorAll(".field.unit")) field.hidden = tint !== "unit";
}

// The CSS class of a shade: o for orange, b for blue; strength from 0 to 1.
function shade(letter, strength) {
  const level = Math.round(10 * Math.min(strength, 1));
  return level ? letter + level : "";
}
