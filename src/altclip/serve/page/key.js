// The dialog that asks for a key, when the server wants one; the key is kept until the tab is closed.

import { key, onKeyNeeded } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./words.js";

let asking = null;

export function startKey({ needed }) {
  const dialog = byId("key");
  onKeyNeeded(ask);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // nothing can be done without
  byId("leave").addEventListener("click", () => {
    key.forget();
    location.reload();
  });
  byId("leave").hidden = !needed;
  return needed && !key.get() ? ask({ wrong: false }) : Promise.resolve();
}

// All requests that lack a key wait for the same answer.
function ask({ wrong }) {
  asking ??= answered(wrong).finally(() => {
    asking = null;
  });
  return asking;
}

function answered(wrong) {
  const [dialog, form, field] = [byId("key"), byId("key-form"), byId("secret")];
  key.forget();
  byId("key-wrong").textContent = wrong ? t("key.wrong") : "";
  field.setAttribute("aria-invalid", String(wrong));
  field.value = "";
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((done) => {
    form.addEventListener("submit", function taken(event) {
      event.preventDefault();
      if (!field.value.trim()) return;
      form.removeEventListener("submit", taken);
      key.set(field.value.trim());
      field.value = "";
      dialog.close();
      done();
    });
  });
}
