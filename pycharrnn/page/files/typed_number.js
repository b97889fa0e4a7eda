// The number that a person has typed, with a decimal point or comma; NaN for other words. Inputs of
// decimals have inputmode="decimal" and no type="number", with which an English browser drops the comma.
export function typedNumber(words) {
  return words.trim() ? Number(words.replace(",", ".")) : NaN;
}
