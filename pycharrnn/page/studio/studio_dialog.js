// One dialog for questions. Escape closes it, and the focus returns to the button that opened it.

import { $, button, el, setText } from "./studio_dom.js";

// content: elements. Returns a function that closes the dialog.
export function openDialog(title, content) {
  const dialog = $("dialog");
  setText($("dialog-title"), title);
  $("dialog-content").replaceChildren(...content);
  dialog.showModal();
  $("dialog-title").focus();
  return () => dialog.close();
}

export function closeButton(words) {
  return button(words, () => $("dialog").close());
}

// What a request in the dialog says: an alert, empty at first.
export function dialogProblem() {
  return el("p", { class: "problem", role: "alert" });
}
