// Keyboard, drop zone, filters and copying. Every page works without this file; it only makes pages quicker to use.

const typing = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);

let chord = false;

function move(step) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.findIndex((row) => row.getAttribute("aria-selected") === "true");
  const next = all[Math.min(all.length - 1, Math.max(0, at === -1 ? 0 : at + step))];
  choose(next);
}

function choose(row) {
  rows().forEach((other) => other.removeAttribute("aria-selected"));
  row.setAttribute("aria-selected", "true");
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

const chosen = () => document.querySelector('[data-row][aria-selected="true"]');

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (typing(event.target)) return;
  if (chord) {
    chord = false;
    const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const row = chosen();
  const actions = {
    "/": () => document.querySelector("#find").focus(),
    "?": () => document.querySelector("#help").showModal(),
    g: () => { chord = true; setTimeout(() => { chord = false; }, 1200); },
    j: () => move(1),
    k: () => move(-1),
    e: () => (row?.querySelector("[data-evidence]") ?? document.querySelector("[data-evidence]"))?.click(),
    a: () => accept(row),
    Enter: () => (event.target === row ? row?.querySelector("[data-open]")?.click() : undefined),
  };
  if (!(event.key in actions)) return;
  if (event.key !== "Enter") event.preventDefault();
  actions[event.key]();
});

function accept(row) {
  const button = row?.querySelector("[data-accept]");
  if (!button) return;
  const all = rows();
  following = all[all.indexOf(row) + 1]?.id ?? row.id;
  button.form.requestSubmit(button);
}

// After a row was confirmed the next one is chosen, so that a list is done by pressing one key.
let following = null;
document.addEventListener("htmx:after:swap", () => {
  const next = following && document.getElementById(following);
  following = null;
  if (next) choose(next);
});

document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const before = copy.textContent;
    navigator.clipboard.writeText(copy.dataset.copy).then(() => {
      copy.textContent = copy.dataset.done;
      setTimeout(() => { copy.textContent = before; }, 1500);
    });
  }
  if (event.target.closest("[data-print]")) window.print();
  const sort = event.target.closest("button.sort");
  if (sort) sortBy(sort.closest("th"));
});

function sortBy(head) {
  const table = head.closest("table");
  const column = [...head.parentNode.children].indexOf(head);
  const down = head.getAttribute("aria-sort") === "ascending";
  const value = (row) => {
    const text = row.children[column].innerText.trim();
    const number = Number.parseFloat(text.replaceAll(",", "").replace("−", "-"));
    return Number.isNaN(number) ? text : number;
  };
  const body = table.tBodies[0];
  const sorted = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
    const order = typeof x === "number" ? x - y : x.localeCompare(y, document.documentElement.lang);
    return down ? -order : order;
  });
  table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...sorted);
}

document.querySelectorAll("table[data-sortable] thead th").forEach((head) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "sort";
  button.append(...head.childNodes);
  head.append(button);
});

document.querySelectorAll("[data-filter]").forEach((input) => {
  const table = document.querySelector(input.dataset.filter);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.innerText.toLowerCase().includes(words);
  });
});

document.querySelectorAll("[data-filter-list]").forEach((input) => {
  const list = document.querySelector(input.dataset.filterList);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase();
    for (const item of list.children) item.hidden = !item.innerText.toLowerCase().includes(words);
  });
});

// Drop zone: files dragged anywhere onto it are sent at once, with their progress.
document.querySelectorAll("form[data-drop]").forEach((form) => {
  const input = form.querySelector('input[type="file"]');
  const shown = form.querySelector("[data-chosen]");
  const bar = form.querySelector("progress");
  const over = (on) => form.classList.toggle("over", on);
  form.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  form.addEventListener("dragleave", () => over(false));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length === 0) return;
    input.files = event.dataTransfer.files;
    form.requestSubmit();
  });
  const list = () => { shown.textContent = `${form.dataset.sending}: ${[...input.files].map((file) => file.name).join(", ")}`; };
  input.addEventListener("change", () => { if (input.files.length > 0) form.requestSubmit(); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list();
    const request = new XMLHttpRequest();
    bar.hidden = false;
    form.setAttribute("aria-busy", "true");
    request.upload.addEventListener("progress", (sent) => { if (sent.lengthComputable) bar.value = sent.loaded / sent.total; });
    request.addEventListener("load", () => {
      if (request.status < 400) window.location.assign(request.responseURL);
      else failed(request);
    });
    request.addEventListener("error", () => failed(request));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.send(new FormData(form));
  });
  const failed = (request) => {
    form.removeAttribute("aria-busy");
    input.value = "";
    bar.hidden = true;
    let words = shown.textContent;
    try {
      const error = JSON.parse(request.responseText);
      const lang = document.documentElement.lang;
      words = `${error[`message_${lang}`]} ${error[`next_${lang}`]}`;
    } catch { /* the server is gone: the names of the files stay on the page */ }
    shown.textContent = words;
    shown.classList.add("bad-text");
  };
});

// A part that tells itself anew (every few seconds) and gets no answer may not look fresh.
const offline = (on, part) => {
  document.getElementById("offline").hidden = !on;
  part?.classList.toggle("old", on);
};
document.addEventListener("htmx:error", (event) => offline(true, event.target.closest?.("[hx-get]")));
document.addEventListener("htmx:after:request", (event) => offline(false, event.target.closest?.("[hx-get]")));
