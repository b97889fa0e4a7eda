// The form that asks for the server's token.

import { takeToken } from "./links.js";
import { showStatus } from "./status.js";

const $ = (id) => document.getElementById(id);

// Takes the token from the address. Returns whether it has one.
export function storeToken(source) {
  const token = takeToken();
  if (token) source.token = token;
  return Boolean(token);
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

// onToken(token): is called with a token that the user enters, by itself or in a whole link.
export function listenForToken(onToken) {
  $("ask-token").addEventListener("submit", (event) => {
    event.preventDefault();
    const entered = $("token").value.trim();
    onToken(new URLSearchParams(entered.split("#").pop()).get("token") || entered);
  });
  $("token").addEventListener("input", () => showStatus("", $("token-problem")));
}
