// What all requests to the server share: its token, and the Problems of a server that can't be reached or refuses one.

import { Problem } from "./problem.js";

export function tokenHeaders(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// The response to a request. options: as for fetch. Throws Problem, with the sentence `unreachable`, if there is none.
export async function fetchWithToken(path, { headers = {}, ...options }, token, unreachable) {
  try {
    return await fetch(path, { ...options, headers: { ...headers, ...tokenHeaders(token) } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem(unreachable);
  }
}

// Why the server refuses a request. answer: the JSON of its response, or null.
export function detailOf(status, answer) {
  const { detail } = answer ?? {};
  return typeof detail === "string" ? detail : `The server answered ${status}.`;
}
