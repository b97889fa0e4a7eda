// Compute a model's output from its .json file in plain JavaScript: node read_model.js model.json "The " 40
//
// Prints the five most probable characters after the prompt, and the prompt continued by the most probable ones. A model
// of items (pycharrnn train FILE -items line) ends an item by a character of its own, after which another one begins.
// For a model with labels (-label) the prompt begins with a label and a tab, which are read again before each further
// item.
// In a browser: <script src="read_model.js"></script>, then makeReader(await (await fetch("model.json")).json()).
"use strict";

// The token id of the end of an item, which is also read before the first item; -1 for a model of a text.
function endId({ opt, vocab }) {
  const end = { line: 10, blank: 30, file: 30 }[opt.items];
  return vocab.findIndex((bytes) => bytes.length === 1 && bytes[0] === end);
}

// A function that reads one token id, from 0, and returns the probabilities of the characters that may follow.
function makeReader(parameters) {
  const { model, rnn_size, num_layers, vocab_size, weights } = parameters;
  const end = endId(parameters);
  const sigmoid = (value) => 1 / (1 + Math.exp(-value));
  const linear = (name, x) =>
    weights[`${name}.weight`].map((row, k) => row.reduce((sum, w, j) => sum + w * x[j], weights[`${name}.bias`][k]));
  const sums = (part, layer, x, h) => {
    const recurrent = linear(`${part}h2h_${layer}`, h);
    return linear(`${part}i2h_${layer}`, x).map((value, k) => value + recurrent[k]);
  };
  const cells = {
    rnn: (layer, x, h, c) => [sums("", layer, x, h).map(Math.tanh), c],
    gru: (layer, x, h, c) => {
      const [z, r] = ["update_", "reset_"].map((part) => sums(part, layer, x, h).map(sigmoid));
      const g = sums("candidate_", layer, x, h.map((value, k) => r[k] * value)).map(Math.tanh);
      return [h.map((value, k) => z[k] * g[k] + (1 - z[k]) * value), c];
    },
    lstm: (layer, x, h, c) => {
      const a = sums("", layer, x, h);
      const part = (n, activation) => a.slice(n * rnn_size, (n + 1) * rnn_size).map(activation);
      const [i, f, o, g] = [part(0, sigmoid), part(1, sigmoid), part(2, sigmoid), part(3, Math.tanh)];
      const next = c.map((value, k) => f[k] * value + i[k] * g[k]);
      return [next.map((value, k) => o[k] * Math.tanh(value)), next];
    },
  };
  const zeros = new Array(rnn_size).fill(0);
  const states = Array.from({ length: num_layers }, () => [zeros, zeros]);  // h and, for an lstm, c

  return (tokenId) => {
    if (tokenId === end) states.fill([zeros, zeros]);  // an item begins: without what was read before
    let x = Array.from({ length: vocab_size }, (_, k) => Number(k === tokenId));  // one-hot
    states.forEach((state, k) => {
      states[k] = cells[model](k + 1, x, ...state);
      x = states[k][0];
    });
    const scores = linear("decoder", x);
    const highest = scores.reduce((a, b) => Math.max(a, b));
    const exps = scores.map((score) => Math.exp(score - highest));
    const total = exps.reduce((a, b) => a + b);
    return exps.map((value) => value / total);
  };
}

function main(file, prompt, length) {
  let content, model;
  try {
    content = require("fs").readFileSync(file, "utf8");
    model = JSON.parse(content);
  } catch (error) {
    if (!(error instanceof SyntaxError)) return error.message;
    if (/[[ ](NaN|-?Infinity)[,\]]/.test(content))
      return `${file} has NaN or Infinity, which JavaScript's JSON lacks: convert a checkpoint without them`;
  }
  if (!model?.weights || !model.opt || !Array.isArray(model.vocab))
    return `${file} is not a .json file that \`pycharrnn convert\` has written`;
  // opt.labels has a line for each label, after its number of items.
  const labels = model.opt.labels?.split("\n").map((line) => `${line.split("\t")[1]}\t`) ?? [];
  if (labels.length && !labels.some((label) => prompt.startsWith(label)))
    return `begin the prompt with a label and a tab, for example with ${JSON.stringify(labels[0])}`;
  const read = makeReader(model);
  const given = Array.from(new TextEncoder().encode(prompt));
  const decode = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  const text = [], tokenIds = [];
  const end = endId(model);
  let probs = end < 0 ? [] : read(end);
  const add = (tokenId) => {
    text.push(...model.vocab[tokenId]);
    tokenIds.push(tokenId);
    probs = read(tokenId);
  };
  while (text.length < given.length) {
    const tokenId = model.vocab.findIndex((bytes) => bytes.every((byte, k) => byte === given[text.length + k]));
    if (tokenId < 0) {
      let start = text.length; // of the UTF-8 character
      while (start && (given[start] & 0xc0) === 0x80) start--;
      return `the model has no character for ${JSON.stringify([...decode(given.slice(start))][0])}`;
    }
    add(tokenId);
  }
  const tab = model.vocab.findIndex(([byte]) => byte === 9);
  const label = labels.length ? tokenIds.slice(0, tokenIds.indexOf(tab) + 1) : [];
  const ranked = probs.map((_, k) => k).sort((a, b) => probs[b] - probs[a]);
  for (const k of ranked.slice(0, 5)) console.log(`${probs[k].toFixed(6)}  ${JSON.stringify(decode(model.vocab[k]))}`);
  for (let k = 0; k < length; k++) {
    const likeliest = probs.indexOf(probs.reduce((a, b) => Math.max(a, b)));
    [likeliest, ...(likeliest === end ? label : [])].forEach(add);
  }
  console.log(decode(text));
}

if (typeof module === "object") {  // in Node, not in a browser
  module.exports = { makeReader };
  if (require.main === module) {
    process.stdout.on("error", () => process.exit());  // a closed pipe
    const [file, prompt, length] = process.argv.slice(2);
    const isUsage = prompt && Number(length) >= 0;
    const error = isUsage ? main(file, prompt, Number(length)) : "usage: node read_model.js FILE PROMPT LENGTH";
    if (error) {
      console.error(isUsage ? `read_model.js: ${error}` : error);
      process.exitCode = isUsage ? 1 : 2;
    }
  }
}
