// The page: its state, and what its buttons and controls do. A source provides the models: ServerSource or FileSource.

import { clearCharacter, listenForLeaving } from "./character_panel.js";
import { sampleClasses, scoreClasses, scoreSentence, showCandidates, showScales, showSurprise } from "./colors.js";
import {
  check,
  hasValues,
  itemsRequestOf,
  requestOf,
  scoreInputs,
  scoreRequestOf,
  setValues,
  showAdaptControls,
  values,
  withLabel,
} from "./controls.js";
import { copiesSentence, lengthSentence, markCopies } from "./copies.js";
import { copy, download, linkTo, urlParams } from "./links.js";
import { showModel, unitOf } from "./header.js";
import { itemList, showItems } from "./item_page.js";
import { showLosses } from "./loss_curve.js";
import { ModelList } from "./models.js";
import { paced } from "./pace.js";
import { Problem } from "./problem.js";
import { hasProblem, showProgress, showStatus } from "./status.js";
import { fold, listenForTabs, showTab } from "./tabs.js";
import { TextView } from "./text_view.js";
import { listenForToken, showTokenForm, storeToken } from "./token_form.js";

const $ = (id) => document.getElementById(id);
const LINK_COPIED = location.protocol === "file:" ? "link copied: it works where this file is" : "link copied";
const POLL_INTERVAL = 1000; // milliseconds, as often as the server scans its folders

const models = new ModelList($("model"));
const sampleView = new TextView($("text"), sampleClasses, showCandidates);
const scoreView = new TextView($("scored"), scoreClasses, showSurprise);
let source = null;
// The sample on the page: {values, facts, followed, complete, early: whether a limit of copies has ended it, more: what
// Continue adds to its length}.
let shown = null;
let scoredBy = null; // facts of the model that scored the other text
let described = ""; // facts of the model that the page describes, as JSON
let plotted = { id: "", facts: "" }; // of the model whose losses the page shows, or has asked for; facts as JSON
let running = null; // the request that runs: {controller: AbortController, status, stopped}, as in `run`
let outdated = false; // whether to repeat that request when it has ended, since its model has changed
let changed = false; // whether a control has changed since the last key or pointer went down
let polling = false; // whether the list of models is polled

// -- models ---------------------------------------------------------------------------------------------------------

export function start(from, followsAtFirst = true) {
  source = from;
  models.followsAtFirst = followsAtFirst;
  const option = $("color").querySelector("[value=copied]");
  option.hidden = option.disabled = !source.copied;
  storeToken(source);
  clearCharacter();
  showStatus("", $("score-status")); // a page that the browser has saved may have one
  open();
}

// Selects a model, which may be new, and generates a text with it.
export async function play(id) {
  if (!(await updateModels())) return;
  switchTo("sample");
  const exists = models.select(id);
  refresh();
  if (exists) generate();
  else reportMissing(id);
}

// Begins with the list of models. restores: whether to show the text of the address after that.
async function open(restores = !shown) {
  if (!(await updateModels())) return;
  showTokenForm(false);
  $("length").max = models.limits.length;
  $("items").max = models.limits.items;
  $("primetext").dataset.max = models.limits.primetext;
  $("own").dataset.max = models.limits.score;
  const opens = restores && (!hasText(urlParams()) || restoreFromUrl());
  refresh();
  if (opens) generate({ keepAddress: true });
  if (models.follow && !polling) poll();
}

// Asks for the list of models. Returns whether there was an answer.
async function updateModels() {
  try {
    const list = await source.models();
    if (list) models.setModels(list, Boolean(shown || scoredBy));
  } catch (error) {
    report(error, $("notice"));
    return false;
  }
  showNotice();
  return true;
}

async function poll() {
  for (polling = true; ; ) {
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL));
    if (document.hidden || !$("main").getClientRects().length) continue; // it is not in sight
    await updateModels();
    if (!refresh() || !(models.followed || needsText())) continue;
    if (running) outdated = true;
    else rerun({ isAsked: false });
  }
}

function showNotice() {
  showStatus(models.isEmpty ? "No checkpoint yet: waiting for the first one." : "", $("notice"));
}

