"""The commands that reproduce an entry by hand, with this package, Anserini or Pyserini."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from splade_lucene.reproduction.archives import is_archive
from splade_lucene.reproduction.arguments import encode_arguments, index_arguments, search_arguments
from splade_lucene.reproduction.entries import Download, Entry
from splade_lucene.reproduction.paths import Paths

_PAGE = 100  # columns, after which a command is continued on the next line

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
    given = search_arguments(entry, paths, f"downloads/{system.topics.file}")
    lines.append(_command("bm25 search" if system.method == "bm25" else "search", given))
    run = paths.run
    if system.remove_query:
        lines += ["# drop the query itself from its hits", f"awk '$1 != $3' {run} > {run}.tmp && mv {run}.tmp {run}"]
    if system.ties == "descending":
        lines.append("# 'reproduce' also sorts ties by descending docid, as trec_eval does for Anserini's runs")
    measures = " ".join(system.published)
    lines.append(
        f"splade-lucene evaluate --qrels downloads/{entry.qrels.file} --run {run} --measures {shlex.quote(measures)}"
    )
    return [_wrap(line) for line in lines]


def _command(name: str, arguments: Mapping[str, Any]) -> str:
    """One of our commands with the arguments of the library call that does the same."""
    words = ["splade-lucene", name]
    for argument, value in arguments.items():
        if value is None:
            continue
        flag = {"index_dir": "--index", "source": "--input"}.get(argument, "--" + argument.replace("_", "-"))
        if value is True:
            words.append(flag)
        else:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return " ".join(words)


def anserini_commands(entry: Entry) -> list[str]:
    """The equivalent commands of Anserini, run in a checkout; empty if Anserini does not document them."""
    system, anserini = entry.system, entry.system.anserini
    if anserini is None:
        return []
    collection = "JsonCollection" if system.method == "bm25" else "JsonVectorCollection"
    run = f"runs/run.{entry.name}.txt"
    tools = "tools/topics-and-qrels"
    lines = [
        f"bin/run.sh io.anserini.index.IndexCollection -collection {collection} -input {_corpus(entry)} "
        f"-generator DefaultLuceneDocumentGenerator -index {_index(entry)} -threads 16 {anserini.index_options}",
        f"bin/run.sh io.anserini.search.SearchCollection -index {_index(entry)} -topics {tools}/{system.topics.file} "
        f"-topicReader {anserini.topic_reader} -output {run} {anserini.search_options}",
        *(f"bin/trec_eval {each} {tools}/{entry.qrels.file} {run}" for each in _trec_eval(system.published)),
    ]
    return [_wrap(line) for line in lines]


def pyserini_commands(entry: Entry) -> list[str]:
    """The equivalent commands of Pyserini, with its index and searcher over the same pseudo-documents and topics.

    Empty for our own collections: their texts are not a JsonCollection, and Pyserini expects topics with "cacm" in their path
    to be in CACM's own format.
    """
    system = entry.system
    if system.anserini is None:
        return []
    run, impact = f"runs/run.{entry.name}.txt", "" if system.method == "bm25" else " --impact"
    collection = "JsonCollection" if system.method == "bm25" else "JsonVectorCollection"
    topics = f"downloads/{system.topics.file}"
    encoded = [] if system.method != "encode" else [_encode(entry), _encode_queries(entry)]
    if system.method == "encode":
        topics = f"encoded/{entry.name}.topics.tsv"
    ranking = f" --bm25 --k1 {system.k1:g} --b {system.b:g}" if system.method == "bm25" else " --min-idf 0 --impact"
    lines = [
        *encoded,
        f"python -m pyserini.index.lucene --collection {collection} --input {_corpus(entry)} --index {_index(entry)} "
        f"--generator DefaultLuceneDocumentGenerator --threads 16{impact}{' --pretokenized' if impact else ''}",
        f"python -m pyserini.search.lucene --index {_index(entry)} --topics {topics} --output {run} "
        f"--hits {system.hits}{ranking}{' --remove-query' if system.remove_query else ''}",
        *(f"python -m pyserini.eval.trec_eval {each} downloads/{entry.qrels.file} {run}"
          for each in _trec_eval(system.published)),
    ]  # fmt: skip
    return [_wrap(line) for line in lines]


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
        only = f" --wildcards '*/{corpus.folder}/*'" if corpus.folder else ""
        lines.append(f"mkdir -p {paths.corpus} && tar xf downloads/{corpus.file} -C {paths.corpus}{only}")
    elif not corpus.file and not corpus.source:
        lines.append(f"# {paths.corpus}: {corpus.note}")
    if system.method == "encode":
        lines.append(_encode(entry))
    name = "bm25 index" if system.method == "bm25" else "index"
    return [*lines, _command(name, index_arguments(entry, paths, _corpus(entry)))]


def _encode(entry: Entry) -> str:
    return _command("encode", encode_arguments(entry, Paths(Path(), entry), _text_corpus(entry)))


def _encode_queries(entry: Entry) -> str:
    system = entry.system
    return (
        f"splade-lucene encode-queries --topics downloads/{system.topics.file} --output encoded/{entry.name}.topics.tsv "
        f"--model {system.model} --quantizer {system.quantizer}"
    )


def _text_corpus(entry: Entry) -> str:
    corpus = entry.system.corpus
    if corpus.source:
        return corpus.source
    return f"downloads/{corpus.file}" if corpus.file and not is_archive(corpus.file) else f"corpora/{corpus.name}"


def _corpus(entry: Entry) -> str:
    """Path of the input of indexing."""
    return f"encoded/{entry.name}" if entry.system.method == "encode" else _text_corpus(entry)


def _index(entry: Entry) -> str:
    """Where Anserini and Pyserini put their index: beside ours."""
    return f"{Paths(Path(), entry).index}.anserini"


def _trec_eval(measures: Iterable[str]) -> list[str]:
    """Options of trec_eval for the measures that it supports."""
    options = []
    for name in measures:
        parts = re.fullmatch(r"(\w+?)(?:\(rel=(\d)\))?@(\d+)", name)
        if parts and parts[1] in _TREC_EVAL:
            level = f" -l {parts[2]}" if parts[2] else ""
            options.append(f"-c{level} {_TREC_EVAL[parts[1]].format(cutoff=parts[3])}")
    return options


def _wrap(command: str) -> str:
    """Wraps a long command, with line breaks before options."""
    if len(command) <= _PAGE or command.startswith(("#", "curl ", "awk ")) or "trec_eval -c" in command:
        return command
    lines, line = [], ""
    for part in re.split(r" (?=--?[A-Za-z])", command):
        if line and len(line) + len(part) >= _PAGE:
            lines.append(line)
            line = f"    {part}"
        else:
            line = f"{line} {part}" if line else part
    return " \\\n".join([*lines, line])
