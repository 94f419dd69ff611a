// Exports: texts written by the service or the page, pictures, and links.
import { useState } from "preact/hooks";
import { useAnswer } from "./api.js";
import { toPng, toText } from "./picture.js";
import { CopyButton, Dialog, download, Problem } from "./ui.jsx";

/**
 * A dialog that offers formats, each with a `title` and one of: a `text`; one or two `requests` to the service, whose answers
 * `join` combines; a `picture` with its `alt`. `file` is the name for the download; a format without it can only be copied.
 */
export function ExportDialog({ formats, onClose }) {
  const [chosen, setChosen] = useState(formats[0].title);
  const format = formats.find(({ title }) => title === chosen) ?? formats[0];
  const [first, second] = format.requests ?? [];
  const one = useAnswer(first ?? null, { keep: false });
  const other = useAnswer(second ?? null, { keep: false });
  const text = format.text ?? joined(format, one, other);
  return (
    <Dialog title="Export" onClose={onClose} wide>
      <fieldset class="formats">
        <legend class="only-read">Format</legend>
        {formats.map(({ title }) => (
          <label key={title}>
            <input type="radio" name="format" checked={title === format.title} onChange={() => setChosen(title)} />
            <span>{title}</span>
          </label>
        ))}
      </fieldset>
      <Problem error={one.error} retry={one.retry} />
      <Problem error={other.error} retry={other.retry} />
      {format.note && <p class="note">{format.note}</p>}
      {format.picture && <Picture key={format.title} {...format} />}
      {text && (
        <>
          <pre class="preview" tabIndex={0} aria-label={format.file || format.title}>{text}</pre>
          <div class="actions">
            {format.file && <button type="button" class="primary" onClick={() => download(format.file, text, "text/plain")}>Download {format.file}</button>}
            <CopyButton text={text} />
          </div>
        </>
      )}
    </Dialog>
  );
}

function joined({ requests = [], join = (texts) => texts[0] }, ...answers) {
  const texts = answers.slice(0, requests.length).map((each) => each.data);
  return requests.length && texts.every((each) => typeof each === "string") ? join(texts) : "";
}

function Picture({ file, alt, picture }) {
  const [failed, setFailed] = useState("");
  const svg = picture();
  const png = async () => {
    try {
      download(`${file}.png`, await toPng(svg));
    } catch {
      setFailed("The browser could not create the PNG. The SVG has the same content.");
    }
  };
  return (
    <>
      <img class="picture" alt={alt} src={`data:image/svg+xml,${encodeURIComponent(toText(svg))}`} />
      <div class="actions">
        <button type="button" class="primary" onClick={() => download(`${file}.svg`, toText(svg), "image/svg+xml")}>Download {file}.svg</button>
        <button type="button" class="primary" onClick={png}>Download {file}.png</button>
      </div>
      {failed && <p class="problem" role="alert">{failed}</p>}
    </>
  );
}
