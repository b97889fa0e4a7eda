// The two tabs, and the settings that fold on a narrow screen.

const $ = (id) => document.getElementById(id);

export function fold(folded) {
  $("settings").classList.toggle("folded", folded);
  $("fold").setAttribute("aria-expanded", String(!folded));
}

// name: "sample" or "score".
export function showTab(name) {
  for (const id of ["sample", "score"]) {
    $(id).hidden = id !== name;
    $(`tab-${id}`).setAttribute("aria-selected", String(id === name));
    $(`tab-${id}`).tabIndex = id === name ? 0 : -1;
  }
  $("controls").hidden = name !== "sample";
}

// openTab(name): is called when the user chooses a tab.
export function listenForTabs(openTab) {
  for (const [id, other] of [["sample", "score"], ["score", "sample"]]) {
    const tab = $(`tab-${id}`);
    tab.addEventListener("click", () => openTab(id));
    tab.addEventListener("keydown", ({ key }) => ["ArrowLeft", "ArrowRight"].includes(key) && openTab(other));
  }
}

$("fold").addEventListener("click", () => fold($("fold").getAttribute("aria-expanded") === "true"));
