"use strict";

// One button between light and dark; until it is pressed the page follows the system.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const announce = () => document.dispatchEvent(new Event("themechange"));
  system.addEventListener("change", announce);
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
      root.dataset.theme = dark ? "light" : "dark";
      announce();
    });
  }
})();