// Updates everything that depends on the controls. Returns whether another model is selected, or its facts have
// changed.
function refresh() {
  const before = described;
  described = JSON.stringify(models.selected);
  if (models.selected && described !== before) showModel(models.selected);
  if (models.selected && described !== plotted.facts) plot(models.selected);
  $("temperature-shown").value = Number($("temperature").value).toFixed(2);
  showScales();
  showAdaptControls();
  showButtons();
  return described !== before;
}

// Whether the visible text is outdated, or Sample has none, as before the first model arrives.
function needsText() {
  if (!$("score").hidden) return isOutdated(scoredBy);
  return shown ? isOutdated(shown.facts) : Boolean(models.selected);
}

// Whether a text is of another model than the selected one, or of an earlier checkpoint in its file. facts: of the
// text's model, as they were then.
function isOutdated(facts) {
  const { selected } = models;
  return Boolean(facts && selected) && (facts.id !== selected.id || facts.saved !== selected.saved);
}

// Shows the losses of a model. Without an answer, the next refresh asks again.
async function plot(model) {
  if (plotted.id !== model.id) $("losses").hidden = true;
  const mine = (plotted = { id: model.id, facts: described });
  try {
    const losses = await source.losses(model.id);
    if (mine === plotted) showLosses($("losses"), losses); // else another has been selected
    showNotice(); // which may say why there was no answer before
  } catch (error) {
    if (mine === plotted) plotted = { ...mine, facts: "" };
    report(error, $("notice"));
  }
}

// -- samples and scores ---------------------------------------------------------------------------------------------

// Generates a text. It replaces the one on the page when its first characters arrive.
// from: number of characters to keep. keepAddress: do not replace the address by that of the text. isAsked: whether the
// user has asked for it, so that the focus may move to a control with a problem.
async function generate({ from = 0, keepAddress = false, isAsked = true } = {}) {
  if (!check(undefined, { focus: isAsked })) return isAsked && fold(false);
  const sample = from ? { ...shown, values: { ...shown.values, length: $("length").value } } : currentSample();
  if (!sample) return null;
  if (sample.facts.items) return drawItems(sample, keepAddress);
  return run($("status"), async (signal) => {
    const request = requestOf(sample.values, sample.facts, from);
    showStatus("generating…");
    let [begun, early] = [false, false];
    const begin = () => {
      sampleView.truncate(from);
      const color = $("color").value; // which the user may have changed meanwhile
      setShown({ ...sample, values: { ...sample.values, color }, complete: false }, keepAddress);
    };
    const lists = source.sample(request, signal, progressOf(request, $("progress")), () => (early = true));
    for await (const items of paced(lists)) {
      signal.throwIfAborted();
      if (!begun) begin();
      sampleView.append(items);
      if (!begun && from) sampleView.scrollTo(from + 1);
      begun = true;
      showButtons();
    }
    if (!begun) begin(); // a sample without a character
    Object.assign(shown, { complete: true, early });
    await finishSample(signal);
  });
}

// The text of the controls; or another one if the page has it already, unless it came by this very press of a button or
// key, which has also ended the change of a control.
function generateNext() {
  if (!running && !changed && shown?.complete && isOfControls()) generateAnother();
  else generate();
}

function generateAnother() {
  $("seed").value = Math.floor(Math.random() * 2 ** 32);
  generate();
}

// Whether the sample on the page is that of the selected model with the values of the controls.
function isOfControls() {
  const { selected } = models;
  if (!shown || !selected || isOutdated(shown.facts)) return false;
  return JSON.stringify(shown.values) === JSON.stringify(values(selected));
}

// Shows the number of characters, and with the color of copies, where they are. The problem of a later request stays:
// the text is not its answer.
async function finishSample(signal) {
  const say = hasProblem() ? () => {} : showStatus;
  const words = lengthSentence(sampleView.items.length, shown);
  say(words);
  if ($("color").value !== "copied" || !source.copied) return;
  const longest = await markCopies(source, shown.facts.id, sampleView.items, signal);
  sampleView.recolor();
  say(copiesSentence(longest, words, shown.facts.text));
}

