// Asks for how long a finished run goes on.

import { closeButton, dialogProblem, openDialog } from "./studio_dialog.js";
import { announce, el, minutesProblem } from "./studio_dom.js";
import { typedNumber } from "./typed_number.js";

// goOn({minutes}): is called with the answer.
export function askMinutes(run, goOn) {
  const input = el("input", { id: "more-minutes", inputmode: "decimal", value: "10" });
  const problem = dialogProblem();
  const form = el(
    "form",
    { novalidate: true },
    el("div", { class: "field" }, el("label", { for: "more-minutes" }, "Minutes"), input),
    problem,
    el("div", { class: "buttons" }, el("button", { class: "main" }, "Go on"), closeButton("Cancel")),
  );
  const close = openDialog(`Go on with ${run.name}`, [
    el("p", {}, "This training has finished. How many more minutes should it run?"),
    form,
  ]);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const minutes = typedNumber(input.value);
    announce(minutesProblem(minutes), problem);
    if (problem.textContent) return;
    close();
    goOn({ minutes });
  });
}
