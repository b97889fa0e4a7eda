// What the page says beside its buttons, until that is over.

const $ = (id) => document.getElementById(id);

export function say(words, where = $("status"), problem = false) {
  if (where.textContent !== words) where.textContent = words; // an equal one would be read out again
  where.classList.toggle("problem", problem);
}

// What was said of a request is over once another one is prepared.
for (const [form, status] of [["controls", "status"], ["score-form", "score-status"]]) {
  $(form).addEventListener("input", () => $(status).classList.contains("problem") && say("", $(status)));
}
