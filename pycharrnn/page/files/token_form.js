// The form that asks for the server's token.

import { takeToken } from "./links.js";
import { showStatus } from "./status.js";

const $ = (id) => document.getElementById(id);

// Takes the token from the address, if it has one.
export function storeToken(source) {
  const token = takeToken();
  if (token) source.token = token;
}

export function showTokenForm(isAsked, problem = "") {
  // A request without a token is refused while the user types one.
  if (isAsked && !problem && !$("ask-token").hidden) return;
  $("main").hidden = isAsked;
  $("ask-token").hidden = !isAsked;
  showStatus(problem, $("token-problem"), true);
  if (isAsked) $("token").focus();
  else $("token").value = ""; // for a later token
}

// onToken(token): is called with a token that the user enters.
export function listenForToken(onToken) {
  $("ask-token").addEventListener("submit", (event) => {
    event.preventDefault();
    onToken($("token").value.trim());
  });
  $("token").addEventListener("input", () => showStatus("", $("token-problem")));
}
