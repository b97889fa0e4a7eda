// An error to show to the user. token: "missing" or "wrong" if it is about the server's token.
export class Problem extends Error {
  constructor(message, token = "") {
    super(message);
    this.token = token;
  }
}

export const CONNECTION_LOST = "The connection was lost.";

// Awaits the promise that reads a response's body. Throws Problem if the body is incomplete, or no JSON.
export function received(reading) {
  return reading.catch((error) => {
    throw error.name === "AbortError" ? error : new Problem(CONNECTION_LOST);
  });
}
