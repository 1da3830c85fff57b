// Keys for the clerk's workbench, and pages that change without losing one's place in the list.
// It presses only links and buttons that are on the page: without it everything still works.
(() => {
  "use strict";
  const bench = () => document.getElementById("workbench");
  const one = (selector) => bench().querySelector(selector);
  const wide = () => window.matchMedia("(min-width: 901px)").matches;
  let loading = null; // of several quick steps only the last one is shown
  let waiting = ""; // a key that was pressed meanwhile: it is meant for the line to come

  // --- going to another line without a new page ---
  async function go(address, isBack = false) {
    if (loading) loading.abort();
    loading = new AbortController();
    one(".wb-detail").inert = true; // nobody decides about a line that is going away
    let fresh;
    try {
      const answer = await fetch(address, { signal: loading.signal, credentials: "same-origin" });
      fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch (error) {
      if (error.name === "AbortError") return;
    }
    const shown = fresh && fresh.getElementById("workbench");
    if (!shown) {
      window.location.assign(address); // signed out, or out of reach: let the browser say so
      return;
    }
    loading = null;
    const scrolled = one(".wb-list").scrollTop;
    bench().replaceWith(document.adoptNode(shown));
    if (!isBack) history.pushState(null, "", address);
    one(".wb-list").scrollTop = scrolled;
    settle();
    const key = waiting;
    waiting = "";
    if (key) pressed(key);
  }

  function settle() {
    if (wide()) reveal(one(".wb-list"), one(".wb-row.wb-on"));
    if (!wide() && bench().classList.contains("wb-open")) window.scrollTo(0, 0);
    const ask = one("[data-ask]");
    if (ask) {
      const field = ask.querySelector("[autofocus]") || ask.querySelector("[type=submit]");
      if (field) field.focus({ preventScroll: true });
      if (wide()) reveal(one(".wb-detail"), ask);
      else ask.scrollIntoView({ block: "nearest" });
    }
    addUp();
  }

  // Within its pane only: the page itself does not move.
  function reveal(pane, part) {
    if (!part) return;
    const outer = pane.getBoundingClientRect();
    const inner = part.getBoundingClientRect();
    if (inner.top < outer.top) pane.scrollTop -= outer.top - inner.top;
    else if (inner.bottom > outer.bottom) {
      pane.scrollTop += Math.min(inner.bottom - outer.bottom, inner.top - outer.top);
    }
  }

  function step(by) {
    const rows = [...bench().querySelectorAll("[data-row]")];
    const at = rows.findIndex((row) => row.classList.contains("wb-on"));
    const next = rows[at + by];
    if (next) {
      rows.forEach((row) => row.classList.toggle("wb-on", row === next));
      if (wide()) reveal(one(".wb-list"), next);
      go(next.href);
    } else {
      const turn = one(by > 0 ? "[rel=next]" : "[rel=prev]");
      if (turn) go(turn.href);
    }
  }

  // --- what is left of a line that is shared out ---
  const fen = (typed) => {
    const sound = /^(\d+)(?:\.(\d{1,2}))?$/.exec(typed.trim());
    return sound ? Number(sound[1]) * 100 + Number((sound[2] || "").padEnd(2, "0")) : null;
  };
  function addUp() {
    const split = one("[data-split]");
    if (!split) return;
    let left = fen(split.dataset.split);
    for (const share of split.querySelectorAll("[data-share]")) left -= fen(share.value) || 0;
    const rest = split.querySelector(".wb-rest");
    const said = (Math.abs(left) / 100).toFixed(2);
    rest.querySelector("output").textContent = left < 0 ? `超出 ¥${said}` : `¥${said}`;
    rest.classList.toggle("wb-even", left === 0);
    rest.classList.toggle("wb-over", left !== 0);
  }

  // --- keys ---
  const isTyping = (target) =>
    target.matches("textarea, select, [contenteditable], input:not([type=submit]):not([type=button])");
  const press = (selector) => {
    const link = one(selector);
    if (link) link.click();
    return Boolean(link);
  };
  function pressed(key) {
    if (key >= "1" && key <= "9") return press(`[data-candidate="${key}"]`);
    switch (key) {
      case "j": case "ArrowDown": step(1); return true;
      case "k": case "ArrowUp": step(-1); return true;
      case "/": one("[data-search]").focus(); return true;
      case "f": { const find = one("[data-find]"); if (find) find.focus(); return Boolean(find); }
      case "?": { const help = one(".wb-help"); help.open = !help.open; return true; }
      case "Escape":
        if (one(".wb-help").open) { one(".wb-help").open = false; return true; }
        return press('[data-key="Escape"]');
      case "s": case "r": case "c": case "b": case "i": case "n": case "u": case "t":
        return press(`[data-key="${key}"]`);
      default: return false;
    }
  }
  document.addEventListener("keydown", (event) => {
    if (!bench() || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (loading && !["j", "k", "ArrowDown", "ArrowUp"].includes(event.key)) {
      waiting = event.key;
      event.preventDefault();
      return;
    }
    if (pressed(event.key)) event.preventDefault();
  });

  // --- the mouse and the thumb take the same short way ---
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#workbench a[href^='?']");
    const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.button;
    if (!link || !isPlain) return;
    event.preventDefault();
    go(link.href);
  });
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("#workbench form");
    if (!form) return;
    if (form.method === "get") {
      event.preventDefault();
      const said = [...new FormData(form)].filter(([, value]) => value !== "");
      go(`?${new URLSearchParams(said)}`);
    } else {
      const button = form.querySelector("[type=submit]");
      if (button) button.disabled = true; // asked once
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("#workbench [data-submits]")) event.target.form.requestSubmit();
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches("[data-share]")) addUp();
  });
  window.addEventListener("popstate", () => go(window.location.href, true));
  document.addEventListener("DOMContentLoaded", () => bench() && settle());
})();
