// The desk's one script. Every page works without it; with it, a form or a page link exchanges <main> in place, a lost
// session keeps what was typed, files are dropped with their progress in view, and the review has its keys.
"use strict";

const page = () => document.getElementById("main");
let busy = false;

async function ask(url, options) {
  const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "text/html" }, ...options });
  if (new URL(answer.url).pathname === "/login" || answer.status === 401) throw new Error("lost");
  if (!(answer.headers.get("content-type") || "").startsWith("text/html")) throw new Error("elsewhere");
  return { url: answer.url, text: await answer.text() };
}

function show({ url, text }, { push = true, focus = true, keep = null } = {}) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const at = keep && document.activeElement && document.activeElement.id;
  page().replaceWith(document.adoptNode(fresh.getElementById("main")));
  document.title = fresh.title;
  const side = fresh.querySelector(".side");
  if (side) document.querySelector(".side").replaceWith(document.adoptNode(side));
  if (push && url !== location.href) history.pushState({}, "", url);
  prepare();
  const told = page().querySelector("[role=alert]");
  if (at && document.getElementById(at)) {
    const field = document.getElementById(at);
    field.focus();
    if (field.type === "search" || field.type === "text") field.setSelectionRange(field.value.length, field.value.length);
  } else if (told) {
    told.tabIndex = -1;
    told.focus();
    told.scrollIntoView({ block: "nearest" });
  } else if (focus) {
    page().focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function complain(kind) {
  const old = document.querySelector(".notice.script");
  if (old) old.remove();
  const told = document.createElement("p");
  told.className = "notice bad script";
  told.setAttribute("role", "alert");
  told.tabIndex = -1;
  told.textContent = document.body.dataset[kind] + " ";
  if (kind === "lost") {
    const link = document.createElement("a");
    link.href = "/login?next=/desk/help";
    link.target = "_blank";
    link.rel = "noopener";
    link.textContent = document.body.dataset.login;
    told.append(link);
    document.body.dataset.stale = "yes";
  }
  page().prepend(told);
  told.focus();
}

async function renewed() {
  // After a login in another tab the session has another token.
  if (!document.body.dataset.stale) return;
  const fresh = new DOMParser().parseFromString((await ask("/desk/help")).text, "text/html");
  const token = fresh.querySelector("meta[name=csrf]").content;
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = token;
  delete document.body.dataset.stale;
}

async function go(url, options, how) {
  if (busy) return;
  busy = true;
  page().setAttribute("aria-busy", "true");
  try {
    show(await ask(url, options), how);
  } catch (fault) {
    if (fault.message === "elsewhere") location.assign(url);
    else complain(fault.message === "lost" ? "lost" : "unreachable");
  } finally {
    busy = false;
    page().removeAttribute("aria-busy");
  }
}

function addressOf(form) {
  const said = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") said.append(name, value);
  const text = said.toString();
  return form.getAttribute("action") + (text ? "?" + text : "");
}

async function send(form, button) {
  if (busy) return;
  try {
    await renewed();
  } catch {
    complain("lost");
    return;
  }
  const said = new URLSearchParams(new FormData(form));
  if (button && button.name) said.set(button.name, button.value);
  const to = (button && button.getAttribute("formaction")) || form.getAttribute("action");
  await go(to, { method: "POST", body: said });
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-plain]")) return;
  if (form.method === "get") {
    event.preventDefault();
    go(addressOf(form), {}, { keep: true, focus: false });
  } else if (form.enctype === "multipart/form-data") {
    event.preventDefault();
    upload(form);
  } else {
    event.preventDefault();
    send(form, event.submitter);
  }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.target || link.matches("[data-plain]") || link.origin !== location.origin) return;
  if (!/^\/desk(\/|\?|$)/.test(link.pathname + link.search) || link.hash || link.pathname.endsWith("/pdf")) return;
  event.preventDefault();
  go(link.href);
});
window.addEventListener("popstate", () => go(location.href, {}, { push: false }));

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-live]");
  if (form && event.target.matches("select, input[type=checkbox]")) go(addressOf(form), {}, { keep: true, focus: false });
  if (event.target.matches("[data-all]")) {
    for (const box of page().querySelectorAll("input[name=ids]")) box.checked = event.target.checked;
  }
});

