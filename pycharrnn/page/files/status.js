// Status messages beside the buttons.

const $ = (id) => document.getElementById(id);

export function showStatus(words, where = $("status"), isProblem = false) {
  if (where.textContent !== words) where.textContent = words; // a screen reader would repeat an equal one
  where.classList.toggle("problem", isProblem);
}

// A problem with a request disappears when the user edits the request.
document.addEventListener("input", ({ target }) => {
  const status = { controls: "status", "score-form": "score-status" }[target.form?.id];
  if (status && $(status).classList.contains("problem")) showStatus("", $(status));
});
