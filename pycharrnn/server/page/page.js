// The page of `pycharrnn serve`: asks /api/sample for lines of JSON and shows them as they come.

const $ = (id) => document.getElementById(id);
const FIELDS = ["model", "primetext", "temperature", "topk", "topp", "seed", "length", "tint", "layer", "unit"];
const STORED_TOKEN = "pycharrnn-token";

let models = [];
let characters = []; // {text, given, probability, candidates, activation}
let here = -1; // index of the chosen character
let running = null; // AbortController of the sample that is being drawn

// -- talking to the server ------------------------------------------------------------------------------------------

async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const token = sessionStorage.getItem(STORED_TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers });
  if (answer.status === 401) {
    sessionStorage.removeItem(STORED_TOKEN);
    $("ask-token").hidden = false;
    $("token").focus();
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(typeof problem.detail === "string" ? problem.detail : `the server answered ${answer.status}.`);
  }
  return answer;
}

async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield parts.map((line) => JSON.parse(line));
  }
}

async function draw() {
  if (!$("controls").reportValidity()) return;
  running?.abort();
  const mine = (running = new AbortController());
  clear();
  remember();
  $("stop").disabled = false;
  say("drawing…");
  let ended = false;
  try {
    for await (const items of lines(await ask("api/sample", request(), mine.signal))) {
      if (mine !== running) return;
      for (const item of items) {
        if (item.error) throw new Error(item.error);
        ended ||= item.done;
      }
      append(items.filter((item) => "text" in item));
    }
    if (!ended) throw new Error("the connection broke off.");
    say(`${characters.length} characters`);
  } catch (error) {
    if (mine !== running) return;
    if (error.name === "AbortError") say(`stopped after ${characters.length} characters`);
    else say(inWords(error), true);
  }
  running = null;
  $("stop").disabled = true;
}

function request() {
  const number = (id) => Number($(id).value);
  const body = { model: $("model").value, primetext: $("primetext").value, candidates: 8 };
  for (const id of ["temperature", "topk", "topp", "seed", "length"]) body[id] = number(id);
  if ($("tint").value === "unit") body.unit = { layer: number("layer"), unit: number("unit") };
  return body;
}

// -- the text -------------------------------------------------------------------------------------------------------

function clear() {
  characters = [];
  $("text").textContent = "";
  choose(-1);
  for (const id of ["copy", "download", "link"]) $(id).disabled = true;
}

function append(items) {
  if (!items.length) return;
  const box = $("text");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  const spans = items.map((item) => {
    const span = document.createElement("span");
    span.textContent = visible(item.text);
    span.className = classes(item);
    return span;
  });
  characters.push(...items);
  box.append(...spans);
  if (atEnd) box.scrollTop = box.scrollHeight;
  for (const id of ["copy", "download", "link"]) $(id).disabled = false;
}

// Control characters as their pictures, like screen_text.visible.
function visible(text) {
  return text.replace(/[\0-\x08\x0b-\x1f\x7f]/g, (c) => (c === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0))));
}

function classes(item) {
  const names = [];
  if (item.given) names.push("given");
  if (item.text === "\n") names.push("newline");
  if ($("tint").value === "probability") names.push(shade("o", 1 - item.probability));
  if ($("tint").value === "unit" && item.activation !== undefined) {
    names.push(shade(item.activation < 0 ? "o" : "b", Math.abs(item.activation)));
  }
  return names.filter(Boolean).join(" ");
}

function shade(letter, strength) {
  const level = Math.round(10 * Math.min(strength, 1));
  return level ? letter + level : "";
}

function showScale() {
  const tint = $("tint").value;
  const blocks = (names) => names.map((name) => Object.assign(document.createElement("i"), { className: name }));
  const probable = blocks(["", "o2", "o4", "o6", "o8", "o10"]);
  const both = blocks(["o10", "o8", "o6", "o4", "o2", "", "b2", "b4", "b6", "b8", "b10"]);
  const group = (parts) => {
    const span = document.createElement("span");
    span.setAttribute("aria-hidden", "true");
    span.append(...parts);
    return span;
  };
  const content = { probability: ["certain", group(probable), "improbable"], unit: ["−1", group(both), "+1"], none: [] };
  $("scale").replaceChildren(...content[tint]);
  for (const field of document.querySelectorAll(".field.unit")) field.hidden = tint !== "unit";
}

