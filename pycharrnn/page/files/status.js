// Status messages beside the buttons.

const $ = (id) => document.getElementById(id);

export function showStatus(words, where = $("status"), isProblem = false) {
  if (where.textContent !== words) where.textContent = words; // a screen reader would repeat an equal one
  where.classList.toggle("problem", isProblem);
}

// A problem with a request disappears when the user edits the request.
for (const [form, status] of [["controls", "status"], ["score-form", "score-status"]]) {
  $(form).addEventListener("input", () => $(status).classList.contains("problem") && showStatus("", $(status)));
}
