// A problem in words for a person. `token` is "missing" or "wrong" where a server's token is the problem.
export class Problem extends Error {
  constructor(message, token = "") {
    super(message);
    this.token = token;
  }
}
