/* Refreshes parts of a page by itself: asks for the same address, and puts what is marked by data-wb-live="NAME"
   in place of what was there. Keeps focus, places of scrolling and what was opened. Pauses while nobody looks. */
"use strict";
(() => {
  const KEY = "whizbang.refresh.seconds";
  const box = document.getElementById("wb-live");
  if (!box) return;
  const choice = document.getElementById("wb-live-seconds");
  const at = document.getElementById("wb-live-at");
  const said = document.getElementById("wb-live-said");
  const was = new WeakMap(); // what a region was filled with
  let timer = 0, asking = null, good = new Date(), failing = false, headline = "";

  const clock = (date) => date.toLocaleTimeString(document.documentElement.lang || undefined);
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  const announced = () => document.querySelector("[data-wb-announce]")?.textContent.trim() ?? "";

  function stored() {
    try { return localStorage.getItem(KEY); } catch { return null; }
  }

  function store(value) {
    try { localStorage.setItem(KEY, value); } catch { /* the choice then holds for this page */ }
  }

  function showTime() {
    const text = choice.value === "0" ? box.dataset.saidOff : box.dataset.saidAt;
    say(at, failing ? "" : text.replace("%s", clock(good)));
  }

  function plan() {
    clearTimeout(timer);
    const seconds = Number(choice.value);
    if (seconds > 0 && !document.hidden) timer = setTimeout(refresh, seconds * 1000);
  }

  async function refresh() {
    if (asking) asking.abort();
    const mine = asking = new AbortController();
    const patience = setTimeout(() => mine.abort(), 20000);
    try {
      const answer = await fetch(location.href, {
        credentials: "same-origin", cache: "no-store", redirect: "manual", signal: mine.signal,
      });
      if (!answer.ok) {
        const away = answer.status >= 500;
        fail(away ? box.dataset.saidAway : box.dataset.saidLogin);
      } else {
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
        succeed();
      }
    } catch {
      if (asking === mine && !document.hidden) fail(box.dataset.saidAway);
    } finally {
      clearTimeout(patience);
      if (asking === mine) { asking = null; plan(); }
    }
  }

  function succeed() {
    const news = announced(); // told to who listens, when it is other than before
    say(said, news !== headline ? news : failing ? box.dataset.saidBack : "");
    headline = news;
    failing = false;
    box.classList.remove("wb-live-failed");
    good = new Date();
    showTime();
  }

  function fail(why) {
    failing = true;
    box.classList.add("wb-live-failed");
    say(said, box.dataset.saidFailed.replace("%s", clock(good)) + " " + why);
    showTime();
  }

  /* How something inside a region is found again: by its id, its address, or its place among its like. */
  function traceOf(element, region) {
    if (element.id) return (root) => root.querySelector("#" + CSS.escape(element.id));
    const href = element.getAttribute("href");
    if (href) return (root) => root.querySelector('[href="' + CSS.escape(href) + '"]');
    const name = element.localName;
    const index = [...region.querySelectorAll(name)].indexOf(element);
    return (root) => root.querySelectorAll(name)[index];
  }

  function remember(region) {
    const kept = [];
    const focused = document.activeElement;
    if (focused && focused !== region && region.contains(focused)) {
      const find = traceOf(focused, region);
      kept.push((root) => find(root)?.focus({ preventScroll: true }));
    }
    for (const details of region.querySelectorAll("details")) {
      const find = traceOf(details, region), open = details.open;
      kept.push((root) => { const found = find(root); if (found) found.open = open; });
    }
    for (const scrolled of region.querySelectorAll(".wb-table, pre")) {
      if (!scrolled.scrollLeft && !scrolled.scrollTop) continue;
      const index = [...region.querySelectorAll(".wb-table, pre")].indexOf(scrolled);
      const { scrollLeft, scrollTop } = scrolled;
      kept.push((root) => root.querySelectorAll(".wb-table, pre")[index]?.scrollTo(scrollLeft, scrollTop));
    }
    return kept;
  }

  function swap(fresh) {
    const x = window.scrollX, y = window.scrollY;
    for (const region of document.querySelectorAll("[data-wb-live]")) {
      const found = fresh.querySelector('[data-wb-live="' + CSS.escape(region.dataset.wbLive) + '"]');
      if (!found || found.innerHTML === was.get(region)) continue;
      const kept = remember(region);
      was.set(region, found.innerHTML);
      region.replaceChildren(...document.importNode(found, true).childNodes);
      for (const restore of kept) restore(region);
    }
    if (window.scrollX !== x || window.scrollY !== y) window.scrollTo(x, y);
  }

  choice.value = [...choice.options].some((o) => o.value === stored()) ? stored() : choice.value;
  choice.addEventListener("change", () => { store(choice.value); showTime(); plan(); });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { clearTimeout(timer); } else if (choice.value !== "0") { refresh(); }
  });
  headline = announced();
  box.hidden = false;
  showTime();
  plan();
})();
