"use strict";
// Everything is readable without this: it shows values under the pointer and under the arrow keys, and switches tabs and
// the theme.
(() => {
  const root = document.documentElement;
  root.classList.add("live");

  // Theme: the system's until the button is pressed; remembered where the browser lets a local file remember.
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (() => { try { return localStorage.getItem("corefit-theme"); } catch { return null; } })();
  if (remembered === "light" || remembered === "dark") root.dataset.theme = remembered;
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const name = () => {
    button.textContent = isDark() ? "light" : "dark";
    button.setAttribute("aria-label", `Switch to the ${button.textContent} theme`);
  };
  button.hidden = false;
  name();
  system.addEventListener("change", name);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("corefit-theme", root.dataset.theme); } catch { /* It holds for this visit. */ }
    name();
  });

  // Tabs. What is away keeps its width, so that a graph drawn meanwhile fits.
  for (const list of document.querySelectorAll('[role="tablist"]')) {
    const tabs = [...list.querySelectorAll('[role="tab"]')];
    const show = (chosen, isFocused) => {
      for (const tab of tabs) {
        const isChosen = tab === chosen;
        tab.setAttribute("aria-selected", isChosen);
        tab.tabIndex = isChosen ? 0 : -1;
        document.getElementById(tab.getAttribute("aria-controls")).classList.toggle("away", !isChosen);
      }
      if (isFocused) chosen.focus();
    };
    list.addEventListener("click", (event) => {
      const tab = event.target.closest('[role="tab"]');
      if (tab) show(tab, true);
    });
    list.addEventListener("keydown", (event) => {
      const at = tabs.indexOf(document.activeElement);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (at < 0 || to === undefined) return;
      event.preventDefault();
      show(tabs[(to + tabs.length) % tabs.length], true);
    });
    if (tabs.length) show(tabs[0], false);
  }

  // Values.
  const tip = document.getElementById("tip");
  const holder = document.getElementById("data");
  const data = holder ? JSON.parse(holder.textContent) : { unit: "", samples: [] };
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 5, useGrouping: false });
  const sampleText = (sample, index) => {
    const [procs, round, status, throughput] = sample;
    const value = status || throughput === null ? status || "no throughput" : `${number.format(throughput)} ${data.unit}`;
    return `${value}\nsample ${index + 1}, round ${round}, procs ${procs}`;
  };
  const place = (text, x, y) => {
    if (tip.textContent !== text) tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 16 + box.width < innerWidth ? x + 16 : Math.max(4, x - 16 - box.width);
    tip.style.left = `${left}px`;
    tip.style.top = `${Math.max(4, Math.min(y - box.height - 8, innerHeight - box.height - 4))}px`;
  };
  // What the arrow keys chose, to be shown again where a scrolled page has it.
  let chosen = null;
  const away = () => {
    chosen = null;
    tip.hidden = true;
    for (const hit of document.querySelectorAll(".hit.at")) hit.classList.remove("at");
  };

  // From a value to its height in a picture.
  const height = (svg, value) => {
    const { low, high, top, bottom } = svg.dataset;
    return +bottom + ((value - low) / (high - low)) * (top - bottom);
  };
  const inPicture = (svg, event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  };
  const onScreen = (svg, x, y) => {
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    return { x: box.left + x * scale, y: box.top + y * scale };
  };

  // Samples by worker count, each with its number in time order.
  const byProcs = new Map();
  data.samples.forEach((sample, index) => {
    if (sample[2] || sample[3] === null) return;
    const key = String(sample[0]);
    if (!byProcs.has(key)) byProcs.set(key, []);
    byProcs.get(key).push(index);
  });
  // The dot of the curve within a few pixels of the pointer; dots spread as the picture drew them.
  const dotNear = (svg, hit, at) => {
    const dots = svg.querySelector(".dots[data-aside]");
    if (!dots || hit.dataset.procs === "default") return undefined;
    let nearest, distance = 7;
    (byProcs.get(hit.dataset.procs) || []).forEach((index, place) => {
      const aside = dots.dataset.aside * (2 * ((place * 0.6180339887498949 + 0.5) % 1) - 1);
      const off = Math.hypot(+hit.dataset.x + aside - at.x, height(svg, data.samples[index][3]) - at.y);
      if (off < distance) [nearest, distance] = [index, off];
    });
    return nearest;
  };

  for (const svg of document.querySelectorAll("svg.chart")) {
    const hits = [...svg.querySelectorAll(".hit")];
    // The title would show a second time. A narrow picture leaves them to the wide one, which comes first.
    const wide = svg.parentElement.querySelectorAll(".wide .hit");
    hits.forEach((hit, place) => {
      const title = hit.querySelector("title");
      hit.dataset.text = title ? title.textContent : wide[place].dataset.text;
      if (title) title.remove();
    });
    const count = svg.classList.contains("time") ? data.samples.length : hits.length;
    if (!count) continue;
    let current = 0;
    const showHit = (hit, x, y) => {
      away();
      hit.classList.add("at");
      place(hit.dataset.text, x, y);
    };
    const showSample = (index, x, y) => { away(); place(sampleText(data.samples[index], index), x, y); };
    const sampleAt = (x) => {
      const { left, right } = svg.dataset;
      return Math.max(0, Math.min(count - 1, Math.round(((x - left) / (right - left || 1)) * (count - 1))));
    };
    const isTime = svg.classList.contains("time");
    svg.addEventListener("pointermove", (event) => {
      const at = inPicture(svg, event);
      if (isTime) return showSample(sampleAt(at.x), event.clientX, event.clientY);
      const hit = hits.find((one) => at.x < +one.getAttribute("x") + +one.getAttribute("width")) || hits[hits.length - 1];
      const dot = svg.classList.contains("samples") ? dotNear(svg, hit, at) : undefined;
      if (dot === undefined) showHit(hit, event.clientX, event.clientY);
      else showSample(dot, event.clientX, event.clientY);
    });
    svg.addEventListener("pointerleave", away);
    svg.addEventListener("blur", away);
    svg.tabIndex = 0;
    const showCurrent = () => {
      const { left, right, top } = svg.dataset;
      const x = isTime ? +left + ((right - left) * current) / Math.max(1, count - 1) : +hits[current].dataset.x;
      const at = onScreen(svg, x, +top + 40);
      if (isTime) showSample(current, at.x, at.y);
      else showHit(hits[current], at.x, at.y);
      chosen = showCurrent;
    };
    svg.addEventListener("keydown", (event) => {
      const to = { ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: count - 1 }[event.key];
      if (event.key === "Escape") away();
      if (to === undefined) return;
      event.preventDefault();
      current = Math.max(0, Math.min(count - 1, to));
      showCurrent();
    });
  }
  addEventListener("scroll", () => (chosen ? chosen() : away()), { passive: true });
})();
