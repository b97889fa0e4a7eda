// The worker of a page that holds its models: it computes while the page stays responsive.
// Tasks run in short time slices, each requested by the page; a task without a request stays suspended.
// Messages from the page: {model, payload} adds a model; {task, model, sample}, {task, model, items} or
// {task, model, score} adds a task; {task, more} requests its next slice; {task, stop} removes it. Replies: {task,
// items, done, result} after each slice, with {progress} while a model learns or scores, or {task, problem} at the
// end.

import { Model } from "./model.js";
import { Problem } from "./problem.js";

const SLICE = 30; // milliseconds
const models = new Map(); // by id
const tasks = new Map(); // task number -> iterator over its items

async function startTask({ model: id, sample, items, score }) {
  const model = models.get(id);
  const request = sample ?? items ?? score;
  const learner = request.adapt ? await model.learner(request) : null;
  if (sample) return model.sample(sample, learner);
  return items ? model.items(items, learner) : model.score(score.text, learner);
}

// The items of one slice, without null and {progress}; at the end, also the iterator's return value.
function runSlice(iterator) {
  const items = [];
  let progress;
  const end = performance.now() + SLICE;
  do {
    const { value, done } = iterator.next();
    if (done) return { items, done, result: value };
    if (value?.progress) ({ progress } = value);
    else if (value) items.push(value);
  } while (performance.now() < end);
  return { items, done: false, progress };
}

function reply(task) {
  const iterator = tasks.get(task);
  if (!iterator) return; // it has ended since the request
  try {
    const slice = runSlice(iterator);
    if (slice.done) tasks.delete(task);
    postMessage({ task, ...slice });
  } catch (error) {
    tasks.delete(task);
    if (!(error instanceof Problem)) throw error;
    postMessage({ task, problem: error.message });
  }
}

async function onMessage(message) {
  if (message.payload) models.set(message.model, await Model.load(message.payload));
  else if (message.more) reply(message.task);
  else if (message.stop) tasks.delete(message.task);
  else tasks.set(message.task, await startTask(message));
}

let last = Promise.resolve(); // messages wait for each other: loading a model is asynchronous
addEventListener("message", ({ data }) => (last = last.then(() => onMessage(data)).catch(reportError)));
