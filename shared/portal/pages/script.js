// The pages work without this: it copies, and says that something is being done.
const say = document.getElementById("say");
if (navigator.clipboard) for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      say.textContent = "Copied";
    } catch { say.textContent = "Your browser does not let this page copy; select the text instead"; }
    setTimeout(() => { say.textContent = ""; }, 3000);
  });
}
for (const form of document.forms) form.addEventListener("submit", (event) => {
  if (form.ariaBusy) return event.preventDefault(); // it is on its way
  form.ariaBusy = "true";
  setTimeout(() => { say.textContent = "Working. The provider may take a few seconds."; }, 500);
});
addEventListener("pageshow", () => { for (const form of document.forms) form.ariaBusy = null; say.textContent = ""; });
