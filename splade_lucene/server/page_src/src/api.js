// Requests to the service, and hooks that show their answers: an answer that is no longer wanted is dropped.
import { useEffect, useRef, useState } from "preact/hooks";

/** An error that the service reports, or that its answer cannot be had. */
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
  // storage is blocked: the token is asked for again with the next page
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

/** One request: `{path}`, or `{path, body}` to post JSON. Answers with the JSON, or the text with `{text: true}`. */
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
    throw new ServiceError(0, { code: "unreachable", message: "The service does not answer.", remedy: "Is it still running?" });
  }
  if (answer.ok) return text ? answer.text() : answer.json();
  const found = await answer.json().catch(() => ({}));
  throw new ServiceError(answer.status, found.error ?? { code: "failed", message: `The service answered ${answer.status}.` });
}

const EMPTY = { data: null, error: null, loading: false, of: null };

/**
 * The answer to a request, asked for again whenever the request changes; null asks for nothing. The last answer stays while the
 * next one is on its way, so that nothing flickers; `of` is the request that it answers.
 */
export function useAnswer(wanted, { delay = 0, keep = true } = {}) {
  const [shown, show] = useState(EMPTY);
  const key = wanted && JSON.stringify(wanted);
  const [again, setAgain] = useState(0);
  const first = useRef(true);
  useEffect(() => {
    if (!key) {
      show(EMPTY);
      return undefined;
    }
    const controller = new AbortController();
    show((before) => ({ ...(keep ? before : EMPTY), loading: true }));
    const ask = () =>
      request(JSON.parse(key), controller.signal).then(
        (data) => controller.signal.aborted || show({ data, error: null, loading: false, of: JSON.parse(key) }),
        (error) => controller.signal.aborted || show({ ...EMPTY, error }),
      );
    const timer = setTimeout(ask, first.current ? 0 : delay);
    first.current = false;
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, again]);
  return { ...shown, retry: () => setAgain((n) => n + 1) };
}
