// Runs with each new result: it is announced and scrolled into view, and marked as older once the form changes.
(() => {
  const heads = () => [...document.querySelectorAll(".matinee-result")];
  const head = heads().pop();
  if (!head) return;
  if (!window.matineeAnnouncer) {
    const announcer = document.createElement("div");
    announcer.id = "matinee-announcer";
    announcer.setAttribute("role", "status");
    announcer.setAttribute("aria-live", "polite");
    announcer.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
    document.body.append(announcer);
    window.matineeAnnouncer = announcer;
    const markOlder = (event) => {
      const isChoice = event.type === "click";
      if (isChoice && !event.target.closest?.("[role=option]")) return;
      const field = isChoice ? document.activeElement : event.target;
      if (!field?.closest?.("[data-testid=stMain]")) return;
      for (const result of heads())
        if (field.compareDocumentPosition(result) & Node.DOCUMENT_POSITION_FOLLOWING)
          result.classList.add("matinee-older");
    };
    for (const type of ["input", "change", "drop", "click"]) document.addEventListener(type, markOlder, true);
  }
  if (window.matineeResult === head.dataset.run) return;
  window.matineeResult = head.dataset.run;
  setTimeout(() => {
    window.matineeAnnouncer.textContent = head.dataset.words;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (head.getBoundingClientRect().top > innerHeight / 2)
      head.scrollIntoView({ block: "start", behavior: isCalm ? "auto" : "smooth" });
  }, 150); // what is below it must be there first
})();
