// Draws the charts in the look that is on, filters rows, and shows the events behind a number. All texts are set as
// text, never as markup.
"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report").textContent);
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const KEY = "detector-theme";

  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (value) => { try { localStorage.setItem(KEY, value); } catch { /* a file may have no storage */ } };

  // Names of colours stand where colours do; anywhere else, such a text is a stranger's.
  const coloured = (value, look, key = "") => {
    if (typeof value === "string") {
      return /color/.test(key) && value.startsWith("$") ? look.getPropertyValue("--" + value.slice(1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map((each) => coloured(each, look, key));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, coloured(each, look, name)]));
    }
    return value;
  };

  const merged = (base, more) => {
    const found = { ...base };
    for (const [key, value] of Object.entries(more)) {
      const both = value && found[key] && typeof value === "object" && typeof found[key] === "object";
      found[key] = both && !Array.isArray(value) ? merged(found[key], value) : value;
    }
    return found;
  };

  const frame = () => {
    const axis = { gridcolor: "$line", zerolinecolor: "$line", linecolor: "$line", automargin: true, title: { standoff: 8 } };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: "$text", size: 13, family: getComputedStyle(document.body).fontFamily },
      margin: { l: 48, r: 20, t: 12, b: 40 }, height: 320, autosize: true, hovermode: "x unified", bargap: 0.25,
      hoverlabel: { bgcolor: "$raised", bordercolor: "$line", font: { color: "$text" } },
      legend: { orientation: "h", y: -0.18, x: 0 }, showlegend: false,
      xaxis: axis, yaxis: axis, transition: { duration: 0 },
    };
  };

  let range = report.focus;

  // A chart is as wide as the page lets it be; on a phone, names of bars must not take the whole of it.
  const narrow = (layout, width) => {
    if (width > 480) return layout;
    layout.dragmode = false;  // a finger moves the page
    for (const axis of ["xaxis", "yaxis", "yaxis2"]) if (layout[axis]) layout[axis] = { ...layout[axis], fixedrange: true };
    if (layout.geo) layout.height = 230;
    layout.margin = { ...layout.margin, l: 36, r: 8 };
    layout.font = { ...layout.font, size: 11 };
    return layout;
  };

  const shorten = (traces, width) => {
    if (width > 480) return traces;
    const cut = (text) => (typeof text === "string" && text.length > 20 ? text.slice(0, 19) + "…" : text);
    return traces.map((trace) => (trace.orientation === "h"
      ? { ...trace, hovertext: trace.y, hovertemplate: "%{hovertext}: %{x:,}<extra></extra>", ticks: trace.y.map(cut) } : trace));
  };

  const draw = () => {
    const look = getComputedStyle(root);
    const jobs = [];
    for (const [name, chart] of Object.entries(report.charts)) {
      const element = document.getElementById("chart-" + name);
      const width = element.clientWidth;
      let traces = shorten(coloured(chart.traces, look), width);
      const layout = narrow(coloured(merged(frame(), chart.layout), look), width);
      if (range && (layout.xaxis || {}).type === "date") layout.xaxis = { ...layout.xaxis, range, autorange: false };
      const bars = traces.find((trace) => trace.ticks);
      if (bars) {
        layout.yaxis = { ...layout.yaxis, tickmode: "array", tickvals: bars.y, ticktext: bars.ticks };
        traces = traces.map(({ ticks, ...rest }) => rest);
      }
      // No bar of buttons: they could not be reached by keyboard inside a picture.
      const config = { responsive: true, displayModeBar: false, topojsonURL: "assets/" };
      jobs.push(Plotly.react(element, traces, layout, config).then(() => wire(element, chart)));
    }
    Promise.all(jobs).then(() => { root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1); });
  };

  const wire = (element, chart) => {
    if (!chart.drill || element.dataset.wired) return;
    element.dataset.wired = "yes";
    element.classList.add("drills");
    element.on("plotly_click", (click) => {
      const value = click.points[0].customdata;
      if (value !== undefined && value !== null) show(chart.drill, String(value));
    });
  };

  // Looks
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => { button.setAttribute("aria-pressed", String(isDark())); button.textContent = isDark() ? "Light" : "Dark"; };
  if (["dark", "light"].includes(remembered())) root.dataset.theme = remembered();
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    label();
    draw();
  });
  dark.addEventListener("change", () => { label(); draw(); });

  // Events behind a number
  const dialog = document.getElementById("events");
  const element = (name, text) => { const made = document.createElement(name); made.textContent = text; return made; };
  const show = (kind, value) => {
    const samples = (report.samples[kind] || {})[value];
    if (!dialog || !samples) return;
    document.getElementById("events-title").textContent = `Some of the events: ${kind} ${value}`;
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of report.samples.columns[kind]) { const cell = element("th", name); cell.scope = "col"; head.append(cell); }
    const body = table.createTBody();
    for (const sample of samples) { const row = body.insertRow(); for (const text of sample) row.append(element("td", text)); }
    document.getElementById("events-body").replaceChildren(table);
    dialog.showModal();
  };
  if (dialog) document.getElementById("events-close").addEventListener("click", () => dialog.close());
  for (const each of document.querySelectorAll("button.drill")) {
    if (!(report.samples[each.dataset.kind] || {})[each.dataset.value]) { each.replaceWith(...each.childNodes); continue; }
    each.addEventListener("click", () => show(each.dataset.kind, each.dataset.value));
  }

  // Filters
  const tools = document.querySelector(".tools");
  if (tools) {
    const filter = document.getElementById("filter"), span = document.getElementById("span"), told = document.getElementById("filtered");
    const rows = [...document.querySelectorAll("tbody tr")];
    tools.hidden = false;
    filter.closest("label").hidden = rows.length === 0;
    tools.addEventListener("submit", (event) => event.preventDefault());
    filter.addEventListener("input", () => {
      const wanted = filter.value.trim().toLowerCase();
      let left = 0;
      for (const row of rows) { row.hidden = !row.textContent.toLowerCase().includes(wanted); left += row.hidden ? 0 : 1; }
      told.textContent = wanted ? `${left} of ${rows.length} rows` : "";
      if (wanted) for (const each of document.querySelectorAll("details")) each.open = true;
    });
    const timed = Object.entries(report.charts).filter(([, chart]) => (chart.layout.xaxis || {}).type === "date");
    span.closest("label").hidden = timed.length === 0;
    const end = timed.flatMap(([, chart]) => chart.traces.flatMap((trace) => trace.x)).sort().at(-1);
    span.addEventListener("change", () => {
      const hours = Number(span.value) || 0, last = Date.parse(end + "Z") + 3600e3;
      const chosen = [last - hours * 3600e3, last].map((time) => new Date(time).toISOString().slice(0, 16));
      range = span.value === "focus" ? report.focus : hours ? chosen : null;
      for (const [name] of timed) {
        Plotly.relayout("chart-" + name, range ? { "xaxis.range": range } : { "xaxis.autorange": true });
      }
    });
  }

  let phone = innerWidth <= 600;
  addEventListener("resize", () => { if (phone !== innerWidth <= 600) { phone = !phone; draw(); } });
  if (Object.keys(report.charts).length) draw(); else root.dataset.drawn = "1";
  addEventListener("beforeprint", () => { for (const each of document.querySelectorAll("details")) each.open = true; });
})();
