// A matrix that multiplies vectors: where the time of a model goes.

const TOGETHER = 4; // rows whose sums grow side by side, each from its first product to its last

export class Matrix {
  #packed;
  #rows;
  #columns;

  // weights: Float64Array of rows * columns numbers, row by row.
  constructor(weights, rows, columns) {
    [this.#rows, this.#columns] = [rows, columns];
    // Numbers lie in the order in which they are read: the first columns of four rows, their second columns, and so on.
    this.#packed = new Float64Array(rows * columns);
    let to = 0;
    for (let row = 0; row < rows; row += TOGETHER) {
      const end = Math.min(row + TOGETHER, rows);
      if (end - row === TOGETHER) {
        for (let k = 0; k < columns; k++) for (let r = row; r < end; r++) this.#packed[to++] = weights[r * columns + k];
      } else {
        this.#packed.set(weights.subarray(row * columns, rows * columns), to);
      }
    }
  }

  // out += this matrix times x.
  addProduct(x, out) {
    const [packed, rows, columns] = [this.#packed, this.#rows, this.#columns];
    let from = 0;
    let row = 0;
    for (; row + TOGETHER <= rows; row += TOGETHER) {
      let [sum0, sum1, sum2, sum3] = [0, 0, 0, 0];
      for (let k = 0; k < columns; k++, from += TOGETHER) {
        const factor = x[k];
        sum0 += packed[from] * factor;
        sum1 += packed[from + 1] * factor;
        sum2 += packed[from + 2] * factor;
        sum3 += packed[from + 3] * factor;
      }
      out[row] += sum0;
      out[row + 1] += sum1;
      out[row + 2] += sum2;
      out[row + 3] += sum3;
    }
    for (; row < rows; row++) {
      let sum = 0;
      for (let k = 0; k < columns; k++, from++) sum += packed[from] * x[k];
      out[row] += sum;
    }
  }
}