// Draws items. They replace those on the page when the first of them arrive.
function drawItems(sample, keepAddress) {
  return run($("status"), async (signal) => {
    const request = itemsRequestOf(sample.values, sample.facts);
    showStatus("generating…");
    const lists = paced(source.items(request, signal, progressOf(request, $("progress"))));
    const onFirst = () => setShown({ ...sample, complete: true }, keepAddress);
    showStatus(await showItems(lists, sample.facts.items, request, signal, onFirst));
  });
}

// What the page shows, also once its model is gone: {text, count, unit: what it counts, file: its name for Download}.
function content() {
  if ($("item-list").hidden)
    return { text: sampleView.text, count: sampleView.items.length, unit: "characters", file: "sample.txt" };
  return { text: itemList.text, count: itemList.items.length, unit: "items", file: "items.txt" };
}

// Sets the sample on the page, and the address that restores it.
function setShown(sample, keepAddress = false) {
  shown = sample;
  if (!keepAddress) history.replaceState(null, "", linkTo(sample, sample.followed));
}

function currentSample() {
  const { selected, followed } = models;
  return selected && { values: values(selected), facts: selected, followed, more: Number($("length").value) };
}

// The same text, longer. The last character is generated again, since a sample may end inside a character of several
// bytes.
function continueSample() {
  const length = Number(shown.values.length) + (shown.complete ? shown.more : 0);
  $("length").value = Math.min(length, models.limits.length);
  generate({ from: sampleView.items.length - 1 });
}

// isAsked: as in generate.
async function score({ isAsked = true } = {}) {
  const { selected } = models;
  if (!check(scoreInputs(), { focus: isAsked }) || !selected) return;
  const request = async (signal) => {
    const asked = scoreRequestOf(selected, models.limits.score);
    showStatus("scoring…", $("score-status"));
    const answer = await source.score(asked, signal, progressOf(asked, $("score-progress")));
    scoreView.truncate();
    scoreView.append(answer.characters);
    scoredBy = selected;
    showStatus(scoreSentence(answer, selected.code_points), $("score-status"));
  };
  await run($("score-status"), request, () => "stopped");
}

// Shows a bar at once for a request that lets the model learn. Returns a function that receives the progress of any
// request, and shows it; `run` hides it.
function progressOf({ adapt }, bar) {
  if (adapt) showProgress(bar, null);
  return (progress) => (progress < 1 ? showProgress(bar, progress) : (bar.hidden = true));
}

function stoppedSample() {
  const { count, unit } = content();
  return `stopped after ${count} ${unit}`;
}

// Runs one request at a time; shows in `status` how it ended. stopped(): what to show if the user stops it.
async function run(status, request, stopped = stoppedSample) {
  const before = running;
  before?.controller.abort();
  if (before && before.status !== status) showStatus(before.stopped(), before.status); // of the other tab
  const mine = (running = { controller: new AbortController(), status, stopped });
  showButtons();
  try {
    await request(mine.controller.signal);
  } catch (error) {
    if (mine !== running) return;
    if (error.name === "AbortError") showStatus(stopped(), status);
    else report(error, status);
  } finally {
    if (mine === running) {
      for (const id of ["progress", "score-progress"]) $(id).hidden = true;
      running = null;
      showButtons();
      if (outdated) rerun({ isAsked: false });
    }
  }
}

// Repeats the request of the visible tab with the present model and controls. isAsked: as in generate.
function rerun({ isAsked = true } = {}) {
  outdated = false;
  if ($("score").hidden) generate({ isAsked });
  else if (scoredBy || running?.status === $("score-status")) score({ isAsked });
}

function showButtons() {
  const longest = shown?.complete && Number(shown.values.length) >= models.limits.length;
  for (const id of ["generate", "dice", "score-button"]) $(id).disabled = !models.selected;
  $("stop").disabled = running?.status !== $("status");
  $("score-stop").disabled = running?.status !== $("score-status");
  $("continue").disabled = running || !shown || shown.facts.items || shown.early || longest;
  $("continue").title = longest ? `Length: at most ${models.limits.length} ${unitOf(shown.facts)}` : "";
  for (const id of ["copy", "download", "link"]) $(id).disabled = !content().count;
}

