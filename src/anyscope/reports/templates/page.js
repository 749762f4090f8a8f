"use strict";
// The page works without any of this: it only adds sorting, copying, a larger view and the way through a stack.

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const keyOf = (row) => {
        const cell = row.cells[column];
        if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
        return cell.classList.contains("number") ? null : cell.textContent;
      };
      const compare = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
      const rows = [...body.rows].map((row) => [keyOf(row), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // what is not defined stays at the end
        return rising ? compare(a, b) : compare(b, a);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}

for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  const code = block.querySelector("code");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  });
  block.append(button);
}

for (const stack of document.querySelectorAll("[data-stack]")) {
  const slider = stack.querySelector("input[type=range]");
  const views = [...stack.querySelectorAll(".views input")];
  stack.addEventListener("keydown", (event) => {
    const view = views[Number(event.key) - 1];
    if (view && !event.ctrlKey && !event.altKey && !event.metaKey) view.checked = true;
  });
  if (!slider) continue;
  for (const part of stack.querySelectorAll(".slider, .hint")) part.hidden = false;
  const planes = [...stack.querySelectorAll(".plane")];
  const output = stack.querySelector("output");
  const stage = stack.querySelector(".stage");
  const show = () => {
    const place = Number(slider.value);
    planes.forEach((plane, number) => plane.classList.toggle("current", number === place));
    output.textContent = `z ${planes[place].dataset.z}`;
    slider.setAttribute("aria-valuetext", `plane ${planes[place].dataset.z}`);
  };
  slider.addEventListener("input", show);
  stage.addEventListener("click", () => slider.focus({ preventScroll: true }));
  let turned = 0;
  stage.addEventListener(
    "wheel",
    (event) => {
      // Only after the picture was selected, and not beyond the ends: a page must scroll on under the pointer.
      if (!stack.contains(document.activeElement) || event.ctrlKey || event.deltaY === 0) return;
      const before = Number(slider.value);
      const end = event.deltaY > 0 ? Number(slider.max) : 0;
      if (before === end) return;
      event.preventDefault();
      turned = Math.sign(turned) === -Math.sign(event.deltaY) ? 0 : turned;
      turned += event.deltaMode === 0 ? event.deltaY : 40 * event.deltaY;
      const steps = Math.trunc(turned / 40);
      if (steps === 0) return;
      turned -= 40 * steps;
      slider.value = before + Math.max(-3, Math.min(3, steps));
      show();
    },
    { passive: false },
  );
  show(); // a browser may have kept the slider where it was before the page was loaded again
}

const figures = [...document.querySelectorAll("figure[data-zoom]")];
if (figures.length && typeof HTMLDialogElement === "function") {
  const dialog = document.createElement("dialog");
  dialog.className = "zoom";
  dialog.setAttribute("aria-label", "Larger view");
  const stage = document.createElement("div");
  const caption = document.createElement("p");
  dialog.append(stage, caption);
  document.body.append(dialog);
  let place = 0;

  const show = (number) => {
    place = (number + figures.length) % figures.length;
    const figure = figures[place];
    const picture = figure.querySelector("svg").cloneNode(true);
    const { width, height } = picture.viewBox.baseVal;
    stage.style.setProperty("--ratio", width / height);
    stage.replaceChildren(picture);
    const sample = figure.closest(".sample").querySelector("h4").textContent;
    const view = figure.querySelector("figcaption").textContent;
    caption.textContent = `${sample} · ${view} · select the picture or press → for the next view, Esc to close`;
  };
  figures.forEach((figure, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.setAttribute("aria-label", `Enlarge: ${figure.querySelector("figcaption").textContent}`);
    const picture = figure.querySelector("svg");
    picture.replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => {
      show(number);
      dialog.showModal();
    });
  });
  dialog.addEventListener("click", (event) => {
    if (stage.contains(event.target)) show(place + 1);
    else dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(place + 1);
    else if (event.key === "ArrowLeft") show(place - 1);
  });
}
