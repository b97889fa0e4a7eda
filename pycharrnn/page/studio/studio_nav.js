// The sections of the studio: Learn, Play and Bring. Play is the page of `pycharrnn serve`.

import { urlParams } from "./links.js";
import { $ } from "./studio_dom.js";

const NAMES = ["learn", "play", "bring"];
const STORED = "pycharrnn-section";

// Shows a section. focus: move the focus to its heading.
export function showSection(name, { focus = false } = {}) {
  document.body.dataset.section = name;
  sessionStorage.setItem(STORED, name);
  for (const one of NAMES) {
    if (one === name) $(`show-${one}`).setAttribute("aria-current", "page");
    else $(`show-${one}`).removeAttribute("aria-current");
  }
  if (focus) focusSection();
  scrollTo(0, 0);
}

// The section of before a reload; Play for an address with a sample; else the last one, or Learn if something is learnt
// now, or nothing is there to play with.
export function firstSection(learns) {
  const stored = NAMES.find((name) => name === sessionStorage.getItem(STORED));
  const isReload = performance.getEntriesByType("navigation")[0]?.type === "reload";
  if (!(stored && isReload) && namesModel()) return "play";
  return stored ?? (learns ? "learn" : "play");
}

// Whether the address is that of a sample.
function namesModel() {
  return Boolean(urlParams().get("model"));
}

function focusSection() {
  const { section } = document.body.dataset;
  (section === "play" ? $("generate") : $(`${section}-title`)).focus();
}

for (const name of NAMES) $(`show-${name}`).addEventListener("click", () => showSection(name));
addEventListener("hashchange", () => namesModel() && showSection("play"));
document.querySelector(".skip").addEventListener("click", (event) => {
  if (document.body.dataset.section === "play") return;
  event.preventDefault();
  focusSection();
});