// -- problems and the address ---------------------------------------------------------------------------------------

// Shows a Problem in an element, or asks for the token. Throws other errors.
function report(error, where) {
  if (!(error instanceof Problem)) throw error;
  if (error.token) askForToken(error);
  else showStatus(withLabel(error.message), where, true);
}

// Asks for the token that the server misses or refuses, as a Problem says.
export function askForToken({ message }) {
  showStatus("", $("notice")); // which may say that the server can't be reached
  showTokenForm(true, message);
}

// Whether an address is that of a text: it names a model or has settings. That of a place on the page (#text) does
// neither.
function hasText(params) {
  return Boolean(params.get("model")) || hasValues(params);
}

// Sets the controls and the model from the address, and shows the tab Generate; an address without a model is for the
// selected one. Returns whether the address is that of a text, by a model that the page has.
function restoreFromUrl() {
  const params = urlParams();
  if (!hasText(params)) return false;
  switchTo("sample");
  setValues(params);
  if (!params.get("model") || models.select(params.get("model"), params.get("follow"))) return true;
  reportMissing(params.get("model"));
  return false;
}

function reportMissing(id) {
  showStatus(`This page has no model ${id}.`, $("status"), true);
}

// Shows a tab. No character of the other one's text stays chosen.
function switchTo(name) {
  showTab(name);
  (name === "sample" ? scoreView : sampleView).choose(-1);
}

// -- events ---------------------------------------------------------------------------------------------------------

function openTab(name) {
  switchTo(name);
  $(`tab-${name}`).focus();
  refresh();
  if (needsText() && (shown || !running)) rerun(); // else the first text is being generated
}

listenForTabs(openTab);
// Enter in a control clicks the button of its form. The form is never submitted: sandboxed frames forbid it.
for (const [id, action] of [["generate", generateNext], ["score-button", score]]) {
  $(id).addEventListener("click", (event) => {
    event.preventDefault();
    if (id === "generate") fold(true);
    if ($("score").hidden) action();
    else score(); // also after Enter in a control that both tabs have
  });
}
$("continue").addEventListener("click", continueSample);
for (const id of ["stop", "score-stop"]) $(id).addEventListener("click", () => running?.controller.abort());
$("dice").addEventListener("click", generateAnother);
$("temperature").addEventListener("input", refresh);
$("model").addEventListener("change", () => {
  changed = true;
  refresh();
  rerun();
});
for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => (changed = false), true);
// A text on the page follows its controls. Leaving a control changes nothing if Ctrl-Enter in it has generated the
// text.
document.addEventListener("change", ({ target }) => {
  if (target.id === "score-adapt") refresh();
  if (target.form !== $("controls") || $("sample").hidden) return;
  refresh();
  if (!running && isOfControls()) return;
  changed = true;
  if (target.id !== "color" || target.value === "unit") {
    generate();
    return;
  }
  sampleView.recolor();
  if (!shown) return;
  setShown({ ...shown, values: { ...shown.values, color: target.value } });
  if (target.value === "copied" && shown.complete && !running) run($("status"), finishSample);
});
for (const [id, action] of [["primetext", generateNext], ["own", score]]) {
  $(id).addEventListener("keydown", ({ key, ctrlKey, metaKey }) => key === "Enter" && (ctrlKey || metaKey) && action());
}
$("copy").addEventListener("click", () => copy(content().text, "text copied").then(showStatus));
$("link").addEventListener("click", () => copy(linkTo(shown), LINK_COPIED).then(showStatus));
$("download").addEventListener("click", () => download(content().text, content().file));
listenForLeaving(() => {
  for (const view of [sampleView, scoreView]) if (view.span) view.choose(-1);
});
listenForToken((token) => {
  source.token = token;
  open();
});
addEventListener("hashchange", () => {
  if (storeToken(source)) {
    open(!shown || hasText(urlParams())); // the page may be asking for the token
    return;
  }
  const opens = restoreFromUrl();
  refresh();
  if (opens) generate();
});