function choose(index) {
  const spans = $("text").children;
  spans[here]?.classList.remove("here");
  here = index;
  const box = $("candidates");
  const item = characters[index];
  if (!item) {
    const none = document.createElement("p");
    none.className = "quiet";
    none.textContent = "No character is chosen.";
    box.replaceChildren(none);
    return;
  }
  spans[index].classList.add("here");
  const table = document.createElement("table");
  const caption = table.createCaption();
  caption.className = "quiet";
  caption.textContent = `${named(item.text)}, ${percent(item.probability)}${item.given ? ", given" : ""}`;
  if (item.activation !== undefined) caption.textContent += `, unit ${item.activation.toFixed(2)}`;
  for (const [text, probability] of item.candidates) {
    const row = table.insertRow();
    if (text === item.text) row.className = "came";
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = named(text);
    const meter = document.createElement("meter");
    meter.value = probability;
    meter.setAttribute("aria-hidden", "true");
    row.append(head);
    row.insertCell().append(meter);
    row.insertCell().textContent = percent(probability);
  }
  box.replaceChildren(table);
}

function named(text) {
  return { " ": "space", "\n": "newline", "\t": "tab" }[text] ?? visible(text);
}

function percent(probability) {
  return `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`;
}

function whole() {
  return characters.map((item) => item.text).join("");
}

// -- links ----------------------------------------------------------------------------------------------------------

function remember() {
  const parts = new URLSearchParams();
  for (const id of FIELDS) {
    if (["layer", "unit"].includes(id) && $("tint").value !== "unit") continue;
    parts.set(id, $(id).value);
  }
  history.replaceState(null, "", `#${parts}`);
}

// What the address asks for; true if it asks for a sample.
function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const token = parts.get("token");
  if (token) {
    sessionStorage.setItem(STORED_TOKEN, token);
    parts.delete("token");
    history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname);
  }
  if (!parts.has("model")) return false;
  for (const id of FIELDS) if (parts.has(id) && id !== "model") $(id).value = parts.get(id);
  const known = models.some((model) => model.id === parts.get("model"));
  if (known) $("model").value = parts.get("model");
  else if (models.length) say(`this server does not have the model ${parts.get("model")}.`, true);
  return known;
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https a browser may offer no clipboard but this.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

// -- controls -------------------------------------------------------------------------------------------------------

function say(text, problem = false) {
  $("status").textContent = text;
  $("status").classList.toggle("problem", problem);
}

function inWords(error) {
  return error instanceof TypeError ? "the server can't be reached." : error.message;
}

function describe() {
  const model = models.find((one) => one.id === $("model").value);
  if (!model) return;
  const loss = model.best_val_loss === null ? "" : `, validation loss ${model.best_val_loss.toFixed(4)}`;
  const size = `${model.num_layers} × ${model.rnn_size}`;
  $("about").textContent = `${model.model}, ${size}, ${model.vocab_size} characters${loss}, ${model.program}`;
  $("layer").max = model.num_layers;
  $("unit").max = model.rnn_size;
}

function showTemperature() {
  $("temperature-shown").value = Number($("temperature").value).toFixed(2);
}

async function start() {
  try {
    const { models: found, limits } = await (await ask("api/models")).json();
    models = found;
    $("model").replaceChildren(...models.map((model) => new Option(model.id, model.id)));
    $("length").max = limits.length;
    $("primetext").maxLength = limits.primetext;
    $("ask-token").hidden = true;
    say("");
    const wanted = recall();
    refresh();
    if (wanted) draw();
  } catch (error) {
    say(inWords(error), true);
  }
}

function refresh() {
  describe();
  showTemperature();
  showScale();
}

$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  draw();
  $("text").scrollIntoView({ block: "nearest" }); // on a phone the text lies under the controls
});
$("stop").addEventListener("click", () => running?.abort());
$("dice").addEventListener("click", () => {
  $("seed").value = Math.floor(Math.random() * 2 ** 32);
  draw();
});
$("temperature").addEventListener("input", showTemperature);
// A text on the page follows its controls.
$("controls").addEventListener("change", (event) => {
  refresh();
  const tinted = event.target.id === "tint" && $("tint").value !== "unit";
  if (tinted) [...$("text").children].forEach((span, k) => (span.className = classes(characters[k])));
  if (tinted && characters.length) remember();
  else if (characters.length) draw();
});
$("primetext").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) draw();
});
$("copy").addEventListener("click", () => copy(whole(), "text"));
$("link").addEventListener("click", () => copy(location.href, "link"));
$("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([whole()], { type: "text/plain;charset=utf-8" }));
  link.download = "sample.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
for (const kind of ["pointerover", "click"]) {
  $("text").addEventListener(kind, (event) => {
    if (event.target.parentNode === $("text")) choose([...$("text").children].indexOf(event.target));
  });
}
$("text").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  if (!step || !characters.length) return;
  event.preventDefault();
  choose(Math.max(0, Math.min(characters.length - 1, here + step)));
  $("text").children[here].scrollIntoView({ block: "nearest" });
});
$("ask-token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(STORED_TOKEN, $("token").value.trim());
  start();
});
window.addEventListener("hashchange", () => {
  if (recall()) {
    refresh();
    draw();
  }
});
recall(); // a token in the address, before anything is asked for
showScale();
start();
