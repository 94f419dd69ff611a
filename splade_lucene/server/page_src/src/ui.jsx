// Small components that several views share.
import { useEffect, useId, useRef, useState } from "preact/hooks";

export const NARROW = "(max-width: 860px)"; // as in style.css

/** An error: the service's message and remedy. */
export function Problem({ error, retry }) {
  if (!error) return null;
  return (
    <div class="problem" role="alert">
      <p>{error.message}</p>
      {error.remedy && <p class="remedy">{error.remedy}</p>}
      {retry && ![400, 404, 422].includes(error.status) && (
        <button type="button" onClick={retry}>Try again</button>
      )}
    </div>
  );
}

/** A labelled select; options are strings or [value, text]. */
export function Select({ label, value, options, onChange, hidden = false }) {
  const id = useId();
  return (
    <span class="field">
      <label for={id} class={hidden ? "only-read" : ""}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
        {options.map((each) => {
          const [given, text] = Array.isArray(each) ? each : [each, each];
          return <option key={given} value={given} selected={given === value}>{text}</option>;
        })}
      </select>
    </span>
  );
}

/** A modal dialog. Escape, its button and a click outside close it; the focus then returns to where it was. */
export function Dialog({ title, onClose, children, wide = false }) {
  const dialog = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "wide" : ""}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}
    >
      <div class="dialog-body">
        <div class="title">
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet icon" aria-label="Close" onClick={() => dialog.current.close()}>×</button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

/** A button that copies a text and confirms it. */
export function CopyButton({ text, children = "Copy" }) {
  const [said, say] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => say(""), 1800);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("The browser blocked copying");
    }
  };
  return <button type="button" onClick={copy}>{said || children}<span class="only-read" role="status">{said}</span></button>;
}

/** Makes the browser download a file. */
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The current width of an element; 0 before it is laid out. */
export function useWidth() {
  const element = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** A section that is collapsible on narrow screens, where it is above the results. */
export function Fold({ title, children }) {
  if (!useMedia(NARROW)) return children;
  return (
    <details class="fold">
      <summary>{title}</summary>
      {children}
    </details>
  );
}

/** Whether a media query matches at present. */
export function useMedia(query) {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const follow = () => setHolds(media.matches);
    follow();
    media.addEventListener("change", follow);
    return () => media.removeEventListener("change", follow);
  }, [query]);
  return holds;
}
