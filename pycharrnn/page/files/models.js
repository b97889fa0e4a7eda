// The list of models, which may change while the page is open.

const FOLLOWED = { newest: "the newest", best: "the best so far" }; // options that stand for changing models
const MARK = "\t"; // prefix of their values; model ids do not contain it

export class ModelList {
  limits = {};
  follow = false; // whether the list changes
  followsAtFirst = true; // whether "the newest" is selected at first
  #models = [];
  #select;

  constructor(select) {
    this.#select = select;
  }

  // list: {models, follow, limits}. The selection stays while its model is there, and after that if keepsGone: a text
  // of it is on the page.
  setModels({ models, follow, limits }, keepsGone) {
    [this.#models, this.follow, this.limits] = [models, follow, limits];
    const { value } = this.#select;
    const isListed = this.followed ? follow : models.some(({ id }) => id === value);
    // A training deletes its older checkpoints.
    const heir = !isListed && !this.followsAtFirst && models.find(({ id }) => runOf(id) === runOf(value));
    const isGone = Boolean(value) && !isListed && !heir && keepsGone;
    const first = heir ? heir.id : this.followsAtFirst ? "" : (models[0]?.id ?? "");
    const selected = isListed || isGone ? value : first;
    const textsDiffer = models.some(({ text }) => text !== models[0].text);
    const options = models.map((model) => new Option(optionText(model, textsDiffer), model.id));
    options.forEach((option) => (option.title = option.value));
    if (follow && (this.followsAtFirst || selected))
      options.unshift(...Object.entries(FOLLOWED).map(([name, text]) => new Option(text, MARK + name)));
    if (isGone) options.push(new Option(`${selected} (gone)`, selected));
    this.#select.replaceChildren(...options);
    if (selected) this.#select.value = selected;
  }

  get isEmpty() {
    return !this.#models.length;
  }

  // The selected model, or the one that "the newest" stands for now; undefined if there is none.
  get selected() {
    if (this.followed === "newest") return this.#models.reduce((a, b) => (b.saved > a.saved ? b : a), this.#models[0]);
    if (this.followed === "best") return this.#models[0]; // the server puts the run that trained last first
    return this.#models.find((model) => model.id === this.#select.value);
  }

  // Whether a text is of another model than the selected one, or of an earlier checkpoint in its file. facts: of the
  // text's model, as they were then; null if there is no text.
  differsFrom(facts) {
    const { selected } = this;
    return Boolean(facts && selected) && (facts.id !== selected.id || facts.saved !== selected.saved);
  }

  // "newest", "best", or "" if a model itself is selected.
  get followed() {
    const { value } = this.#select;
    return value.startsWith(MARK) ? value.slice(MARK.length) : "";
  }

  // Selects a model by id, or "newest" or "best" if the server watches its folders. Returns whether that exists.
  select(id, followed) {
    if (this.follow && followed in FOLLOWED) this.#select.value = MARK + followed;
    else if (this.#models.some((model) => model.id === id)) this.#select.value = id;
    else return false;
    return true;
  }
}

function runOf(id) {
  return id.replace(/_(?:epoch[\d.]+_(?:[\d.]+|-?nan|inf)|latest|best)$/, "");
}

// "loss 1.0177 · 09:25 · pydoc" of lm_pydoc_epoch8.60_1.0177. The name is last: a narrow list may cut it off. Before a
// name without that of the text stands the text's, where texts differ. char-rnn calls every run "lstm": such a model
// has the kind of its network in place of the name.
function optionText(model, textsDiffer) {
  const parts = [model.val_loss === null ? "no loss" : `loss ${model.val_loss.toFixed(4)}`];
  if (model.saved !== null) parts.push(dateText(new Date(1000 * model.saved), new Date()));
  const name = model.id.replace(/^lm_(.+?)(_epoch[\d.]+_[\d.]+)?$/, "$1");
  if (textsDiffer && model.text && !name.includes(model.text)) parts.push(model.text);
  parts.push(name === "lstm" ? model.model : name);
  return parts.join(" · ");
}

// The time of today; the day of this year; the day with the year.
function dateText(date, now) {
  if (date.toDateString() === now.toDateString())
    return date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const year = date.getFullYear() === now.getFullYear() ? {} : { year: "numeric" };
  return date.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...year });
}
