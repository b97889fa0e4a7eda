// Files that the user drops, chooses or pastes, as {file, path}. path: within the folder, for the server to show.

// Calls onFiles(list) with what is dropped on an element. Folders are read to their end.
export function listenForDrop(zone, onFiles, onProblem) {
  let inside = 0; // dragenter of a child comes before dragleave of its parent
  const show = (change) => {
    inside = Math.max(0, inside + change);
    zone.classList.toggle("over", inside > 0);
  };
  zone.addEventListener("dragenter", (event) => {
    event.preventDefault();
    show(1);
  });
  zone.addEventListener("dragleave", () => show(-1));
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  zone.addEventListener("drop", async (event) => {
    event.preventDefault();
    show(-inside);
    // Both are gone after the first await.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    const text = event.dataTransfer.getData("text/plain");
    try {
      if (entries.length) onFiles(await filesOfAll(entries));
      else if (files.length) onFiles(files.map((file) => ({ file, path: file.name })));
      else if (text) onFiles([pasted(text)]);
    } catch (error) {
      onProblem(`The browser can't read what was dropped: ${error.message}.`);
    }
  });
}

// A file that is dropped beside the zones would replace the page.
document.addEventListener("dragover", (event) => {
  if (event.defaultPrevented || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
});

// Calls onFiles(list) with what is chosen in a hidden file input, which a button opens.
export function listenForChoice(button, input, onFiles) {
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const chosen = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
    input.value = ""; // the same file can be chosen again
    if (chosen.length) onFiles(chosen);
  });
}

// The folder that holds all files, by their paths; "" if they are of several folders, or of none.
export function folderOf(files) {
  const [folder, ...others] = new Set(files.map(({ path }) => (path.includes("/") ? path.split("/")[0] : "")));
  return others.length ? "" : folder;
}

// Why the server would refuse some files, in its words; "" if it takes them. most: how many. bytes: of the largest.
export function refusalOf(files, { most = Infinity, bytes }) {
  const words = (number) => number.toLocaleString("en");
  if (files.length > most) return `a text has ${words(most)} files at most; join some, or leave some out.`;
  const large = files.find(({ file }) => file.size > bytes);
  return large ? `${large.path}: a file has ${words(bytes)} bytes at most; choose a smaller one.` : "";
}

export function pasted(text) {
  const file = new File([text], "pasted.txt", { type: "text/plain" });
  return { file, path: file.name };
}

// Files of entries of the browser's file system, hidden ones left out.
async function filesOfAll(entries, folder = "") {
  const visible = entries.filter(({ name }) => !name.startsWith("."));
  return (await Promise.all(visible.map((entry) => filesOf(entry, folder)))).flat();
}

async function filesOf(entry, folder) {
  const path = folder + entry.name;
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) break;
    found.push(...some);
  }
  return filesOfAll(
    found.sort((a, b) => (a.name < b.name ? -1 : 1)),
    `${path}/`,
  );
}
