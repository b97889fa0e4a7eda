// Colors of the characters of both texts, their legends, and what the panel shows of a chosen character.

import { clearCharacter, percent, showCharacter } from "./character_panel.js";
import { characterName } from "./text_view.js";

const $ = (id) => document.getElementById(id);
const LEVELS = 10; // shades of each color, as in page/html_style.py
const COPIED_FROM = [1, 12, 16, 24, 32, 48, 64, 96, 128, 192]; // characters from which a copy has level 1, 2, ...
const MAX_BITS = 10; // bits of surprise that get the deepest shade

// In the panel: a sampled character and the alternatives to it.
export function showCandidates(item, span) {
  if (!item) {
    clearCharacter();
    return;
  }
  const named = ([name, probability]) => `${characterName(name)}, ${percent(probability)}`;
  const character = named([item.text, item.probability]);
  let words = `${character}${item.given ? ", given: at temperature 1" : ""}`;
  if (item.activation !== undefined) words += `, unit ${item.activation.toFixed(2)}`;
  if (item.copied) words += `, copied: ${item.copied.length} characters, line ${item.copied.text_line}`;
  const rows = item.candidates.map(([name, probability]) => [name, probability, name === item.text]);
  const alternative = rows.find(([, , isChosen]) => !isChosen);
  const announced = alternative ? `${character}; alternative ${named(alternative)}` : character;
  showCharacter(span, "Alternatives", words, announced, rows);
}

// In the panel: the surprise of a character of a scored text.
export function showSurprise(item, span) {
  if (!item) {
    clearCharacter();
    return;
  }
  const { text, bits } = item;
  const surprise = bits === null ? "the model has never seen it" : `${bits.toFixed(2)} bits, ${percent(2 ** -bits)}`;
  const words = `${characterName(text)}: ${surprise}`;
  showCharacter(span, "Surprise", words, words);
}

// A score as a sentence. Its characters are code points; of a model of bytes, it names the bytes too if they are more.
// codePoints: whether the model's characters are code points.
export function scoreSentence(score, codePoints) {
  const { bits_per_character: mean, plain, known, code_points: characters, unknown } = score;
  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const bits = plain === undefined ? mean : plain;
  let words = "no score";
  if (bits !== null) {
    words = `${bits.toFixed(3)} bits per character, ${count(characters, "character")}`;
    const perByte = (bits * characters) / known;
    if (characters < known) words += ` (${perByte.toFixed(3)} bits per byte, ${count(known, "byte")})`;
    if (bits !== mean && mean !== null) {
      words += `; ${mean.toFixed(3)} while learning from them (compare it only with other scores while learning)`;
    }
  }
  if (!unknown) return words;
  return `${words}; left out ${count(unknown, codePoints ? "character" : "byte")} that the model has never seen`;
}

// CSS classes of a sampled character.
export function sampleClasses(item) {
  const by = $("color").value;
  const classes = [item.given && "given"];
  if (by === "probability") classes.push(shade("o", 1 - item.probability));
  if (by === "unit" && item.activation !== undefined) {
    classes.push(shade(item.activation < 0 ? "o" : "b", Math.abs(item.activation)));
  }
  if (by === "copied" && item.copied) classes.push(`o${copyLevel(item.copied.length)}`);
  return classes;
}

// The level of a copy of so many characters: level of page/copied_page.py.
export function copyLevel(length) {
  return COPIED_FROM.filter((least) => length >= least).length;
}

// CSS classes of a scored character.
export function scoreClasses(item) {
  return [item.bits === null ? "unknown" : shade("o", item.bits / MAX_BITS)];
}

// The legends of both texts, and the controls that belong to the chosen color.
export function showScales() {
  const by = $("color").value;
  const blocks = (classes) => {
    const group = document.createElement("span");
    group.setAttribute("aria-hidden", "true");
    group.append(...classes.map((name) => Object.assign(document.createElement("i"), { className: name })));
    return group;
  };
  const orange = ["", "o2", "o4", "o6", "o8", "o10"];
  const both = [...orange.toReversed(), "b2", "b4", "b6", "b8", "b10"];
  const content = {
    probability: ["certain", blocks(orange), "improbable"],
    unit: ["−1", blocks(both), "+1"],
    copied: [COPIED_FROM[1], blocks(orange.slice(1)), `${COPIED_FROM.at(-1)} characters or more in the training text`],
    none: [],
  };
  $("scale").replaceChildren(...content[by]);
  $("text").classList.toggle("plain", by === "none");
  $("score-scale").replaceChildren("0", blocks(orange), `${MAX_BITS} bits or more`);
  const isShown = by === "unit" && !$("color").closest("[hidden]");
  for (const field of document.querySelectorAll(".field.unit")) field.hidden = !isShown;
}

// The CSS class of a shade. color: o for orange, b for blue. strength: from 0 to 1.
function shade(color, strength) {
  const level = Math.round(LEVELS * Math.min(strength, 1));
  return level ? color + level : "";
}
