// The cashier page: counts down, copies the link, and asks whether it is paid.  Without it the page
// still shows everything, and still leads to Alipay.
(() => {
  "use strict";
  const till = document.querySelector(".till");
  const page = till.dataset.page;

  // --- copying ---
  const copy = document.querySelector("[data-copy]");
  if (copy) {
    const field = document.getElementById("address");
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      let done = false;
      try {
        await navigator.clipboard.writeText(field.value);
        done = true;
      } catch {
        // Not allowed, or an old browser: as people did it before.
        field.focus();
        field.setSelectionRange(0, field.value.length);
        done = document.execCommand("copy");
      }
      if (done) {
        copy.textContent = "已复制";
        document.querySelector(".copied").hidden = false;
      }
    });
  }
  if (page !== "OPEN" && page !== "CONFIRMING") return;

  // --- the time that is left ---
  const clock = document.querySelector("[data-left]");
  if (clock) {
    const end = performance.now() + Number(clock.dataset.left) * 1000;
    const two = (n) => String(n).padStart(2, "0");
    const tick = () => {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      clock.textContent =
        `${two(Math.floor(left / 3600))}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
      if (left) setTimeout(tick, 500);
      else setTimeout(() => location.replace(till.dataset.home), 1500);
    };
    tick();
  }

  // --- until it is paid, or cannot be any more ---
  const ask = async () => {
    let wait = 3000;
    try {
      const answer = await fetch(till.dataset.state, { cache: "no-store" });
      if (answer.status === 429) wait = 20000;
      else if (answer.ok && (await answer.json()).page !== "OPEN") {
        location.replace(till.dataset.home);
        return;
      }
    } catch {
      wait = 6000; // out of reach for a moment
    }
    setTimeout(ask, wait);
  };
  setTimeout(ask, page === "CONFIRMING" ? 1000 : 3000);
  // Back from another app, or from the browser's memory: look at once.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
})();
