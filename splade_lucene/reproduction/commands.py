"""The commands that reproduce an entry by hand, with this package, Anserini or Pyserini."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splade_lucene.reproduction.archives import is_archive
from splade_lucene.reproduction.arguments import (
    encode_arguments,
    encode_queries_arguments,
    evaluate_arguments,
    index_arguments,
    search_arguments,
)
from splade_lucene.reproduction.entries import Corpus, Download, Entry
from splade_lucene.reproduction.paths import Paths

_PAGE = 100  # columns before a command is wrapped

_TREC_EVAL = {
    "nDCG": "-m ndcg_cut.{cutoff}",
    "R": "-m recall.{cutoff}",
    "P": "-m P.{cutoff}",
    "AP": "-M {cutoff} -m map",
    "RR": "-M {cutoff} -m recip_rank",
}


def our_commands(entry: Entry, *, prebuilt: bool = False) -> list[str]:
    """The shell commands that do the same, typed in the folder of reproductions."""
    system, paths = entry.system, Paths(Path(), entry, prebuilt)
    lines = [line for download in entry.downloads(prebuilt=prebuilt) for line in _fetch(download)]
    if prebuilt and system.prebuilt:
        archive = f"downloads/{system.prebuilt.file}"
        lines.append(f"mkdir -p {paths.index} && tar xf {archive} -C {paths.index} --strip-components 1")
    else:
        lines += _build(entry, paths)
    given = search_arguments(entry, paths, paths.of(system.topics))
    given["remove_query"] = system.remove_query
    lines.append(_command("bm25 search" if system.method == "bm25" else "search", given))
    if system.ties == "descending":
        lines.append("# 'reproduce' also sorts ties by descending docid, as trec_eval does for Anserini's runs")
    lines.append(_command("evaluate", evaluate_arguments(entry, paths, paths.of(entry.qrels))))
    return [_wrap(line) for line in lines]


def _command(name: str, arguments: Mapping[str, Any]) -> str:
    """One of our commands with the arguments of the library call that does the same."""
    words = ["splade-lucene", name]
    for argument, value in arguments.items():
        if value is None or value is False:
            continue
        flag = {"index_dir": "--index", "source": "--input"}.get(argument, "--" + argument.replace("_", "-"))
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [flag, shlex.quote(" ".join(value))]
        else:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return " ".join(words)


def anserini_commands(entry: Entry) -> list[str]:
    """The equivalent commands of Anserini, run in a checkout; empty if Anserini does not document them."""
    system, anserini, paths = entry.system, entry.system.anserini, Paths(Path(), entry)
    if anserini is None:
        return []
    collection = "JsonCollection" if system.method == "bm25" else "JsonVectorCollection"
    run = f"runs/run.{entry.name}.txt"
    tools = "tools/topics-and-qrels"
    topics = paths.encoded_topics if system.method == "encode" else f"{tools}/{system.topics.file}"
    lines = [
        *_encoded(entry, paths),
        f"bin/run.sh io.anserini.index.IndexCollection -collection {collection} -input {_corpus(entry, paths)} "
        f"-generator DefaultLuceneDocumentGenerator -index {paths.index}.anserini -threads 16 {anserini.index_options}",
        f"bin/run.sh io.anserini.search.SearchCollection -index {paths.index}.anserini -topics {topics} "
        f"-topicReader {anserini.topic_reader} -output {run} {anserini.search_options}",
        *_trec_eval(entry, paths, "bin/trec_eval", tools, run),
    ]
    return [_wrap(line) for line in lines]


def pyserini_commands(entry: Entry) -> list[str]:
    """The equivalent commands of Pyserini, with its index and searcher over the same pseudo-documents and topics.

    Empty for our own collections: their texts are not a JsonCollection, and Pyserini expects topics with "cacm" in their path
    to be in CACM's own format.
    """
    system, paths = entry.system, Paths(Path(), entry)
    if system.anserini is None:
        return []
    run, impact = f"runs/run.{entry.name}.txt", "" if system.method == "bm25" else " --impact"
    collection = "JsonCollection" if system.method == "bm25" else "JsonVectorCollection"
    topics = paths.encoded_topics if system.method == "encode" else paths.of(system.topics)
    ranking = f" --bm25 --k1 {system.k1:g} --b {system.b:g}" if system.method == "bm25" else " --min-idf 0 --impact"
    lines = [
        *_encoded(entry, paths),
        f"python -m pyserini.index.lucene --collection {collection} --input {_corpus(entry, paths)} "
        f"--index {paths.index}.anserini --generator DefaultLuceneDocumentGenerator --threads 16"
        f"{impact}{' --pretokenized' if impact else ''}",
        f"python -m pyserini.search.lucene --index {paths.index}.anserini --topics {topics} --output {run} "
        f"--hits {system.hits}{ranking}{' --remove-query' if system.remove_query else ''}",
        *_trec_eval(entry, paths, "python -m pyserini.eval.trec_eval", "downloads", run),
    ]  # fmt: skip
    return [_wrap(line) for line in lines]


def _encoded(entry: Entry, paths: Paths) -> list[str]:
    """Our commands for what another program indexes and searches with: nothing if it is published."""
    if entry.system.method != "encode":
        return []
    topics = encode_queries_arguments(entry, paths.encoded_topics, paths.of(entry.system.topics))
    return [_encode(entry, paths), _command("encode-queries", topics)]


def _fetch(download: Download) -> list[str]:
    path = f"downloads/{download.file}"
    facts = ", ".join(each for each in (download.checksum, download.published_size) if each)
    if download.built_in:
        return [f"# {path}: written by 'splade-lucene reproduce'"]
    if not download.url:
        return [f"# {path}: {download.note or 'cannot be downloaded'}" + (f" ({facts})" if facts else "")]
    return [f"curl --create-dirs -L -C - -o {path} {download.url}" + (f"  # {facts}" if facts else "")]


def _build(entry: Entry, paths: Paths) -> list[str]:
    system, corpus = entry.system, entry.system.corpus
    lines = []
    if is_archive(corpus.file):
        lines.append(f"mkdir -p {paths.corpus} && {_unpack(corpus, paths.corpus)}")
    elif not corpus.file and not corpus.source:
        lines.append(f"# {paths.corpus}: {corpus.note}")
    if system.method == "encode":
        lines.append(_encode(entry, paths))
    name = "bm25 index" if system.method == "bm25" else "index"
    return [*lines, _command(name, index_arguments(entry, paths, _corpus(entry, paths)))]


def _unpack(corpus: Corpus, target: Path) -> str:
    """Unpacks what is below the corpus's folder, without the path above it, as ``reproduce`` does."""
    archive = f"downloads/{corpus.file}"
    if not corpus.file.endswith(".zip"):
        return f"tar xf {archive} -C {target}" + (f" --wildcards '*/{corpus.folder}/*'" if corpus.folder else "")
    up = f" && mv {target}/{corpus.folder}/* {target}" if corpus.folder else ""
    return f"python -m zipfile -e {archive} {target}{up}"


