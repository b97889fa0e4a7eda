// Marks the characters of a text that the model has copied from its training text. Only a server can have that text.

const LEAST = 20; // the fewest characters of a passage that is marked

// items: of a TextView; those in a copy get {length, text_line, text_column} as `copied`, of the longest that covers
// them.
// A passage of the prompt alone is no copy: the model did not draw it.
// Returns the longest copy, undefined if there is none, or null if the training text is not at hand.
export async function markCopies(source, model, items, signal) {
  const text = items.map((item) => item.text).join("");
  const { passages: found } = await source.copied({ model, text, least: LEAST }, signal);
  if (!found) return null;
  const starts = []; // index of the item that each character begins, in code points as the server counts
  items.forEach((item, k) => starts.push(...Array.from(item.text, () => k)));
  const passages = found.filter(({ start, length }) => !items[starts[start + length - 1]].given);
  for (const item of items) delete item.copied;
  for (const passage of passages.toReversed()) {
    const last = passage.start + passage.length;
    for (let k = passage.start; k < last; k++) items[starts[k]].copied = passage;
  }
  return passages[0];
}

// A sentence on the length of a text. early: whether max_copy has ended it.
export function lengthSentence(count, { early, values }) {
  const words = `${count} characters`;
  return early ? `${words}: any further one would copy more than ${values.max_copy}; raise Longest copy` : words;
}

// The same, and the longest copy. text: the name of the training text, "" if it has none.
export function copiesSentence(longest, words, text) {
  if (longest === null) return `${words}; the server does not have the training text`;
  const copied = `${words}; copied${text && ` from ${text}`}`;
  if (!longest) return `${copied}: no passage of ${LEAST} or more`;
  return `${copied}: ${longest.length} characters, line ${longest.text_line}`;
}
