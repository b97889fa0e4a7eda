// A matrix for matrix-vector products, which take most of a model's time.

const BLOCK = 8; // columns in a block

export class Matrix {
  #packed; // blocks of eight columns, each row by row in the order of use; zeros beyond the last column
  #rows;
  #x; // the vector, padded with zeros

  // weights: Float64Array of rows * columns numbers, row by row.
  constructor(weights, rows, columns) {
    this.#rows = rows;
    this.#x = new Float64Array(Math.ceil(columns / BLOCK) * BLOCK);
    this.#packed = new Float64Array(this.#x.length * rows);
    for (let start = 0; start < columns; start += BLOCK) {
      const end = Math.min(start + BLOCK, columns);
      for (let row = 0; row < rows; row++) {
        const from = row * columns;
        this.#packed.set(weights.subarray(from + start, from + end), start * rows + row * BLOCK);
      }
    }
  }

  // out += this matrix * vector. The inner loop goes over rows: their sums are independent, so the processor overlaps
  // them.
  addmv(vector, out) {
    const [w, x, rows] = [this.#packed, this.#x, this.#rows];
    x.set(vector);
    let at = 0;
    for (let k = 0; k < x.length; k += BLOCK) {
      const [a, b, c, d] = [x[k], x[k + 1], x[k + 2], x[k + 3]];
      const [e, f, g, h] = [x[k + 4], x[k + 5], x[k + 6], x[k + 7]];
      for (let row = 0; row < rows; row++, at += BLOCK) {
        const half = w[at] * a + w[at + 1] * b + w[at + 2] * c + w[at + 3] * d;
        out[row] += half + w[at + 4] * e + w[at + 5] * f + w[at + 6] * g + w[at + 7] * h;
      }
    }
  }
}
