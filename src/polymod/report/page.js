// Heads of sortable tables become buttons; numbers are sorted by data-key, missing ones come last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const compare = (a, b) => {
        const [x, y] = [a.cells[column], b.cells[column]];
        const [p, q] = [x.dataset.key, y.dataset.key];
        if (p === undefined && q === undefined) {
          return (up ? 1 : -1) * x.textContent.localeCompare(y.textContent, "en", { numeric: true });
        }
        if (p === undefined || q === undefined) return p === undefined ? 1 : -1;
        return (up ? 1 : -1) * (Number(p) - Number(q));
      };
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort(compare));
    });
  });
}
