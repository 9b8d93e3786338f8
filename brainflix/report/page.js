// Sorts tables by their heads, filters rows and clips by the form above them, and lets clips play
// only while they are in view. Without this script everything is there, unsorted and unfiltered.
(() => {
  document.documentElement.classList.add("scripted");
  const by = (a, b) => (Number.isNaN(a) || Number.isNaN(b))
    ? Number.isNaN(a) - Number.isNaN(b) : a - b;
  const order = (cell) => {
    const text = cell.dataset.order ?? cell.textContent.trim();
    const value = Number(text.replace("−", "-").replace(/,/g, ""));
    return text === "" || text === "–" ? NaN : Number.isNaN(value) ? text : value;
  };
  const compare = (a, b) => typeof a === "string" || typeof b === "string"
    ? String(a).localeCompare(String(b), undefined, { numeric: true }) : by(a, b);

  for (const table of document.querySelectorAll("table.data")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
        const way = head.classList.contains("words") && !head.hasAttribute("aria-sort") ? 1 : sign;
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [order(row.cells[k]), row]);
        rows.sort(([a], [b]) => Number.isNaN(a) || Number.isNaN(b) ? by(a, b) : way * compare(a, b));
        body.append(...rows.map(([, row]) => row));
        table.classList.add("sorted");
      });
    });
  }

  // All clips in one grid, which the form sorts and filters.
  for (const rest of document.querySelectorAll("details.rest")) {
    document.getElementById(rest.dataset.into).append(...rest.querySelector(".grid").children);
    rest.remove();
  }

  const value = (item, metric) => {
    const found = (item.scores ??= JSON.parse(item.dataset.scores ?? "[]"))[metric - 1];
    return found ?? NaN;
  };
  const number = (field) => field && field.value !== "" ? Number(field.value) : NaN;
  for (const form of document.querySelectorAll("form.filter")) {
    const lists = form.dataset.for.split(" ").map((name) => document.getElementById(name));
    const drawn = lists.map((list) => [...list.querySelectorAll("[data-item]")]);
    const fields = form.elements;
    const special = new Set(["sort", "metric", "low", "high", "text"]);
    const selects = [...fields].filter((f) => f.tagName === "SELECT" && !special.has(f.name));
    const update = (event) => {
      const low = number(fields.low), high = number(fields.high);
      const words = fields.text ? fields.text.value.trim().toLowerCase() : "";
      const fits = (item) => selects.every((f) => !f.value
          || (item.dataset[f.name] ?? "").split("|").includes(f.value))
        && !(value(item, fields.metric?.value) < low) && !(value(item, fields.metric?.value) > high)
        && !(low === low && Number.isNaN(value(item, fields.metric.value)))
        && (!words || item.textContent.toLowerCase().includes(words));
      let shown = 0;
      drawn.forEach((items, k) => {
        for (const item of items) item.hidden = !fits(item);
        if (k === 0) shown = items.filter((item) => !item.hidden).length;
        if (event?.target.name === "sort") {
          const sort = Number(fields.sort.value), metric = Math.abs(sort);
          const sorted = sort === 0 ? items : [...items].sort((a, b) => {
            const x = value(a, metric), y = value(b, metric);
            return Number.isNaN(x) || Number.isNaN(y) ? by(x, y) : Math.sign(sort) * (x - y);
          });
          sorted.forEach((item) => item.parentElement.append(item));
        }
      });
      form.querySelector("output").textContent = `${shown} of ${drawn[0].length}`;
    };
    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    update();
    // A link to a clip that the form hides shows it.
    const reveal = () => {
      const item = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
      if (item && item.hidden && lists[0].contains(item)) {
        form.reset();
        for (const f of selects) f.value = "";
        update();
        item.scrollIntoView();
      }
    };
    addEventListener("hashchange", reveal);
    reveal();
  }

  if ("IntersectionObserver" in window) {
    const seen = new IntersectionObserver((entries) => {
      for (const each of entries) each.target.classList.toggle("away", !each.isIntersecting);
    }, { rootMargin: "100px" });
    for (const clip of document.querySelectorAll("figure.clip")) seen.observe(clip);
  }
})();