// Files
function upload(form) {
  const request = new XMLHttpRequest();
  const line = form.querySelector(".progress");
  request.open("POST", form.getAttribute("action"));
  request.setRequestHeader("Accept", "text/html");
  request.upload.onprogress = (event) => {
    if (!line || !event.lengthComputable) return;
    line.hidden = false;
    const percent = Math.floor((100 * event.loaded) / event.total);
    line.querySelector("progress").value = percent;
    line.querySelector("span").textContent = percent < 100 ? percent + " %" : "…";
  };
  request.onload = () => {
    if (request.status === 401) complain("lost");
    else show({ url: request.responseURL, text: request.responseText }, { push: request.status < 300 && request.responseURL !== location.href });
  };
  request.onerror = () => complain("unreachable");
  request.send(new FormData(form));
}

function over(event) {
  const box = event.target.closest && event.target.closest("[data-upload]");
  for (const one of document.querySelectorAll(".over")) if (one !== box) one.classList.remove("over");
  if (!box) return null;
  event.preventDefault();
  return box;
}
document.addEventListener("dragover", (event) => {
  const box = over(event);
  if (box) box.classList.add("over");
});
document.addEventListener("drop", (event) => {
  const box = over(event);
  if (!box) return;
  box.classList.remove("over");
  box.querySelector("input[type=file]").files = event.dataTransfer.files;
});

// Keys of the review
const rows = () => [...page().querySelectorAll("[data-review] tr[data-row]")];

function stand(number) {
  const all = rows();
  if (!all.length) return;
  const row = all[Math.max(0, Math.min(number, all.length - 1))];
  for (const one of all) one.classList.toggle("at", one === row);
  const box = row.querySelector("input[name=ids]") || row.querySelector("a");
  box.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

// Pressed while a decision is on its way. They are played once its answer stands there, or the next one would be lost,
// and a key after it would strike another row than the reviewer meant.
const pressed = [];
let deciding = false;

function decide(form, button, at) {
  deciding = true;
  send(form, button).then(() => {
    deciding = false;
    if (at !== undefined) stand(at);
    if (page().querySelector("[role=alert]")) pressed.length = 0; // what was refused is read first
    while (pressed.length && !deciding) press(pressed.shift());
  });
}

function press(key) {
  const form = page().querySelector("[data-review]");
  const undo = page().querySelector("[data-undo]");
  if (key === "u" && undo) decide(undo, undo.querySelector("button"));
  if (!form) return key === "u" && undo;
  const all = rows();
  const at = all.findIndex((row) => row.classList.contains("at"));
  if (key === "j" || key === "k") {
    stand(at < 0 ? 0 : at + (key === "j" ? 1 : -1));
  } else if (key === "x" && at >= 0) {
    const box = all[at].querySelector("input[name=ids]");
    if (box) box.checked = !box.checked;
  } else if ("are".includes(key) && form.querySelector("button")) {
    if (!form.querySelector("input[name=ids]:checked")) {
      if (at < 0) return true;
      all[at].querySelector("input[name=ids]").checked = true;
    }
    if (key === "e") {
      form.querySelector("[data-correct]").open = true;
      form.querySelector("[data-correct] input").focus();
    } else {
      decide(form, form.querySelector(key === "a" ? "[value=approve]" : "[value=reject]"), at);
    }
  } else {
    return key === "u" && undo;
  }
  return true;
}

document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const writes = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (key.length > 1 || writes || event.ctrlKey || event.metaKey || event.altKey) return;
  if (deciding) {
    // After e somebody writes into a field.
    if ("jkxareu".includes(key) && !pressed.includes("e")) pressed.push(key);
  } else if (busy || !press(key)) return;
  event.preventDefault();
});

function prepare() {
  for (const one of document.querySelectorAll(".side nav [aria-current]")) one.scrollIntoView({ block: "nearest", inline: "center" });
}
prepare();
