// The page of `copied -html`: its panel shows the length and the place of a copy that is tapped, pointed at, or gone to
// with the arrow keys.

import { clearCharacter, listenForLeaving, showCharacter } from "./character_panel.js";

const HINT = "Hover over a copy.";
const box = document.querySelector("pre");
let chosen = null;

// copy: an element with a title, which a page without scripts shows; null for none.
function choose(copy) {
  if (copy === chosen) return;
  chosen?.classList.remove("here");
  chosen = copy;
  if (!copy) {
    clearCharacter(HINT);
    return;
  }
  if (copy.title) {
    copy.dataset.words = copy.title;
    copy.removeAttribute("title");
  }
  copy.classList.add("here");
  showCharacter(copy, "Copied", copy.dataset.words, copy.dataset.words);
}

box.addEventListener("pointerover", ({ target, pointerType }) => {
  const copy = target.closest("b");
  if (copy && pointerType === "mouse") choose(copy);
});
box.addEventListener("click", ({ target }) => choose(target.closest("b")));
box.addEventListener("keydown", (event) => {
  const { key } = event;
  if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser has commands of its own there
  if (key === "Escape") choose(null);
  const copies = [...box.querySelectorAll("b")];
  const next = copies[copies.indexOf(chosen) + { ArrowRight: 1, ArrowLeft: -1 }[key]];
  if (!next) return;
  event.preventDefault();
  next.scrollIntoView({ block: "nearest" });
  choose(next);
});
listenForLeaving(() => choose(null));
clearCharacter(HINT);
