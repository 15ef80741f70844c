// Nothing needs this file: it saves people from comparing two clocks, from looking for the print command, and from
// sending a form twice.
"use strict";

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// The server's time as the page was made, in milliseconds; what the page took to arrive is less than a second.
const clock = document.querySelector("[data-clock]");
if (clock) {
  const off = Math.round((Date.now() - Number(clock.dataset.clock)) / 1000);
  const verdict = document.querySelector(Math.abs(off) < 20 ? "[data-clock-right]" : "[data-clock-wrong]");
  verdict.hidden = false;
  for (const place of verdict.querySelectorAll("[data-clock-off]")) place.textContent = String(Math.abs(off));
  document.querySelector("[data-clock-still]").hidden = true;
  const shown = clock.querySelector("time");
  const [hours, minutes, seconds] = shown.textContent.split(":").map(Number);
  const made = Date.now();
  setInterval(() => {
    const now = hours * 3600 + minutes * 60 + seconds + Math.floor((Date.now() - made) / 1000);
    const parts = [Math.floor(now / 3600) % 24, Math.floor(now / 60) % 60, now % 60];
    shown.textContent = parts.map((part) => String(part).padStart(2, "0")).join(":");
  }, 250);
}

// A form that is sent twice by an impatient finger would be refused: what it carries is good once.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, 5000); // whoever has stopped it may send it again
  });
}
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
