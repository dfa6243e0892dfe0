// Requests to the server that gave the page, and to no other; with the key of this tab where the server asks for one.

const KEPT = "altclip.key";
let renewed = null; // resolves when the person has given another key

export const key = {
  get: () => sessionStorage.getItem(KEPT),
  set: (secret) => sessionStorage.setItem(KEPT, secret),
  forget: () => sessionStorage.removeItem(KEPT),
};

export function onKeyNeeded(ask) {
  renewed = ask;
}

// kind: unreachable, refused (the request is wrong), missing, busy, failed. said: the server's own words.
export class Failure extends Error {
  constructor(kind, { said = "", code = "", param = "", wait = 0 } = {}) {
    super(said || kind);
    Object.assign(this, { kind, said, code, param, wait });
  }
}

export const isAbort = (error) => error?.name === "AbortError";

export async function json(path, { body, signal } = {}) {
  const answer = await asked(path, { body, signal });
  return read(answer.json());
}

export async function blob(path, { signal } = {}) {
  const answer = await asked(path, { signal });
  return read(answer.blob());
}

// The connection may also break within the answer.
async function read(content) {
  try {
    return await content;
  } catch (error) {
    throw isAbort(error) ? error : new Failure("unreachable");
  }
}

async function asked(path, { body, signal }) {
  for (;;) {
    const used = key.get();
    const answer = await once(path, body, signal, used);
    if (answer.status !== 401 || !renewed) {
      if (answer.ok) return answer;
      throw await failure(answer);
    }
    if (key.get() === used) await renewed({ wrong: used !== null });
    signal?.throwIfAborted();
  }
}

async function once(path, body, signal, secret) {
  const headers = secret ? { authorization: `Bearer ${secret}` } : {};
  if (body) headers["content-type"] = "application/json";
  const how = { headers, signal, method: body ? "POST" : "GET", body: body && JSON.stringify(body) };
  try {
    return await fetch(path, { ...how, redirect: "error", referrerPolicy: "no-referrer" });
  } catch (error) {
    throw isAbort(error) ? error : new Failure("unreachable");
  }
}

async function failure(answer) {
  const kinds = { 404: "missing", 429: "busy", 503: "busy" };
  const kind = kinds[answer.status] ?? (answer.status < 500 ? "refused" : "failed");
  const wait = Number(answer.headers.get("retry-after")) || 0;
  try {
    const { message, code, param } = (await answer.json()).error;
    return new Failure(kind, { said: message, code: code ?? "", param: param ?? "", wait });
  } catch (error) {
    return isAbort(error) ? error : new Failure(kind, { wait });
  }
}
