// The weights in a model's payload (checkpoints/payload.py), as a Float64Array for each tensor.

const PIECE = 1 << 20; // base64 digits that are decoded at a time, a multiple of four
const LINEARS = {
  lstm: ["i2h", "h2h"],
  gru: ["update_i2h", "update_h2h", "candidate_i2h", "reset_i2h", "reset_h2h", "candidate_h2h"],
  rnn: ["i2h", "h2h"],
};
const GATES_PER_LINEAR = { lstm: 4, gru: 1, rnn: 1 };
const NUMBERS = { float16: Uint16Array, float32: Float32Array, float64: Float64Array };

// {name: numbers of a tensor, row by row}, in double precision, whatever the precision of the payload is.
export async function readWeights({ model, rnn_size: H, num_layers: layers, vocab_size: V, dtype, weights }) {
  const numbers = together(await unpacked(bytesOf(weights)), NUMBERS[dtype]);
  const rows = GATES_PER_LINEAR[model] * H;
  const found = {};
  let start = 0;
  const take = (name, length) => {
    const part = numbers.subarray(start, (start += length));
    found[name] = dtype === "float16" ? Float64Array.from(part, fromHalf) : new Float64Array(part);
  };
  for (let layer = 1; layer <= layers; layer++) {
    for (const linear of LINEARS[model]) {
      take(`${linear}_${layer}.weight`, rows * (layer === 1 && linear.endsWith("i2h") ? V : H));
      take(`${linear}_${layer}.bias`, rows);
    }
  }
  take("decoder.weight", V * H);
  take("decoder.bias", V);
  return found;
}

function bytesOf(base64) {
  const padding = base64.endsWith("==") ? 2 : Number(base64.endsWith("="));
  const bytes = new Uint8Array((base64.length / 4) * 3 - padding);
  let length = 0;
  for (let start = 0; start < base64.length; start += PIECE) {
    const piece = atob(base64.slice(start, start + PIECE));
    for (let k = 0; k < piece.length; k++) bytes[length++] = piece.charCodeAt(k);
  }
  return bytes;
}

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The numbers of which `bytes` has first all first bytes, then all second bytes and so on; little-endian, as all machines
// with a browser are.
function together(bytes, Numbers) {
  const size = Numbers.BYTES_PER_ELEMENT;
  const count = bytes.length / size;
  const inOrder = new Uint8Array(bytes.length);
  for (let byte = 0; byte < size; byte++) {
    for (let k = 0; k < count; k++) inOrder[k * size + byte] = bytes[byte * count + k];
  }
  return new Numbers(inOrder.buffer);
}

// The number whose 16 bits in IEEE 754's half precision are these.
function fromHalf(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}
