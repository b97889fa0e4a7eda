// The address of a text, which holds what brings it back; and what is taken away from the page.

// of: {values, model} of a text. followed: what its model is the newest or best of, for a page that goes on following.
export function linkOf({ values, model }, followed = "") {
  const parts = new URLSearchParams({ model, ...values });
  if (values.tint !== "unit") for (const id of ["layer", "unit"]) parts.delete(id);
  if (followed) parts.set("follow", followed);
  return `${location.href.split("#")[0]}#${parts}`;
}

export function partsOfAddress() {
  return new URLSearchParams(location.hash.slice(1));
}

// The token in the address, which is taken out of there; "" for none.
export function takeToken() {
  const parts = partsOfAddress();
  const token = parts.get("token") ?? "";
  if (!token) return "";
  parts.delete("token");
  history.replaceState(null, "", parts.size ? `#${parts}` : location.pathname);
  return token;
}

export async function copy(content) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    // Without https a browser may offer no clipboard but this.
    const area = document.createElement("textarea");
    area.value = content;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

export function download(content, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([content], { type: "text/plain;charset=utf-8" }));
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
}
