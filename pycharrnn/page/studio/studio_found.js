// What the server found in a text, as sentences.

import { count, duration, el, sentence, size } from "./studio_dom.js";

const KINDS = {
  text: "It looks like prose, not like a list.",
  list: "It looks like a list.",
  "sorted list": "It looks like a sorted list.",
  "list with blank lines between items": "It looks like a list with blank lines between its items.",
};
const MOST_FILES = 3; // named in the summary

// facts: those of the server. items: how the user has it read, "" if as it is; null before a choice. words: those of
// each value of items. Returns elements.
export function foundFacts(facts, items, words) {
  const inCapitals = ({ encoding }) => encoding.replace(/\butf[-\w]*/i, (name) => name.toUpperCase());
  const encodings = [...new Set(facts.files.map(inCapitals))];
  const files = facts.file_count;
  const names = facts.files.slice(0, MOST_FILES).map(({ name }) => name);
  const what =
    files > MOST_FILES ? `${names.join(", ")} and ${count(files - MOST_FILES, "other file")}` : names.join(", ");
  const read = encodings.length ? [encodings.join(" and ")] : [];
  const headers = (items ?? facts.suggested_items) === "line" ? facts.headers : [];
  // In a few lines no list is recognized.
  const looks = facts.too_short && facts.kind === "text" ? "" : KINDS[facts.kind];
  const kind = items ? `It is read as ${words[items]}.` : looks;
  return [
    el("p", {}, el("b", {}, what)),
    el("p", {}, `${[lengthWords(facts), distinctWords(facts), ...read].join(", ")}.`),
    kind && el("p", {}, kind),
    ...headers.map((header) => el("p", { class: "left-out" }, sentence(header))),
    facts.renamed && el("p", { class: "left-out" }, sentence(facts.renamed)),
    facts.encoding_advice && el("p", { id: "encoding-advice" }, sentence(facts.encoding_advice)),
    facts.left_out.length > 0 && el("p", { class: "left-out" }, facts.left_out.map(sentence).join(" ")),
    facts.facts.length > 0 && folded(`How ${count(files, "file")} ${files === 1 ? "was" : "were"} read`, facts.facts),
  ].filter(Boolean);
}

// "80,544 characters, 82,088 bytes". facts: those of the server.
export function lengthWords(facts) {
  const { encoding, bytes, code_points, characters } = facts;
  if (hasCharactersOfBytes(facts)) return `${count(code_points, "character")}, ${count(bytes, "byte")}`;
  return count(characters, encoding === "utf8" ? "code point" : "character");
}

function distinctWords(facts) {
  if (hasCharactersOfBytes(facts)) return count(facts.distinct, "distinct byte");
  return `${facts.distinct.toLocaleString("en")} distinct, ${size(facts.bytes)}`;
}

// A model of bytes learns those of each character.
function hasCharactersOfBytes({ encoding, bytes, code_points }) {
  return encoding === "bytes" && code_points !== null && code_points < bytes;
}

// "about 2 minutes, with 160 units per layer". seconds: null if unknown.
export function estimateWords({ seconds, rnn_size }) {
  const units = rnn_size ? `with ${rnn_size} units per layer` : "";
  return [seconds === null ? "" : `about ${duration(seconds, 5)}`, units].filter(Boolean).join(", ");
}

function folded(title, lines) {
  return el("details", {}, el("summary", {}, title), el("ul", {}, ...lines.map((line) => el("li", {}, line))));
}
