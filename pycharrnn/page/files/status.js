// Status messages beside the buttons.

const $ = (id) => document.getElementById(id);

export function showStatus(words, where = $("status"), isProblem = false) {
  if (where.textContent !== words) where.textContent = words; // a screen reader would repeat an equal one
  where.classList.toggle("problem", isProblem);
}

export function hasProblem(where = $("status")) {
  return where.classList.contains("problem");
}

// A bar while a model learns, whose length is a number from 0 to 1; null: as long as that is unknown.
function showProgress(bar, progress) {
  bar.hidden = false;
  if (progress === null) bar.removeAttribute("value");
  else bar.value = progress;
}

// Shows a bar at once for a request that lets the model learn. Returns a function that receives the progress of any
// request, and shows it; the bar is hidden when the request ends.
export function progressOf({ adapt }, bar) {
  if (adapt) showProgress(bar, null);
  return (progress) => (progress < 1 ? showProgress(bar, progress) : (bar.hidden = true));
}

// A problem with a request disappears when the user edits the request. The color is no part of a request.
document.addEventListener("input", ({ target }) => {
  const status = { controls: "status", "score-form": "score-status" }[target.form?.id];
  if (status && target.id !== "color" && hasProblem($(status))) showStatus("", $(status));
});
