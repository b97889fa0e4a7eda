// A matrix that multiplies vectors: where the time of a model goes.

const TOGETHER = 8; // columns that are gone through at a time

export class Matrix {
  #packed; // eight columns at a time, row by row, as they are read; zeros beyond the last column
  #rows;
  #x; // the vector, with zeros beyond its end

  // weights: Float64Array of rows * columns numbers, row by row.
  constructor(weights, rows, columns) {
    this.#rows = rows;
    this.#x = new Float64Array(Math.ceil(columns / TOGETHER) * TOGETHER);
    this.#packed = new Float64Array(this.#x.length * rows);
    for (let start = 0; start < columns; start += TOGETHER) {
      const end = Math.min(start + TOGETHER, columns);
      for (let row = 0; row < rows; row++) {
        const from = row * columns;
        this.#packed.set(weights.subarray(from + start, from + end), start * rows + row * TOGETHER);
      }
    }
  }

  // out += this matrix times a vector. Sums of different rows do not wait for one another, which is why this order is fast.
  addProduct(vector, out) {
    const [w, x, rows] = [this.#packed, this.#x, this.#rows];
    x.set(vector);
    let at = 0;
    for (let k = 0; k < x.length; k += TOGETHER) {
      const [a, b, c, d] = [x[k], x[k + 1], x[k + 2], x[k + 3]];
      const [e, f, g, h] = [x[k + 4], x[k + 5], x[k + 6], x[k + 7]];
      for (let row = 0; row < rows; row++, at += TOGETHER) {
        const half = w[at] * a + w[at + 1] * b + w[at + 2] * c + w[at + 3] * d;
        out[row] += half + w[at + 4] * e + w[at + 5] * f + w[at + 6] * g + w[at + 7] * h;
      }
    }
  }
}
