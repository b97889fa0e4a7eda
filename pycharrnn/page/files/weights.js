// Decodes the weights of a model's payload (checkpoints/payload.py) into a Float64Array for each tensor.

const BASE64_CHUNK = 1 << 20; // base64 digits to decode at a time, a multiple of four
const LINEARS = {
  lstm: ["i2h", "h2h"],
  gru: ["update_i2h", "update_h2h", "candidate_i2h", "reset_i2h", "reset_h2h", "candidate_h2h"],
  rnn: ["i2h", "h2h"],
};
export const GATES_PER_LINEAR = { lstm: 4, gru: 1, rnn: 1 };
const ARRAY_TYPES = { float16: Uint16Array, float32: Float32Array, float64: Float64Array };

// {name: tensor, row by row}, in double precision whatever the precision of the payload.
export async function readWeights({ model, rnn_size: H, num_layers: layers, vocab_size: V, dtype, weights }) {
  const flat = unshuffle(await gunzip(decodeBase64(weights)), ARRAY_TYPES[dtype]);
  const rows = GATES_PER_LINEAR[model] * H;
  const tensors = {};
  let start = 0;
  const take = (name, length) => {
    const part = flat.subarray(start, (start += length));
    tensors[name] = dtype === "float16" ? Float64Array.from(part, fromFloat16) : new Float64Array(part);
  };
  for (let layer = 1; layer <= layers; layer++) {
    for (const linear of LINEARS[model]) {
      take(`${linear}_${layer}.weight`, rows * (layer === 1 && linear.endsWith("i2h") ? V : H));
      take(`${linear}_${layer}.bias`, rows);
    }
  }
  take("decoder.weight", V * H);
  take("decoder.bias", V);
  return tensors;
}

export function decodeBase64(base64) {
  const padding = base64.endsWith("==") ? 2 : Number(base64.endsWith("="));
  const bytes = new Uint8Array((base64.length / 4) * 3 - padding);
  let length = 0;
  for (let start = 0; start < base64.length; start += BASE64_CHUNK) {
    const chunk = atob(base64.slice(start, start + BASE64_CHUNK));
    for (let k = 0; k < chunk.length; k++) bytes[length++] = chunk.charCodeAt(k);
  }
  return bytes;
}

async function gunzip(bytes) {
  const stream = new Response(bytes).body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Numbers from shuffled bytes: all first bytes, then all second bytes, and so on. Little-endian, as all machines with a
// browser are.
function unshuffle(bytes, ArrayType) {
  const size = ArrayType.BYTES_PER_ELEMENT;
  const count = bytes.length / size;
  const inOrder = new Uint8Array(bytes.length);
  for (let byte = 0; byte < size; byte++) {
    for (let k = 0; k < count; k++) inOrder[k * size + byte] = bytes[byte * count + k];
  }
  return new ArrayType(inOrder.buffer);
}

// bits: the 16 bits of a number in IEEE 754 half precision.
function fromFloat16(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 25) * (1024 + fraction) : sign * 2 ** -24 * fraction;
}
