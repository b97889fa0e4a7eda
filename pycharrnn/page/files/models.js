// The list of models to choose from, which may change while the page is open.

const FOLLOWED = { newest: "the newest", best: "the best so far" }; // choices that come to mean other models
const MARK = "\t"; // before the names of these, which no model's name holds

export class ModelList {
  limits = {};
  follow = false; // whether the list changes
  #models = [];
  #select;

  constructor(select) {
    this.#select = select;
  }

  // list: {models, follow, limits}. What is chosen stays chosen, even if it is not there any more.
  takeUp({ models, follow, limits }) {
    [this.#models, this.follow, this.limits] = [models, follow, limits];
    const chosen = this.#select.value;
    const options = models.map((one) => new Option(described(one), one.id));
    if (follow) options.unshift(...Object.entries(FOLLOWED).map(([name, label]) => new Option(label, MARK + name)));
    const here = !chosen || options.some((option) => option.value === chosen);
    if (!here) options.push(new Option(`${chosen} (gone)`, chosen));
    this.#select.replaceChildren(...options);
    if (chosen) this.#select.value = chosen;
  }

  get isEmpty() {
    return !this.#models.length;
  }

  // The model that is chosen, or that "the newest" means now; undefined where there is none.
  get chosen() {
    const loss = (one) => one.val_loss ?? Infinity;
    const first = (before) => this.#models.reduce((one, other) => (before(other, one) ? other : one), this.#models[0]);
    if (this.followed === "newest") return first((one, other) => one.saved > other.saved);
    if (this.followed === "best") return first((one, other) => loss(one) < loss(other));
    return this.#models.find((one) => one.id === this.#select.value);
  }

  // "newest", "best", or "" where a model is chosen by its name.
  get followed() {
    const { value } = this.#select;
    return value.startsWith(MARK) ? value.slice(MARK.length) : "";
  }

  // Choose by a model's name, or rather by what it was the newest or best of, if this server follows. True if it is here.
  choose(name, followed) {
    if (this.follow && followed in FOLLOWED) this.#select.value = MARK + followed;
    else if (this.#models.some((one) => one.id === name)) this.#select.value = name;
    else return false;
    return true;
  }
}

function described(model) {
  const loss = model.val_loss === null ? "" : ` · loss ${model.val_loss.toFixed(4)}`;
  if (model.saved === null) return `${model.id}${loss}`;
  const format = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  return `${model.id}${loss} · ${new Date(1000 * model.saved).toLocaleString("en-GB", format)}`;
}