def _encode(entry: Entry, paths: Paths) -> str:
    return _command("encode", encode_arguments(entry, paths, _text_corpus(entry, paths)))


def _text_corpus(entry: Entry, paths: Paths) -> str | Path:
    corpus = entry.system.corpus
    if corpus.source:
        return corpus.source
    return paths.folder / "downloads" / corpus.file if corpus.file and not is_archive(corpus.file) else paths.corpus


def _corpus(entry: Entry, paths: Paths) -> str | Path:
    """The input of indexing."""
    return paths.encoded if entry.system.method == "encode" else _text_corpus(entry, paths)


def _trec_eval(entry: Entry, paths: Paths, program: str, folder: str, run: str) -> list[str]:
    """Commands of trec_eval for the measures that it supports; it reads BEIR's judgments in its own format only."""
    qrels, lines = f"{folder}/{entry.qrels.file}", []
    if entry.qrels.member:
        qrels = f"{paths.corpus}/qrels.txt"
        lines.append(f"awk 'NR > 1 {{print $1, 0, $2, $3}}' {paths.of(entry.qrels)} > {qrels}")
    for name in entry.system.published:
        parts = re.fullmatch(r"(\w+?)(?:\(rel=(\d)\))?@(\d+)", name)
        if parts and parts[1] in _TREC_EVAL:
            level = f" -l {parts[2]}" if parts[2] else ""
            lines.append(f"{program} -c{level} {_TREC_EVAL[parts[1]].format(cutoff=parts[3])} {qrels} {run}")
    return lines


def _wrap(command: str) -> str:
    """Wraps a long command, with line breaks before options."""
    if (
        len(command) <= _PAGE
        or not command.startswith(("splade-lucene ", "python ", "bin/run.sh "))
        or "trec_eval -c" in command
    ):
        return command
    lines, line = [], ""
    for part in re.split(r" (?=--?[A-Za-z])", command):
        if line and len(line) + len(part) >= _PAGE:
            lines.append(line)
            line = f"    {part}"
        else:
            line = f"{line} {part}" if line else part
    return " \\\n".join([*lines, line])
