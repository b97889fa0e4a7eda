// One dialog for questions. Escape closes it, and the focus returns to the button that opened it.

import { $, button, el, setText } from "./studio_dom.js";

// content: elements. Returns a function that closes the dialog.
export function openDialog(title, content) {
  const dialog = $("dialog");
  const opener = document.activeElement;
  setText($("dialog-title"), title);
  $("dialog-content").replaceChildren(...content);
  dialog.showModal();
  $("dialog-title").focus();
  // The button's list may have been shown again meanwhile, so that the browser doesn't find it: the focus is on the
  // page, or still in the dialog.
  const focusSame = () => {
    if (document.activeElement !== document.body && !dialog.contains(document.activeElement)) return;
    // Go on and Stop of a run have one key.
    const isSame = ({ dataset: { key }, textContent: words }) =>
      key === opener.dataset.key && words === opener.textContent;
    [...document.querySelectorAll("[data-key]")].find(isSame)?.focus();
  };
  dialog.addEventListener("close", focusSame, { once: true });
  return () => dialog.close();
}

export function closeButton(words) {
  return button(words, () => $("dialog").close());
}

// What a request in the dialog says: an alert, empty at first.
export function dialogProblem() {
  return el("p", { class: "problem", role: "alert" });
}
