// Says so where the browser is too old for the page's modules, which would do nothing then. Not a module, and in the
// language of old browsers. It looks for what came last of all that the page needs.

if (!("DecompressionStream" in window && Array.prototype.toReversed && CSS.supports("selector(:has(a))"))) {
  document.getElementById("old-browser").textContent =
    "This browser is too old for this page, which needs Safari 16.4, Firefox 121, Chrome or Edge 110, or a newer one.";
}
