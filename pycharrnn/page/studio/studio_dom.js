// Elements, and words for numbers, that the studio's sections share. All text is shown as text, never as HTML.

export const $ = (id) => document.getElementById(id);

// An element. attributes: `on` holds listeners, true stands for an empty attribute; false and null are left out.
export function el(name, { on = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value === true ? "" : value);
  }
  for (const [kind, listener] of Object.entries(on)) node.addEventListener(kind, listener);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// A button. key: what is the same about it when its list is shown again, so that it keeps the focus. The second click
// of a double click does nothing, since another button may have taken its place.
export function button(words, action, { key = "", kind = "", ...more } = {}) {
  const on = { click: ({ detail }) => detail > 1 || action() };
  return el("button", { type: "button", class: kind || false, "data-key": key || false, on, ...more }, words);
}

// Replaces the children of an element; the focus stays on the one with the same data-key, or goes to `otherwise`.
export function showAgain(parent, children, otherwise = null) {
  const focused = document.activeElement;
  const had = parent.contains(focused);
  const key = focused?.dataset?.key;
  parent.replaceChildren(...children);
  if (!had) return;
  const same = [...parent.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key && !node.disabled);
  (same ?? otherwise)?.focus();
}

// Text of an element, which a screen reader would repeat if an equal one replaced it.
export function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

// Says something to a screen reader, also if these are the words that it said last. node: an alert that shows them.
export function announce(words, node = $("studio-announced")) {
  node.textContent = words;
}

export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

// 12.3 MB
export function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let [scaled, k] = [bytes, 0];
  // A number that rounds to 1000 takes the next unit: 999,500 bytes are 1.0 MB.
  for (; scaled >= (k ? 999.5 : 1000) && k < units.length - 1; k++) scaled /= 1000;
  return `${scaled.toFixed(k && scaled < 99.95 ? 1 : 0)} ${k ? units[k] : bytes === 1 ? "byte" : "bytes"}`;
}

// "40 seconds", "5 minutes", "2 h 10 min". Below 90 seconds these are rounded to multiples of `step`.
export function duration(seconds, step = 1) {
  if (seconds < 90) return count(step * Math.max(1, Math.round(seconds / step)), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return count(minutes, "minute");
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return rest && hours < 24 ? `${hours} h ${rest} min` : count(Math.round(minutes / 60), "hour");
}

// What is wrong with minutes of training that were typed; "" if nothing is.
export function minutesProblem(minutes) {
  return minutes > 0 && minutes <= 1e6 ? "" : "Minutes: a number above 0, at most 1,000,000";
}

// A message as a sentence: with a capital letter, unless it begins with the name of a file or flag.
export function sentence(words) {
  return /^[a-z']+[ ,:;]/.test(words) ? words.charAt(0).toUpperCase() + words.slice(1) : words;
}
