// Requests to the service, and a hook for their answers: an outdated answer is dropped.
import { useEffect, useRef, useState } from "preact/hooks";

/** An error that the service reports, or a failure to reach it. */
export class ServiceError extends Error {
  constructor(status, { code, message, remedy }) {
    super(message);
    Object.assign(this, { status, code, remedy });
  }
}

const TOKEN = "splade-lucene-token";
let token = "";
try {
  token = sessionStorage.getItem(TOKEN) ?? "";
} catch {
  // storage is blocked: the next page asks for the token again
}

export function setToken(given) {
  token = given;
  try {
    sessionStorage.setItem(TOKEN, given);
  } catch {
    // as above
  }
}

/** The path of an index's resource. */
export function at(index, ...parts) {
  return ["api/v1", ...[index, ...parts].map(encodeURIComponent)].join("/");
}

/** The path of a document, or of what belongs to it; as a parameter, its docid may have any characters. */
export function atDocument(index, resource, docid, settings = {}) {
  return `${at(index, resource)}?${new URLSearchParams({ docid, ...settings })}`;
}

/** Sends one request: `{path}`, or `{path, body}` to post JSON. Returns the parsed JSON, or with `{text: true}` the text. */
export async function request({ path, body, text = false }, signal) {
  const headers = { Accept: "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { headers, signal };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, { code: "unreachable", message: "The service cannot be reached.", remedy: "Check that it is still running." });
  }
  if (answer.ok) return text ? answer.text() : answer.json();
  const found = await answer.json().catch(() => ({}));
  throw new ServiceError(answer.status, found.error ?? { code: "failed", message: `The service failed with HTTP status ${answer.status}.` });
}

const EMPTY = { data: null, error: null, loading: false, of: null, key: null };

/**
 * The answer to a request, which is sent again whenever it changes; null sends nothing. While the request keeps changing, as under
 * a slider, one is sent every `delay` milliseconds, and the last one always. The previous answer stays until the next one arrives,
 * so that nothing flickers; `of` is the request that it answers. With `keep` false, an answer is shown only with its own request.
 * An answer that arrives after a newer request was sent is dropped.
 */
export function useAnswer(wanted, { delay = 0, keep = true } = {}) {
  const [shown, show] = useState(EMPTY);
  const key = wanted && JSON.stringify(wanted);
  const own = useRef({ key: null, timer: 0, sent: -Infinity, controller: null }).current;

  const stop = () => {
    clearTimeout(own.timer);
    own.timer = 0;
    own.controller?.abort();
  };
  const send = () => {
    stop();
    own.sent = performance.now();
    const { signal } = (own.controller = new AbortController());
    const sent = own.key;
    const asked = JSON.parse(sent);
    const finish = (answer) => signal.aborted || show({ ...EMPTY, ...answer, loading: own.timer !== 0, key: sent });
    request(asked, signal).then((data) => finish({ data, of: asked }), (error) => finish({ error }));
  };

  useEffect(() => {
    own.key = key;
    if (!key) {
      stop();
      show(EMPTY);
      return;
    }
    if (!keep) stop();
    show((before) => ({ ...before, loading: true }));
    own.timer ||= setTimeout(send, Math.max(0, own.sent + delay - performance.now()));
  }, [key]);
  useEffect(() => stop, []);

  const retry = () => {
    show((before) => ({ ...before, loading: true }));
    send();
  };
  const current = keep || shown.key === key ? shown : { ...EMPTY, loading: key !== null };
  return { ...current, retry };
}
