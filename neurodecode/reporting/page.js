"use strict";
// Tables that can be sorted by a click and copied into a spreadsheet; the page says the same without this.
for (const table of document.querySelectorAll("table.data")) {
  const heads = [...table.querySelectorAll("thead th")];
  const body = table.tBodies[0];
  const key = (row, at) => {
    const cell = row.cells[at];
    return cell === undefined ? "" : cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent.trim();
  };
  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  heads.forEach((head, at) => {
    const sort = () => {
      const up = head.getAttribute("aria-sort") === "descending" || (head.getAttribute("aria-sort") === "none" && !head.classList.contains("number"));
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((r, s) => {
        const a = key(r, at), b = key(s, at);
        if (a === "" || b === "") return (a === "") - (b === "");
        return up ? compare(a, b) : -compare(a, b);
      });
      body.append(...rows);
    };
    head.setAttribute("aria-sort", "none");
    head.tabIndex = 0;
    head.title = "Sort";
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); }
    });
  });
  const lines = () => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()).join("\t")).join("\n");
  offer(table.parentElement.previousElementSibling, lines);
}
for (const block of document.querySelectorAll("pre")) {
  const button = offer(block, () => block.querySelector("code").textContent);
  button.style.float = "right";
  block.prepend(button);
}
function offer(place, words) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    button.textContent = (await copied(words())) ? "Copied" : "Select and copy";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  });
  if (place !== null && place.classList.contains("caption")) place.append(button);
  return button;
}
async function copied(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = words;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) fold.open = true; });
