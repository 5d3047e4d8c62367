// Draws the live charts over the static ones; without scripts, or if a chart fails, the static one stays.
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  for (const [name, spec] of Object.entries(specs)) {
    const chart = document.getElementById("chart-" + name);
    const live = chart.querySelector(".live");
    // `ast` keeps Vega from compiling expressions as code, which the page's policy forbids.
    const options = {
      ast: true, actions: false, renderer: "svg", defaultStyle: false,
      tooltip: { disableDefaultStyle: true, theme: "quiet" },
    };
    vegaEmbed(live, spec, options).then(
      () => chart.classList.add("drawn"),
      (error) => { live.replaceChildren(); console.error(error); },
    );
  }
})();
