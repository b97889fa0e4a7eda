// Shows a sentence in a browser that is too old for the page's modules. It is no module, has the syntax of old
// browsers, and tests the features that browsers got last.

if (!("DecompressionStream" in window && Array.prototype.toReversed && CSS.supports("selector(:has(a))"))) {
  document.getElementById("old-browser").textContent =
    "This browser is too old for this page, which needs Safari 16.4, Firefox 121, Chrome or Edge 110, or a newer one.";
}
