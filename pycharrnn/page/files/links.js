// Links to texts, the token in the address, copying and downloading.

// text: {values, facts: of its model}. follow: "newest" or "best" if the page goes on to follow that model, else "".
export function linkTo({ values, facts }, follow = "") {
  const params = new URLSearchParams({ model: facts.id, ...values });
  if (values.color !== "unit") for (const id of ["layer", "unit"]) params.delete(id);
  if (values.adapt !== "1") params.delete("adapt");
  if (!Number(values.max_copy)) params.delete("max_copy");
  if (follow) params.set("follow", follow);
  return `${location.href.split("#")[0]}#${params}`;
}

export function urlParams() {
  return new URLSearchParams(location.hash.slice(1));
}

// Removes the token from the address and returns it; "" if there is none.
export function takeToken() {
  const params = urlParams();
  const token = params.get("token") ?? "";
  if (!token) return "";
  params.delete("token");
  const others = String(params);
  history.replaceState(null, "", others ? `#${others}` : location.pathname);
  return token;
}

// Copies a text. Returns `words`, which say so, or why it is not copied.
export async function copy(content, words) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    // Without https, browsers may offer this clipboard only.
    const focused = document.activeElement;
    const area = document.createElement("textarea");
    area.value = content;
    document.body.append(area);
    area.select();
    const isCopied = document.execCommand("copy");
    area.remove();
    focused.focus({ preventScroll: true });
    if (!isCopied) return "not copied: allow this page to use the clipboard";
  }
  return words;
}

export function download(content, name) {
  saveBlob(new Blob([content], { type: "text/plain;charset=utf-8" }), name);
}

// Has the browser save a Blob as a file of this name.
export function saveBlob(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60000);
}
