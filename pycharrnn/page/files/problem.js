// An error to show to the user. token: "missing" or "wrong" if it is about the server's token.
export class Problem extends Error {
  constructor(message, token = "") {
    super(message);
    this.token = token;
  }
}
