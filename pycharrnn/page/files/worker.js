// The worker of a page that has its models inside: it computes, so that the page does not stand still.
// A task goes in turns of some milliseconds, each of which the page asks for: one that it asks no more for is at rest.
// From the page: {payload, name} brings a model; {task, name, sample} or {task, name, score} begins a task; {task, more}
// asks for its next turn; {task, stop} ends it. To the page, after each turn: {task, items, done, result}, or {task,
// problem} at the end.

import { Model } from "./model.js";
import { Problem } from "./problem.js";

const TURN = 30; // milliseconds
const models = new Map(); // by their names
const tasks = new Map(); // number -> an iterator over what a task gives

function begin({ name, sample, score }) {
  const model = models.get(name);
  return sample ? model.sample(sample) : model.score(score.text);
}

// What an iterator gives in a turn, but null; and at its end what it returns.
function takeTurn(iterator) {
  const items = [];
  const end = performance.now() + TURN;
  do {
    const { value, done } = iterator.next();
    if (done) return { items, done, result: value };
    if (value) items.push(value);
  } while (performance.now() < end);
  return { items, done: false };
}

function answer(task) {
  const iterator = tasks.get(task);
  if (!iterator) return; // it has ended since the page asked
  try {
    const turn = takeTurn(iterator);
    if (turn.done) tasks.delete(task);
    postMessage({ task, ...turn });
  } catch (error) {
    tasks.delete(task);
    if (!(error instanceof Problem)) throw error;
    postMessage({ task, problem: error.message });
  }
}

async function heed(message) {
  if (message.payload) models.set(message.name, await Model.of(message.payload));
  else if (message.more) answer(message.task);
  else if (message.stop) tasks.delete(message.task);
  else tasks.set(message.task, begin(message));
}

let last = Promise.resolve(); // one message after the other: reading a model takes a while
addEventListener("message", ({ data }) => (last = last.then(() => heed(data)).catch(reportError)));
